import type { CacheKey } from './key.js'
import type { SealedEntry, StoredBytes } from './ports.js'
import { compareVersions, type Version } from './version.js'

/** One key that a committed (or possibly committed) write made old. */
export interface Change {
  readonly key: CacheKey
  /** The row's stamp after the write; after a delete, the least a re-created row will have. Null: unknown. */
  readonly version: Version | null
  /** The writing transaction. Null: unknown. */
  readonly xid: string | null
  /** The write left no row under this key. */
  readonly absent: boolean
  /** A row's own key has a floor; a lookup or a query has none. */
  readonly hasFloor: boolean
  /** Of a mark: a stored value that begins with this is left alone. */
  readonly unless?: string
  /** The row as written, where it is to take the place of an older entry instead of only ending it. */
  readonly offer?: RowOffer | undefined
}

/** How new an entry has to be: what fences hold it against. */
export type Newness = Pick<Change, 'version' | 'xid'>

/**
 * As new as both ask, in one. An unknown version drops everything, so it stands for both; of two transactions the higher does: a standby's
 * snapshot is new enough only if all that it is held against are below it.
 */
export function newer(a: Newness, b: Newness): Newness {
  return {
    version: a.version === null || b.version === null ? null : higher(a.version, b.version),
    xid: a.xid === null || b.xid === null ? (a.xid ?? b.xid) : higher(a.xid, b.xid),
  }
}

function higher<Digits extends string>(a: Digits, b: Digits): Digits {
  return compareVersions(a, b) > 0 ? a : b
}

export interface RowOffer {
  /** After COMMIT: undefined when the row is not as it was written any more, or nobody can say. Never rejects. */
  prepare(): Promise<OfferedRow | undefined>
}

export interface OfferedRow {
  readonly sealed: SealedEntry
  /** How long the store keeps it, grace included. */
  readonly keepMs: number
  /** The same as it will lie in the store, for processes that hold an older one. */
  readonly bytes: StoredBytes
}
