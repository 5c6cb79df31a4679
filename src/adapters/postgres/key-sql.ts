import { type RawBuilder, sql } from 'kysely'
import type { KeyColumn } from './key-column.js'

/** A key column as it can be compared: Postgres has no operators for a domain over an enum; of other domains it sees the type below by itself. */
export function comparable({ type }: KeyColumn, column: RawBuilder<unknown>): RawBuilder<unknown> {
  return type.name === 'enum' ? sql`${column}::${sql.raw(type.sqlName)}` : column
}
