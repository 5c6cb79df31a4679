import { ConfigError } from '../../core/errors.js'
import { checkOptions } from '../../core/known-options.js'
import { type CorralMigration, migration, type Statements } from './migration.js'
import { columnsOf, requireName, requireTable } from './migration-options.js'
import { STAMP_COLUMN, type Stamp, stampDown, stampUp } from './stamp-sql.js'

/** Which table gets a version stamp. All names are the database's own, as `\d` shows them, also under `CamelCasePlugin`. */
export interface StampTableOptions {
  readonly table: string
  /** Default: `public`. */
  readonly schema?: string
  /** The primary key's column or columns (or those of the unique index that Corral uses as the key). */
  readonly key: string | readonly string[]
  /** The column that holds the stamp; made unless it is there already as `bigint not null`. Default: `corral_version`. */
  readonly column?: string
  /**
   * Remember the stamps of deleted rows, so that a row that comes back under an old key gets a newer stamp whatever
   * the clock and concurrent transactions do. Default: true. Turn off for keys that are never used twice (identity,
   * random uuids): it saves an index look-up an INSERT and a row a DELETE. Partitioned tables need it.
   */
  readonly tombstones?: boolean
  /** The schema for Corral's functions and tombstones, shared by all tables and made when it is missing. Default: `corral`. */
  readonly corralSchema?: string
}

/**
 * A Kysely migration that gives a table its version stamp: a `bigint not null` column that a trigger sets on every
 * INSERT and UPDATE, whoever makes it. `up` and `down` may each run any number of times; `down` removes what `up`
 * made and nothing else.
 *
 * `up` does not rewrite the table, but takes an ACCESS EXCLUSIVE lock on it until its transaction ends: see
 * docs/guides/version-stamps.md for lock timeouts, privileges and pruning. Throws `ConfigError` on an option it cannot use.
 *
 * ```ts
 * export const { up, down } = stampTable({ table: 'products', key: 'id' })
 * ```
 */
export function stampTable(options: StampTableOptions): CorralMigration {
  return migration(stampTableSql(options))
}

/** The statements `stampTable` runs, in order and without closing semicolons, for other migration tools. */
export function stampTableSql(options: StampTableOptions): Statements {
  const stamp = resolveStamp(options)
  return { up: stampUp(stamp), down: stampDown(stamp) }
}

const OPTION_NAMES = ['table', 'schema', 'key', 'column', 'tombstones', 'corralSchema']

function resolveStamp(options: StampTableOptions): Stamp {
  checkOptions('stampTable', options, OPTION_NAMES)
  const { schema = 'public', table, column = STAMP_COLUMN, tombstones = true, corralSchema = 'corral' } = options
  requireTable({ schema, table })
  for (const [option, found] of Object.entries({ column, corralSchema })) requireName(option, found)
  if (typeof tombstones !== 'boolean') throw new ConfigError('tombstones', 'true or false', tombstones)
  const key = columnsOf('key', options.key)
  // The trigger sets it, whatever the statement says.
  if (key.includes(column)) throw new ConfigError('column', 'a column that is not part of the key', column)
  return { schema, table, key, column, tombstones, corralSchema }
}
