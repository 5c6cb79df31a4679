import type { Kysely } from 'kysely'
import type { EncryptionOptions } from '../adapters/codec/encryption-options.js'
import { readTable, type TableFacts } from '../adapters/postgres/catalog.js'
import type { KeyColumn } from '../adapters/postgres/key-column.js'
import { canonicalId, IMPOSSIBLE } from '../adapters/postgres/key-column.js'
import { PostgresRowSource } from '../adapters/postgres/row-source.js'
import type { AnyDatabase } from '../adapters/postgres/row-writer.js'
import type { CanonicalId } from '../core/ports.js'
import type { RestRecord } from './records.js'
import { findStoredCopies, type ScannableRedis, type StoredCopy } from './stored-copies.js'

/** A table whose copies are compared, as its repository was declared. */
export interface RestTable {
  readonly table: string
  readonly key: string | readonly string[]
  readonly unique?: readonly (string | readonly string[])[]
  readonly version?: string
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

/**
 * Compares every copy with the row it is of: each key of the namespace in Redis, slot copies and remembered absences included, and what
 * this process holds in memory. Nothing may be written meanwhile, and what is under way should have had its time.
 *
 * @throws ConfigError or SourceError as repositories do, and whatever Redis throws.
 */
export async function compareAtRest<DB>(options: AtRestOptions<DB>): Promise<AtRest> {
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
