import { type CorralMigration, migration, type Statements } from './migration.js'
import { type OutboxTableOptions, resolveTable } from './outbox-migration.js'
import { slotDown, slotTableDown, slotTableUp, slotUp } from './slot-sql.js'

/** Which table's changes reach the cache through a logical-replication slot. All names are the database's own, as `\d` shows them. */
export type SlotTableOptions = Omit<OutboxTableOptions, 'maxRows'>

/**
 * A Kysely migration that makes what a relay with `source: 'slot'` needs, in schema `corral`: a publication `corral` and two small tables. It makes
 * no slot; the relay does. `up` and `down` may each run any number of times; `down` fails while a table is published or a relay's slot is
 * there. See docs/guides/change-sources.md for privileges and dangers.
 */
export function slotTables(): CorralMigration {
  return migration(slotTablesSql())
}

/** The statements `slotTables` runs, in order and without closing semicolons, for other migration tools. */
export function slotTablesSql(): Statements {
  return { up: slotUp(), down: slotDown() }
}

/**
 * A Kysely migration that adds a table to the publication. Where its replica identity does not tell the former values of `key` and `columns`
 * it is made FULL, of partitions too: that makes the log of its updates and deletes longer. `up` and `down` may each run any number of times;
 * `down` gives the table the replica identity it had.
 *
 * `up` takes an ACCESS EXCLUSIVE lock where it has to change a replica identity. It fails if `key` or `unique` has a generated column that slots are not
 * told of: any before Postgres 18, a virtual one since. Throws `ConfigError` on an option it cannot use.
 *
 * ```ts
 * export const { up, down } = slotTable({ table: 'products', key: 'id', unique: ['slug'] })
 * ```
 */
export function slotTable(options: SlotTableOptions): CorralMigration {
  return migration(slotTableSql(options))
}

/** The statements `slotTable` runs, in order and without closing semicolons, for other migration tools. */
export function slotTableSql(options: SlotTableOptions): Statements {
  const table = resolveTable('slotTable', options)
  return { up: slotTableUp(table), down: slotTableDown(table) }
}
