import type { CachedTable } from './cached-table.js'

/** The ways to one table that is opened when it is first asked for. */
export interface OpenedOnce {
  /** Undefined: it is not open yet. @throws ClosedError after `close()`. */
  opened(): CachedTable | undefined
  /**
   * Rejects with what keeps it from being opened (ConfigError, SourceError), and tries again at the next call: the migration may have run by then.
   * ClosedError after `close()`.
   */
  table(): Promise<CachedTable>
  /** The same for a call that began before `close()`, which waits for it. */
  tableUnderWay(): Promise<CachedTable>
}

export function openOnce(open: () => Promise<CachedTable>, assertOpen: () => void): OpenedOnce {
  let opening: Promise<CachedTable> | undefined
  let opened: CachedTable | undefined
  const tableUnderWay = async () => {
    opening ??= open().catch((error) => {
      opening = undefined
      throw error
    })
    opened = await opening
    return opened
  }
  return {
    opened: () => {
      assertOpen()
      return opened
    },
    table: async () => {
      assertOpen()
      return tableUnderWay()
    },
    tableUnderWay,
  }
}
