import { ConfigError } from '../../core/errors.js'
import { checkOptions } from '../../core/known-options.js'
import { type CorralMigration, migration, type Statements } from './migration.js'
import { columnsOf, requireList, requireName, requireTable } from './migration-options.js'
import { requireOutboxColumns } from './outbox-columns-sql.js'
import { outboxDown, outboxUp } from './outbox-sql.js'
import { type OutboxTable, outboxTableDown, outboxTableUp } from './outbox-triggers-sql.js'
import { STAMP_COLUMN } from './stamp-sql.js'

/** Which table's changes reach the cache through the outbox. All names are the database's own, as `\d` shows them. */
export interface OutboxTableOptions {
  readonly table: string
  /** Default: `public`. */
  readonly schema?: string
  /** The key column or columns, in the order of the repository's `key`. */
  readonly key: string | readonly string[]
  /** The column that holds the version. `false`: rows have none. Default: `corral_version`, which `stampTable` makes. */
  readonly version?: string | false
  /** The repositories' `unique` columns, each list in the same order. Default: none. */
  readonly unique?: readonly (string | readonly string[])[]
  /** Columns by whose values cached queries are told apart. Default: none; then a change concerns all queries of the table. */
  readonly columns?: readonly string[]
  /**
   * Of a statement that changes more rows than this, the rest is told as one event, which makes the whole cache a miss. (Of statements
   * aimed at a partition the rows of a transaction count together.) Default: 5 000.
   */
  readonly maxRows?: number
}

const OPTION_NAMES = ['table', 'schema', 'key', 'version', 'unique', 'columns']

/**
 * A Kysely migration that makes the outbox all tables share, in schema `corral`. `up` and `down` may each run any number of times; `down` fails while
 * a table's `outboxTable` migration is still up. See docs/guides/outbox.md for privileges and cost.
 */
export function outboxTables(): CorralMigration {
  return migration(outboxTablesSql())
}

/** The statements `outboxTables` runs, in order and without closing semicolons, for other migration tools. */
export function outboxTablesSql(): Statements {
  return { up: outboxUp(), down: outboxDown() }
}

/**
 * A Kysely migration after which every change of a table, whoever makes it, is written to the outbox by triggers, in the
 * transaction that makes it. `up` and `down` may each run any number of times; `down` leaves the table as it was.
 *
 * `up` takes a SHARE ROW EXCLUSIVE lock on the table until its transaction ends: reads go on, writes wait. It fails where the table does not
 * have a column that is named: the version stamp comes first. Throws `ConfigError` on an option it cannot use.
 *
 * ```ts
 * export const { up, down } = outboxTable({ table: 'products', key: 'id', unique: ['slug'] })
 * ```
 */
export function outboxTable(options: OutboxTableOptions): CorralMigration {
  return migration(outboxTableSql(options))
}

/** The statements `outboxTable` runs, in order and without closing semicolons, for other migration tools. */
export function outboxTableSql(options: OutboxTableOptions): Statements {
  const table = resolveTable('outboxTable', options)
  return { up: [requireOutboxColumns(table), ...outboxTableUp(table)], down: outboxTableDown(table) }
}

/** @param call whose options they are: `maxRows` is the outbox' alone. @throws ConfigError */
export function resolveTable(call: 'outboxTable' | 'slotTable', options: OutboxTableOptions): OutboxTable {
  checkOptions(call, options, call === 'outboxTable' ? [...OPTION_NAMES, 'maxRows'] : OPTION_NAMES)
  const { schema = 'public', table, version = STAMP_COLUMN, unique = [], columns = [], maxRows = 5_000 } = options
  requireTable({ schema, table })
  if (version !== false) requireName('version', version)
  for (const [option, found] of Object.entries({ unique, columns })) requireList(option, found)
  for (const column of columns) requireName('columns', column)
  if (!Number.isInteger(maxRows) || maxRows < 1) throw new ConfigError('maxRows', 'a whole number from 1', maxRows)
  return {
    schema,
    table,
    key: columnsOf('key', options.key),
    version: version === false ? undefined : version,
    unique: unique.map((each) => columnsOf('unique', each)),
    columns,
    maxRows,
  }
}
