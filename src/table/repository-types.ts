import type { Insertable, Selectable, SelectType, Updateable } from 'kysely'
import type { FenceState } from '../engine/fencer.js'

/** Shown by the compiler in place of a confusing mismatch. */
export interface TypeProblem<Message extends string> {
  readonly __problem__: Message
}

export type TableName<DB> = keyof DB & string
export type ColumnName<Table> = keyof Table & string

/** Columns whose values can be part of an id: strings, numbers, bigints and booleans, not null. */
export type IdColumn<Table> = {
  [C in ColumnName<Table>]: SelectType<Table[C]> extends string | number | bigint | boolean ? C : never
}[ColumnName<Table>]

/** Columns that can be looked up: as above, null allowed (a null is never looked up). */
export type LookupColumn<Table> = {
  [C in ColumnName<Table>]: NonNullable<SelectType<Table[C]>> extends string | number | bigint | boolean ? C : never
}[ColumnName<Table>]

export type VersionColumn<Table> = {
  [C in ColumnName<Table>]: SelectType<Table[C]> extends string | number | bigint ? C : never
}[ColumnName<Table>]

export type KeySpec<Table> = IdColumn<Table> | readonly [IdColumn<Table>, ...IdColumn<Table>[]]
export type LookupSpec<Table> = LookupColumn<Table> | readonly [LookupColumn<Table>, ...LookupColumn<Table>[]]

/** A row as `selectAll` of Kysely gives it. Frozen: it may be shared with other readers. */
export type RowOf<DB, T extends TableName<DB>> = Readonly<Selectable<DB[T]>>

/** The id of a row: the key column's value, or for a composite key an object with all of them. */
export type IdOf<Table, Key> = Key extends readonly (infer C)[]
  ? { readonly [P in C & ColumnName<Table>]: SelectType<Table[P]> }
  : Key extends ColumnName<Table>
    ? SelectType<Table[Key]>
    : never

/** The columns of the key, as a query selects them. */
export type KeyColumns<Table, Key> = Key extends readonly (infer C)[]
  ? { readonly [P in C & ColumnName<Table>]: SelectType<Table[P]> }
  : { readonly [P in Key & ColumnName<Table>]: SelectType<Table[P]> }

/** What `findBy` takes: one of the declared `unique` columns, or all columns of a declared list. */
export type LookupOf<Table, Unique extends readonly unknown[]> = Unique extends readonly []
  ? TypeProblem<'declare the column in `unique` to look rows up by it'>
  : { [At in keyof Unique]: LookupValues<Table, Unique[At]> }[number]

type LookupValues<Table, Spec> = Spec extends readonly (infer C)[]
  ? { readonly [P in C & ColumnName<Table>]: NonNullable<SelectType<Table[P]>> }
  : Spec extends ColumnName<Table>
    ? { readonly [P in Spec]: NonNullable<SelectType<Table[P]>> }
    : never

export type NewRow<DB, T extends TableName<DB>> = Insertable<DB[T]>
export type RowPatch<DB, T extends TableName<DB>> = Updateable<DB[T]>

/** What a write did. */
export interface WriteResult<Row, Fence extends string = FenceState> {
  /** The row as written, from the statement itself; after a delete the row as it was. */
  readonly row: Row
  /** Its stamp, for `expectVersion`. Undefined for a table without one. */
  readonly version: string | undefined
  /**
   * `fenced`: every later cached read in any process is at least this new. `pending`: the cache did not answer; this process
   * keeps telling it. `at-commit`: inside a transaction, decided when that commits.
   */
  readonly fence: Fence
}

/**
 * Where a read may be answered from.
 *
 * - `cached` (default): the cache, if it is as new as this process (or the session) must see;
 * - `verified`: the cache, after its stamp was compared with the row's by a cheap probe; what differs is read anew;
 * - `primary`: the database, passing the cache by in both directions;
 * - `refresh`: the database, and the cache is brought up to it;
 * - `{ maxStaleMs }`: the cache, if it is proven to lack no change that was committed more than so long before the read began; otherwise
 *   the database. Needs the outbox and a relay, without which the database answers always. 1 to 86 400 000.
 */
export type Consistency = 'cached' | 'verified' | 'primary' | 'refresh' | { readonly maxStaleMs: number }
