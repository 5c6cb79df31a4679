/**
 * What the processes of a fleet note down while they run. All times are milliseconds on one clock that all of them share, such as
 * `process.hrtime` on one machine.
 */

/** One read of one row, as its reader saw it. */
export interface ReadRecord {
  readonly process: string
  /** Any text that stands for the row, the same in all records: `products/42`. */
  readonly key: string
  readonly startedMs: number
  readonly endedMs: number
  /** The stamp of the row that came back; null: none did. */
  readonly version: string | null
  /** Where the answer came from, as far as it is known. Answers from `memory` may lag behind writes of other processes. */
  readonly from?: 'memory' | 'cache' | 'database' | undefined
  /** The session it was made under. */
  readonly session?: string | undefined
  /** How stale it was allowed to be. */
  readonly maxStaleMs?: number | undefined
  /** What the row says of itself, where rows carry their key and stamp a second time in columns of their own. */
  readonly says?: { readonly key: string; readonly version: string } | undefined
}

/** One write of one row, and what its writer was told. */
export interface WriteRecord {
  readonly process: string
  readonly key: string
  readonly startedMs: number
  readonly endedMs: number
  /** The row's stamp after it; of a deletion the least that a row which comes back may have. Null: not known. */
  readonly version: string | null
  /** It left no row. */
  readonly absent?: boolean | undefined
  /**
   * `fenced`, `pending`: what the write returned. `unknown`: its COMMIT was never answered. `rolled-back`: it never took place.
   * `outside`: committed by somebody who knows of no cache; `endedMs` is when that was certain.
   */
  readonly outcome: 'fenced' | 'pending' | 'unknown' | 'rolled-back' | 'outside'
  readonly session?: string | undefined
}

/** One row loaded from the database on behalf of the cache. */
export interface LoadRecord {
  readonly process: string
  readonly key: string
  readonly startedMs: number
  readonly endedMs: number
}

/** What some place still held when nothing was written any more, beside what the database held. */
export interface RestRecord {
  /** `redis`, `redis copy`, `memory of web-1`. */
  readonly place: string
  readonly key: string
  /** Null: the place remembers that there is no row. */
  readonly version: string | null
  /** Null: there is no row. */
  readonly stored: string | null
}

/** All of it. Plain data: it may be written to a file or sent between processes. */
export interface HistoryRecords {
  readonly reads: readonly ReadRecord[]
  readonly writes: readonly WriteRecord[]
  readonly loads: readonly LoadRecord[]
  readonly atRest: readonly RestRecord[]
}
