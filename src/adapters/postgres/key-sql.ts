import { type RawBuilder, sql } from 'kysely'
import type { KeyColumn, KeyType } from './key-column.js'

/** A key column as it can be compared: Postgres has no operators for a domain over an enum; of other domains it sees the type below by itself. */
export function comparable({ type }: KeyColumn, column: RawBuilder<unknown>): RawBuilder<unknown> {
  return type.name === 'enum' ? sql`${column}::${sql.raw(type.sqlName)}` : column
}

/**
 * The type that ids of a column are cast to. Never a domain: an id that the domain's check refuses is just not found. If an id is too large for
 * the type as this process knows it, a wider type: the column may have been widened since, and compares with both.
 */
export function castType(column: KeyColumn, ids: readonly string[]): string {
  const { type } = column
  if (!ids.every((id) => column.holds(id))) return 'bigint'
  switch (type.name) {
    case 'char':
      // `character` alone would mean character(1).
      return 'bpchar'
    case 'varchar':
      return 'text'
    case 'enum':
      return type.sqlName
    default:
      return type.name
  }
}

/** A text as the label of an enum; null where it is none: cast, it would fail the statement. */
export function labelOf(type: KeyType & { readonly name: 'enum' }, text: RawBuilder<unknown>): RawBuilder<unknown> {
  return sql`(select label from unnest(enum_range(null::${sql.raw(type.sqlName)})) as label where label::text = ${text})`
}
