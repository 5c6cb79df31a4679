import type { Version } from './version.js'

/** `row`: a row. `absent`: no row has this key. `lookup`: the key of the row a unique column points to. `query`: a result. */
export type EntryKind = 'row' | 'absent' | 'lookup' | 'query'

/** What a fill stores: everything but the time, which the store adds from its own clock. */
export interface NewEntry {
  readonly kind: EntryKind
  /** Fingerprint of the columns the payload was written with, 8 hex characters. Another shape is a miss. */
  readonly shape: string
  /** The row's stamp; undefined where a version cannot order things. */
  readonly version: Version | undefined
  /** `pg_current_snapshot()` of the load, where it orders what a version cannot. */
  readonly snapshot: string | undefined
  /** How long the entry counts as fresh, jitter included. */
  readonly freshMs: number
  /** What the load cost, for early refresh: expected time from decision to visible value. */
  readonly loadMs: number
  /** Epoch of the namespace at the time of the load, 8 digits to the base 36. Another epoch is a miss. */
  readonly epoch: string
  readonly payload: Uint8Array
}

/** A cached value or remembered absence, as read back. */
export interface Entry extends NewEntry {
  /** When the fill landed, on the store's clock (milliseconds since the Unix epoch). */
  readonly filledAtMs: number
}
