import type { Kysely } from 'kysely'
import type { EncryptionOptions } from '../adapters/codec/encryption-options.js'
import { readTable, type TableFacts } from '../adapters/postgres/catalog.js'
import type { KeyColumn } from '../adapters/postgres/key-column.js'
import { canonicalId, IMPOSSIBLE } from '../adapters/postgres/key-column.js'
import { PostgresRowSource } from '../adapters/postgres/row-source.js'
import type { AnyDatabase } from '../adapters/postgres/row-writer.js'
import { checkNamespace } from '../config.js'
import { ConfigError } from '../core/errors.js'
import { refuseUnknown } from '../core/known-options.js'
import type { CanonicalId } from '../core/ports.js'
import type { RestRecord } from './records.js'
import { findStoredCopies, type ScannableRedis, type StoredCopy } from './stored-copies.js'
import { isColumns } from './watched-table.js'

/** A table whose copies are compared, as its repository was declared. */
export interface RestTable {
  readonly table: string
  readonly key: string | readonly string[]
  readonly unique?: readonly (string | readonly string[])[]
  /** `false`: it has none, and its copies are skipped. */
  readonly version?: string | false
  /** A repository of this process, whose memory is compared too, for these ids. */
  readonly memory?: { readonly repository: { peek(id: never): object | undefined }; readonly ids: readonly unknown[] }
}

export interface AtRestOptions<DB> {
  readonly db: Kysely<DB>
  /** Left out: only memories are compared. */
  readonly redis?: ScannableRedis
  readonly namespace: string
  /** As `createCorral` was given it. Without it encrypted entries are skipped. */
  readonly encryption?: EncryptionOptions
  readonly tables: readonly RestTable[]
  /** Names the memory that was compared. Default `this process`. */
  readonly process?: string
}

export interface AtRest {
  readonly records: readonly RestRecord[]
  /** Entries that could not be compared: results of queries, ids too long for a key, pointers to rows, tables not named. */
  readonly skipped: number
}

const OPTION_NAMES = ['db', 'redis', 'namespace', 'encryption', 'tables', 'process']
const TABLE_OPTION_NAMES = ['table', 'key', 'unique', 'version', 'memory']

/**
 * Compares every copy with the row it is of: each key of the namespace in Redis, slot copies and remembered absences included, and what
 * this process holds in memory. Nothing may be written meanwhile, and what is under way should have had its time.
 *
 * @throws ConfigError or SourceError as repositories do, and whatever Redis throws.
 */
export async function compareAtRest<DB>(options: AtRestOptions<DB>): Promise<AtRest> {
  check(options)
  const db = options.db as AnyDatabase
  const tables = await Promise.all(
    options.tables.map(async (table) => ({ ...table, facts: await readTable(db, table) })),
  )
  const records: RestRecord[] = []
  let skipped = 0
  if (options.redis !== undefined) {
    const { copies, unread } = await findStoredCopies(options.redis, options.namespace, options.encryption)
    skipped += unread
    const groups = new Map<string, StoredCopy[]>()
    for (const copy of copies) {
      const group = `${copy.entity} ${copy.columns ?? ''}`
      groups.set(group, [...(groups.get(group) ?? []), copy])
    }
    for (const group of groups.values()) {
      const compared = await compareGroup(
        db,
        tables.find(({ facts }) => facts.entity === group[0]?.entity)?.facts,
        group,
      )
      records.push(...compared)
      skipped += group.length - compared.length
    }
  }
  const place = `memory of ${options.process ?? 'this process'}`
  for (const table of tables) records.push(...(await compareMemory(db, table, place)))
  return { records, skipped }
}

/** What is misspelt would be compared with nothing, and nothing be found. */
function check<DB>(options: AtRestOptions<DB>): void {
  if (typeof options !== 'object' || options === null) {
    throw new ConfigError('compareAtRest', 'an object of options', options)
  }
  refuseUnknown('compareAtRest', options, OPTION_NAMES)
  const { db, redis, namespace, tables, process } = options
  if (typeof db?.selectFrom !== 'function') throw new ConfigError('compareAtRest.db', 'a Kysely over Postgres', db)
  if (redis !== undefined && !isScannable(redis)) {
    throw new ConfigError('compareAtRest.redis', 'a Redis or Cluster of ioredis', redis)
  }
  checkNamespace(namespace)
  if (!Array.isArray(tables) || tables.length === 0) {
    throw new ConfigError('compareAtRest.tables', 'a list of tables: `[{ table, key }]`', tables)
  }
  for (const table of tables) checkTable(table)
  if (process !== undefined && typeof process !== 'string') {
    throw new ConfigError('compareAtRest.process', 'a name', process)
  }
}

function isScannable(redis: unknown): boolean {
  const { scan, nodes } = Object(redis) as { scan?: unknown; nodes?: unknown }
  return typeof scan === 'function' || typeof nodes === 'function'
}

function checkTable(given: RestTable): void {
  const where = 'compareAtRest.tables'
  if (typeof given !== 'object' || given === null) throw new ConfigError(where, '`{ table, key }` each', given)
  refuseUnknown(where, given, TABLE_OPTION_NAMES)
  const { table, key, unique = [], version, memory } = given
  if (typeof table !== 'string' || table === '') throw new ConfigError(`${where}.table`, 'the name of a table', table)
  if (!isColumns(key)) throw new ConfigError(`${where}.key`, 'a column or a list of columns', key)
  if (!Array.isArray(unique) || !unique.every(isColumns)) {
    throw new ConfigError(`${where}.unique`, 'a list of columns, or of lists of columns', unique)
  }
  if (version !== undefined && version !== false && typeof version !== 'string') {
    throw new ConfigError(`${where}.version`, 'a column, or false', version)
  }
  if (memory === undefined) return
  if (typeof memory?.repository?.peek !== 'function' || !Array.isArray(memory.ids)) {
    throw new ConfigError(`${where}.memory`, '`{ repository, ids }`', memory)
  }
}

async function compareGroup(
  db: AnyDatabase,
  facts: TableFacts | undefined,
  group: readonly StoredCopy[],
): Promise<RestRecord[]> {
  const columns = group[0]?.columns
  const by = columns === undefined ? facts?.key : facts?.unique.find((unique) => namesOf(unique) === columns)
  if (facts?.version === undefined || by === undefined) return []
  // A pointer is checked by the row it leads to whenever it is followed.
  const comparable = group.filter(({ kind, entry }) => kind === 'row' || entry.kind === 'absent')
  const stored = await new PostgresRowSource({ db, facts, by }).versions(comparable.map(({ id }) => id))
  return comparable.map(({ redisKey, isCopy, entry }, at) => ({
    place: isCopy ? 'redis copy' : 'redis',
    key: redisKey,
    version: entry.kind === 'absent' ? null : (entry.version ?? null),
    stored: stored[at] ?? null,
  }))
}

function namesOf(columns: readonly KeyColumn[]): string {
  return columns.map(({ column }) => column).join(',')
}

async function compareMemory(
  db: AnyDatabase,
  { facts, memory, table }: RestTable & { readonly facts: TableFacts },
  place: string,
): Promise<RestRecord[]> {
  const { version } = facts
  if (memory === undefined || version === undefined) return []
  const held: { id: CanonicalId; version: string }[] = []
  for (const given of memory.ids) {
    const id = canonicalId(facts.key, given)
    const row = id === IMPOSSIBLE ? undefined : memory.repository.peek(given as never)
    if (row === undefined || id === IMPOSSIBLE) continue
    held.push({ id, version: String((row as Record<string, unknown>)[version.property]) })
  }
  if (held.length === 0) return []
  const stored = await new PostgresRowSource({ db, facts }).versions(held.map(({ id }) => id))
  return held.map((each, at) => ({
    place,
    key: `${table}/${each.id.join(',')}`,
    version: each.version,
    stored: stored[at] ?? null,
  }))
}
