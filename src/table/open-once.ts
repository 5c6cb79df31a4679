import type { AnyDatabase } from '../adapters/postgres/row-writer.js'
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
  /** The same for a read, which waits for it no longer than for a load: rejects with FillTimeoutError then. It goes on being opened. */
  tableToRead(): Promise<CachedTable>
  /**
   * The same within a transaction that began before `close()`, which waits for it. The transaction holds a connection, and opening takes another, of a
   * pool that may have no more: so what failed when the transaction began is not tried again, and what is being opened is waited for as by a read.
   *
   * @param tx the transaction, to be opened on: then it is tried again.
   */
  tableInside(tx?: AnyDatabase): Promise<CachedTable>
}

/**
 * @param open reads the catalog, on the given transaction's connection if there is one.
 * @param inTime bounds a reader's wait.
 */
export function openOnce(
  open: (on?: AnyDatabase) => Promise<CachedTable>,
  assertOpen: () => void,
  inTime: (opening: Promise<CachedTable>) => Promise<CachedTable>,
): OpenedOnce {
  let opening: Promise<CachedTable> | undefined
  let opened: CachedTable | undefined
  let failure: { readonly error: unknown } | undefined
  const tableUnderWay = async (on?: AnyDatabase) => {
    opening ??= open(on).catch((error) => {
      opening = undefined
      failure = { error }
      throw error
    })
    opened = await opening
    return opened
  }
  const table = async () => {
    assertOpen()
    return tableUnderWay()
  }
  return {
    opened: () => {
      assertOpen()
      return opened
    },
    table,
    tableToRead: () => inTime(table()),
    tableInside: async (tx) => {
      if (failure !== undefined && opening === undefined && tx === undefined) throw failure.error
      return opened ?? inTime(tableUnderWay(tx))
    },
  }
}
