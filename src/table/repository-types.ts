import type { Insertable, Selectable, SelectType, Simplify, Updateable } from 'kysely'
import type { FenceState } from '../engine/fencer.js'

/** Shown by the compiler in place of a confusing mismatch. */
export interface TypeProblem<Message extends string> {
  readonly __problem__: Message
}

export type TableName<DB> = keyof DB & string
export type ColumnName<Table> = keyof Table & string

// `& string`: so that the compiler shows the columns there are, and not the name of the type.

/** Columns whose values can be part of an id: strings, numbers, bigints and booleans, not null. */
export type IdColumn<Table> = string &
  {
    [C in ColumnName<Table>]: SelectType<Table[C]> extends string | number | bigint | boolean ? C : never
  }[ColumnName<Table>]

/** Columns that can be looked up: as above, null allowed (a null is never looked up). */
export type LookupColumn<Table> = string &
  {
    [C in ColumnName<Table>]: NonNullable<SelectType<Table[C]>> extends string | number | bigint | boolean ? C : never
  }[ColumnName<Table>]

export type VersionColumn<Table> = string &
  {
    [C in ColumnName<Table>]: SelectType<Table[C]> extends string | number | bigint ? C : never
  }[ColumnName<Table>]

/** The name of a column, or of several. */
export type ColumnList = string | readonly string[]

/** Shown by the compiler in place of a column that will not do: why, and which would. */
export interface WrongColumn<Why extends string, Instead> {
  readonly __problem__: Why
  readonly __instead__: Instead
}

/** What `key` has to be where `Key` was given: the same, or what is wrong with it in words. */
export type CheckedKey<Table, Key> = string extends Key
  ? IdColumn<Table> | readonly [IdColumn<Table>, ...IdColumn<Table>[]]
  : Key &
      (Key extends readonly []
        ? TypeProblem<'a key has at least one column'>
        : Key extends readonly unknown[]
          ? { readonly [At in keyof Key]: CheckedKeyColumn<Table, Key[At]> }
          : CheckedKeyColumn<Table, Key>)

type CheckedKeyColumn<Table, Column> =
  Column extends IdColumn<Table>
    ? Column
    : WrongColumn<
        Column extends NullableColumn<Table>
          ? `\`${Column}\` may be null, which no column of a key may be`
          : ColumnProblem<Table, Column>,
        IdColumn<Table>
      >

/** The same of `unique`. An empty one lets editors know what could be in it. */
export type CheckedLookups<Table, Unique extends readonly unknown[]> = Unique extends readonly []
  ? readonly [] | readonly [LookupSpec<Table>, ...LookupSpec<Table>[]]
  : Unique & { readonly [At in keyof Unique]: CheckedLookup<Table, Unique[At]> }

type LookupSpec<Table> = LookupColumn<Table> | readonly [LookupColumn<Table>, ...LookupColumn<Table>[]]

type CheckedLookup<Table, Spec> = string extends Spec
  ? LookupSpec<Table>
  : Spec extends readonly []
    ? TypeProblem<'a list of unique columns has at least one'>
    : Spec extends readonly unknown[]
      ? { readonly [At in keyof Spec]: CheckedLookupColumn<Table, Spec[At]> }
      : CheckedLookupColumn<Table, Spec>

type CheckedLookupColumn<Table, Column> =
  Column extends LookupColumn<Table> ? Column : WrongColumn<ColumnProblem<Table, Column>, LookupColumn<Table>>

type ColumnProblem<Table, Column> =
  Column extends ColumnName<Table>
    ? `\`${Column}\` holds other values than text, numbers, bigints and booleans`
    : `the table has no column \`${Column & string}\``

type NullableColumn<Table> = {
  [C in ColumnName<Table>]: null extends SelectType<Table[C]> ? C : never
}[ColumnName<Table>]

/**
 * A row as `selectAll` of Kysely gives it. Frozen, with all that is in it: it may be shared with other readers. The types of lists and JSON in it do not
 * say so, for then none could be handed to a function that takes a `string[]`.
 */
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
  : { [At in keyof Unique]: LookupValues<Table, ColumnsIn<Unique[At]>, ColumnsIn<Unique[number]>> }[number]

type ColumnsIn<Spec> = Spec extends readonly (infer C)[] ? C : Spec

/** Columns of other lookups are ruled out by name: of a union the compiler takes any mixture. */
type LookupValues<Table, Columns, Declared> = Simplify<
  { readonly [C in Columns & ColumnName<Table>]: NonNullable<SelectType<Table[C]>> } & {
    readonly [C in Exclude<Declared, Columns> & string]?: TypeProblem<'give the columns of one lookup only'>
  }
>

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
