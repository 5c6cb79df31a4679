import type { AliasableExpression } from 'kysely'
import { keysOfQuery, recentKeys } from '../adapters/postgres/key-pages.js'
import type { AnyDatabase } from '../adapters/postgres/row-writer.js'
import type { Clock } from '../core/clock.js'
import { ConfigError } from '../core/errors.js'
import type { CanonicalId } from '../core/ports.js'
import { toVersion, type Version } from '../core/version.js'
import { type WarmKey, type WarmProgress, warm } from '../jobs/warm.js'
import type { CachedTable } from './cached-table.js'
import { checkJobOptions } from './job-parts.js'

export type { WarmProgress }

export interface WarmUpOptions {
  /** Rows loaded a second at most. Default 500. */
  readonly ratePerSecond?: number
  /** Keys looked at, loaded and stored together: one SELECT. Default 50. */
  readonly concurrency?: number
  /** Keys at most. Default: all; 10 000 for `recent`. */
  readonly limit?: number
  /** Goes on behind this `cursor` of an earlier warm-up of the same kind. */
  readonly after?: string
  /** Ends the warm-up between two pages; it rejects with the signal's reason. */
  readonly signal?: AbortSignal
  /** Called after every page. What it returns is waited for; what it throws, or rejects with, ends the warm-up. */
  readonly onProgress?: (progress: WarmProgress) => unknown
}

/** What to warm up: ids, a query that selects the key's columns, or the rows that were written last. */
export type WarmUpSource = Iterable<unknown> | AsyncIterable<unknown> | WarmUpQuery | 'recent'
type WarmUpQuery = (db: AnyDatabase) => AliasableExpression<unknown>

const DEFAULTS = { ratePerSecond: 500, concurrency: 50, recent: 10_000 } as const
const OPTION_NAMES = ['ratePerSecond', 'concurrency', 'limit', 'after', 'signal', 'onProgress']

/**
 * Fills the rows of a table ahead of their readers. See docs/guides/warm-up.md.
 *
 * @throws ConfigError for bad options, KeyError for an id that is none, SourceError if the keys cannot be listed, `signal.reason`.
 */
export async function warmUp(
  parts: { db: AnyDatabase; clock: Clock; table: () => Promise<CachedTable> },
  source: WarmUpSource,
  options: WarmUpOptions,
): Promise<WarmProgress> {
  check(options)
  const { db, clock } = parts
  const table = await parts.table()
  const keys = limited(keysOf(db, table, source, options), options.limit)
  return warm<CanonicalId>({
    keys,
    // Asked each time: a closed instance warms nothing any more.
    fill: async (id) => (await parts.table()).warm(id),
    clock,
    ratePerSecond: options.ratePerSecond ?? DEFAULTS.ratePerSecond,
    concurrency: options.concurrency ?? DEFAULTS.concurrency,
    signal: options.signal,
    total: sizeOf(source),
    cursor: options.after,
    onProgress: options.onProgress,
  })
}

function keysOf(db: AnyDatabase, table: CachedTable, source: WarmUpSource, { after, limit }: WarmUpOptions) {
  if (source === 'recent') {
    if (table.facts.version === undefined) {
      throw new ConfigError('warm', 'ids or a query for a table without a version stamp', source)
    }
    return recent(db, table, after, limit ?? DEFAULTS.recent)
  }
  if (typeof source === 'function') return queried(db, table, source, after)
  const isListed = typeof source === 'object' && source !== null
  if (isListed && (Symbol.iterator in source || Symbol.asyncIterator in source)) return listed(table, source, after)
  throw new ConfigError('warm', "ids, a query or 'recent'", source)
}

/** A list's cursor counts: what was dealt with is passed over by going through the list once more. */
async function* listed(
  table: CachedTable,
  ids: Iterable<unknown> | AsyncIterable<unknown>,
  after: string | undefined,
): AsyncGenerator<WarmKey<CanonicalId>> {
  const done = after === undefined ? 0 : Number(readCursor('ids', after, 1)[0])
  let at = 0
  for await (const id of ids) {
    at++
    if (at > done) yield { id: table.idOf(id), cursor: writeCursor('ids', [String(at)]) }
  }
}

async function* queried(
  db: AnyDatabase,
  table: CachedTable,
  query: WarmUpQuery,
  after: string | undefined,
): AsyncGenerator<WarmKey<CanonicalId>> {
  const { facts } = table
  const last = after === undefined ? undefined : readCursor('query', after, facts.key.length)
  for await (const id of keysOfQuery(db, facts, selected(query(db)), last))
    yield { id, cursor: writeCursor('query', id) }
}

/** @throws ConfigError for what is no query, as of a function that does not return it. */
function selected(query: unknown): AliasableExpression<unknown> {
  const found = query as Partial<AliasableExpression<unknown>> | null | undefined
  if (typeof found?.as === 'function') return query as AliasableExpression<unknown>
  throw new ConfigError('warm', 'a query that the function returns', query)
}

async function* recent(
  db: AnyDatabase,
  table: CachedTable,
  after: string | undefined,
  limit: number,
): AsyncGenerator<WarmKey<CanonicalId>> {
  const { facts } = table
  const [stamp, ...last] = after === undefined ? [] : readCursor('recent', after, 1 + facts.key.length)
  const from = stamp === undefined ? undefined : { version: toVersion(stamp) as Version, id: last }
  for await (const { id, version } of recentKeys(db, facts, from, limit)) {
    yield { id, cursor: writeCursor('recent', [version, ...id]) }
  }
}

async function* limited<Key>(keys: AsyncIterable<Key>, limit: number | undefined): AsyncGenerator<Key> {
  let left = limit ?? Number.POSITIVE_INFINITY
  if (left === 0) return
  for await (const key of keys) {
    yield key
    if (--left === 0) return
  }
}

function writeCursor(kind: string, parts: readonly string[]): string {
  return `${kind}.${Buffer.from(JSON.stringify(parts)).toString('base64url')}`
}

function readCursor(kind: string, cursor: string, length: number): string[] {
  const [given, encoded = ''] = cursor.split('.')
  let parts: unknown
  try {
    parts = given === kind ? JSON.parse(Buffer.from(encoded, 'base64url').toString('utf8')) : undefined
  } catch {}
  const isOurs = Array.isArray(parts) && parts.length === length && parts.every((part) => typeof part === 'string')
  const isCounted = kind === 'query' || (isOurs && toVersion((parts as string[])[0]) !== undefined)
  if (isOurs && isCounted) return parts as string[]
  throw new ConfigError('after', 'the `cursor` of an earlier warm-up of the same kind', cursor)
}

function sizeOf(source: WarmUpSource): number | undefined {
  if (Array.isArray(source)) return source.length
  return source instanceof Set || source instanceof Map ? source.size : undefined
}

function check(options: WarmUpOptions): void {
  checkJobOptions('warm', options, OPTION_NAMES)
  const { concurrency, limit, after } = options
  if (concurrency !== undefined && !(Number.isInteger(concurrency) && concurrency >= 1 && concurrency <= 1_000)) {
    throw new ConfigError('warm.concurrency', 'a whole number from 1 to 1 000', concurrency)
  }
  if (limit !== undefined && !(Number.isInteger(limit) && limit >= 0)) {
    throw new ConfigError('warm.limit', 'a whole number', limit)
  }
  if (after !== undefined && typeof after !== 'string') throw new ConfigError('warm.after', 'a cursor', after)
}
