import { type Migration, sql } from 'kysely'
import { ConfigError } from '../../core/errors.js'
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

export interface Statements {
  readonly up: readonly string[]
  readonly down: readonly string[]
}

/**
 * A Kysely migration that makes the outbox all tables share, in schema `corral`. `up` and `down` may each run any number of times; `down` fails while
 * a table's `outboxTable` migration is still up. See docs/guides/outbox.md for privileges and cost.
 */
export function outboxTables(): Required<Migration> {
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
 * `up` takes a SHARE ROW EXCLUSIVE lock on the table until its transaction ends: reads go on, writes wait. Throws `ConfigError` on
 * a name it cannot use.
 *
 * ```ts
 * export const { up, down } = outboxTable({ table: 'products', key: 'id', unique: ['slug'] })
 * ```
 */
export function outboxTable(options: OutboxTableOptions): Required<Migration> {
  return migration(outboxTableSql(options))
}

/** The statements `outboxTable` runs, in order and without closing semicolons, for other migration tools. */
export function outboxTableSql(options: OutboxTableOptions): Statements {
  const table = resolveTable(options)
  return { up: outboxTableUp(table), down: outboxTableDown(table) }
}

export function migration({ up, down }: Statements): Required<Migration> {
  const run = (list: readonly string[]): Migration['up'] => {
    return async (db) => {
      for (const statement of list) await sql.raw(statement).execute(db)
    }
  }
  return { up: run(up), down: run(down) }
}

/** @throws ConfigError for a name that cannot be one. */
export function resolveTable(options: OutboxTableOptions): OutboxTable {
  const { schema = 'public', table, version = STAMP_COLUMN, columns = [], maxRows = 5_000 } = options
  const toList = (names: string | readonly string[] | undefined) =>
    typeof names === 'string' ? [names] : [...(names ?? [])]
  const key = toList(options.key)
  const unique = (options.unique ?? []).map(toList)
  for (const [option, found] of Object.entries({ schema, table })) requireName(option, found)
  if (version !== false) requireName('version', version)
  for (const [option, names] of [
    ['key', key],
    ['columns', columns],
    ...unique.map((each) => ['unique', each] as const),
  ] as const) {
    for (const each of names) requireName(option, each)
    if (names.length === 0 && option !== 'columns') throw new ConfigError(option, 'at least one column', names)
  }
  for (const [option, found] of Object.entries({ schema, table })) {
    if (found.includes('.'))
      throw new ConfigError(option, 'a name without a dot (the schema is an option of its own)', found)
  }
  if (!Number.isInteger(maxRows) || maxRows < 1) throw new ConfigError('maxRows', 'a whole number from 1', maxRows)
  return {
    schema,
    table,
    key,
    version: version === false ? undefined : version,
    unique,
    columns,
    maxRows,
  }
}

function requireName(option: string, found: unknown): void {
  if (typeof found !== 'string' || found === '' || found.includes('\0')) {
    throw new ConfigError(option, 'the name of a database object', found)
  }
}
