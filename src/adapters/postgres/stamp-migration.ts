import { type Migration, sql } from 'kysely'
import { ConfigError } from '../../core/errors.js'
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
 * docs/guides/version-stamps.md for lock timeouts, privileges and pruning. Throws `ConfigError` on a name it cannot use.
 *
 * ```ts
 * export const { up, down } = stampTable({ table: 'products', key: 'id' })
 * ```
 */
export function stampTable(options: StampTableOptions): Required<Migration> {
  const statements = stampTableSql(options)
  const run = (list: readonly string[]): Migration['up'] => {
    return async (db) => {
      for (const statement of list) await sql.raw(statement).execute(db)
    }
  }
  return { up: run(statements.up), down: run(statements.down) }
}

/** The statements `stampTable` runs, in order and without closing semicolons, for other migration tools. */
export function stampTableSql(options: StampTableOptions): {
  readonly up: readonly string[]
  readonly down: readonly string[]
} {
  const stamp = resolveStamp(options)
  return { up: stampUp(stamp), down: stampDown(stamp) }
}

function resolveStamp(options: StampTableOptions): Stamp {
  const stamp = {
    schema: options.schema ?? 'public',
    table: options.table,
    key: typeof options.key === 'string' ? [options.key] : [...(options.key ?? [])],
    column: options.column ?? STAMP_COLUMN,
    tombstones: options.tombstones ?? true,
    corralSchema: options.corralSchema ?? 'corral',
  }
  for (const option of ['schema', 'table', 'column', 'corralSchema'] as const) requireName(option, stamp[option])
  for (const part of stamp.key) requireName('key', part)
  if (stamp.key.length === 0) throw new ConfigError('key', 'at least one column', options.key)
  for (const option of ['schema', 'table'] as const) {
    if (stamp[option].includes('.')) {
      throw new ConfigError(option, 'a name without a dot (the schema is an option of its own)', stamp[option])
    }
  }
  return stamp
}

function requireName(option: string, found: unknown): void {
  if (typeof found !== 'string' || found === '' || found.includes('\0')) {
    throw new ConfigError(option, 'the name of a database object', found)
  }
}
