import type { Change } from '../core/change.js'
import { CacheUnavailableError, ConfigError } from '../core/errors.js'
import { type CacheKey, epochKey, type KeyParts, parseKey } from '../core/key.js'
import type { CanonicalId, StoredBytes } from '../core/ports.js'
import { readCursor, writeCursor } from '../jobs/job-cursor.js'
import { inParts, WALK_START, type WalkedPage, type WalkPosition, walkKeys } from '../jobs/key-walk.js'
import { pageSize } from '../jobs/pace.js'
import { askPatiently, patiently } from '../jobs/patience.js'
import { type RebuildFigures, type RebuildPage, rebuild } from '../jobs/rebuild.js'
import { pagesOf } from '../jobs/warm.js'
import type { CachedTable } from './cached-table.js'
import { checkJobOptions, chosenTables, type JobParts, readStored } from './job-parts.js'

export type { RebuildFigures }

export interface RebuildOptions<Name extends string = string> {
  /** `evict`: old copies are dropped, and readers load what they need. `refill`: rows that are cached are loaded and replaced; everything else is dropped. */
  readonly mode: 'evict' | 'refill'
  /** Tables of repositories of this instance. Default: everything that the namespace has in the cache. */
  readonly repositories?: readonly Name[]
  /** Only the rows with these ids, and the copies of their entries; of exactly one of `repositories`. With `refill` also what is not cached. */
  readonly ids?: Iterable<unknown> | AsyncIterable<unknown>
  /** Copies that were filled since then, by Redis' clock, are right and stay. Default: when the rebuild begins. */
  readonly since?: Date
  /** Copies replaced or dropped a second at most; looking at one that stays counts for a tenth. Default 500. */
  readonly ratePerSecond?: number
  /** Goes on behind this `cursor` of an earlier rebuild with the same options, and with its figures and its `since`. */
  readonly after?: string
  /** Ends the rebuild between two pages; it rejects with the signal's reason. */
  readonly signal?: AbortSignal
  /** Called after every page. What it returns is waited for; what it throws, or rejects with, ends the rebuild. */
  readonly onProgress?: (progress: RebuildProgress) => unknown
}

export interface RebuildProgress extends RebuildFigures {
  /** How many there are, where that is known. */
  readonly total: number | undefined
  /** Everything up to here is dealt with: `after` of a rebuild that goes on from here. Undefined before the first page. */
  readonly cursor: string | undefined
}

/** A copy, or a place where one may be. */
interface Place {
  readonly key: CacheKey
  readonly hasFloor: boolean
  /** Where its row can be loaded. */
  readonly row: { readonly table: CachedTable; readonly id: CanonicalId } | undefined
}

interface Position {
  readonly walk: WalkPosition
  /** Ids dealt with, where they were given. */
  readonly at: number
  readonly sinceMs: number
  readonly figures: RebuildFigures
}

type Pages = AsyncGenerator<RebuildPage<Place, Pick<Position, 'walk' | 'at'>>>

const DEFAULT_RATE = 500
const OPTION_NAMES = ['mode', 'repositories', 'ids', 'since', 'ratePerSecond', 'after', 'signal', 'onProgress']
/** Keys in one page at most. Fences of hot keys' copies come on top, and all of them have to arrive within one deadline. */
const PAGE = 100
/** How far the clocks of Redis' servers may lie apart. What is filled right at the start counts as old, and so is begun a little later. */
const CLOCK_TOLERANCE_MS = 1_000
/** Looking at a copy costs so much less than replacing it. */
const LOOK_COST = 0.1
const NO_FIGURES: RebuildFigures = { done: 0, refilled: 0, evicted: 0, skipped: 0 }

/**
 * Makes every copy new that was filled before a moment. See docs/guides/audit-and-rebuild.md.
 *
 * @throws ConfigError for bad options, KeyError for an id that is none, SourceError or CacheUnavailableError when either stays away,
 * `signal.reason`.
 */
export async function rebuildCopies(parts: JobParts, options: RebuildOptions): Promise<RebuildProgress> {
  check(options)
  const { mode, repositories, ids, after, signal, ratePerSecond = DEFAULT_RATE } = options
  // Without a choice everything goes, also what this process has no repositories for.
  const tables =
    repositories === undefined ? await parts.tables.named() : await chosenTables(parts.tables, 'rebuild', repositories)
  const scope = [
    mode,
    repositories === undefined ? '*' : tables.map(({ facts }) => facts.entity).sort(),
    ids !== undefined,
  ]
  const from = after === undefined ? undefined : readCursor<Position>('rebuild', scope, after, isPosition)
  const sinceMs = from?.sinceMs ?? (await startOf(parts, options))
  const total = Array.isArray(ids) ? ids.length : undefined
  const size = pageSize(ratePerSecond, PAGE)
  // What lists and results say of these tables is older, too.
  if (ids === undefined)
    await evictKeys(
      parts,
      signal,
      tables.flatMap((table) => table.marks.ofUnknownWrite()),
    )
  const pages = ids
    ? idPages(tables[0] as CachedTable, ids, mode, size, from?.at ?? 0)
    : copyPages(parts, tables, options, size, sinceMs, from?.walk)
  let cursor = after
  const figures = await rebuild<Place, Pick<Position, 'walk' | 'at'>>({
    pages,
    refill: async ({ key, row }) => {
      parts.assertOpen()
      const { table, id } = row as NonNullable<Place['row']>
      return table.inside.warmer.rebuild(key, id, { beforeMs: sinceMs, fillsAbsent: ids !== undefined })
    },
    follow: (places) => follow(parts, signal, places),
    evict: (places) => evictKeys(parts, signal, places.map(changeOf)),
    ...{ clock: parts.clock, ratePerSecond, signal, figures: from?.figures ?? NO_FIGURES },
    async onSettled(position, soFar) {
      cursor = writeCursor('rebuild', scope, { ...position, sinceMs, figures: soFar })
      await options.onProgress?.({ ...soFar, total, cursor })
    },
  })
  return { ...figures, total, cursor }
}

/** The moment before which everything is old. When it returns, what is filled counts as new on every server. */
async function startOf({ stored, clock, namespace }: JobParts, { since, signal }: RebuildOptions): Promise<number> {
  if (since !== undefined) return since.getTime()
  // The store's clock is known when it has answered once.
  await askPatiently({ clock, signal }, 'read', () => stored.read([epochKey(namespace)]))
  const sinceMs = stored.nowMs() + CLOCK_TOLERANCE_MS
  await clock.sleep(CLOCK_TOLERANCE_MS, signal)
  return sinceMs
}

async function* copyPages(
  parts: JobParts,
  tables: readonly CachedTable[],
  { mode, repositories, signal }: RebuildOptions,
  size: number,
  sinceMs: number,
  from: WalkPosition = WALK_START,
): Pages {
  const rows = new Map(tables.map((table) => [table.inside.changes.rowPrefix, table]))
  const lookups = tables.flatMap(({ facts, inside }) => facts.unique.map((_, at) => inside.changes.lookupPrefix(at)))
  const isChosen = ({ prefix }: KeyParts) => repositories === undefined || rows.has(prefix) || lookups.includes(prefix)
  const walk = { shards: parts.stored.shards, clock: parts.clock, signal, pageSize: size }
  for await (const page of inParts(walkKeys(walk, from), from, size)) {
    const found = await oldCopies(parts, page, { isChosen, rows, sinceMs, signal })
    const refill = mode === 'refill' ? found.old.filter(({ row }) => row !== undefined) : []
    const evict = found.old.filter((place) => !refill.includes(place))
    const cost = LOOK_COST * Math.max(1, page.keys.length)
    yield { refill, evict, skipped: found.skipped, cost, position: { walk: page.position, at: 0 } }
  }
}

async function oldCopies(
  parts: JobParts,
  { keys }: WalkedPage,
  options: {
    readonly isChosen: (key: KeyParts) => boolean
    readonly rows: ReadonlyMap<string, CachedTable>
    readonly sinceMs: number
    readonly signal: AbortSignal | undefined
  },
): Promise<{ readonly old: Place[]; readonly skipped: number }> {
  const { isChosen, rows, sinceMs, signal } = options
  const chosen = keys.flatMap((key) => {
    const of = parseKey(parts.namespace, key)
    return of && isChosen(of) ? [{ key, of }] : []
  })
  const old: Place[] = []
  let skipped = 0
  const note = (key: CacheKey, of: KeyParts, bytes: StoredBytes | null) => {
    // A mark has no age; what was stored under it is only read once more.
    const entry = bytes === null || of.kind === 'mark' ? undefined : parts.codec.open(bytes, key)
    const isNew = bytes === null || (entry && !('unreadable' in entry) && entry.filledAtMs >= sinceMs)
    if (isNew) return void skipped++
    const table = rows.get(of.prefix)
    const isRow = entry && 'kind' in entry && entry.kind === 'row' && of.copyOf === undefined
    const row = isRow && table && of.id ? { table, id: of.id } : undefined
    old.push({ key, hasFloor: of.kind === 'row' && of.copyOf === undefined, row })
  }
  const wanted = chosen.map(({ key }) => key)
  await readStored(parts, wanted, signal, (at, bytes) => {
    const { key, of } = chosen[at] as (typeof chosen)[number]
    note(key, of, bytes)
  })
  return { old, skipped }
}

async function* idPages(
  table: CachedTable,
  ids: NonNullable<RebuildOptions['ids']>,
  mode: RebuildOptions['mode'],
  size: number,
  from: number,
): Pages {
  const { changes } = table.inside
  let at = 0
  const rest = (async function* () {
    for await (const id of ids) if (++at > from) yield table.idOf(id)
  })()
  for await (const page of pagesOf(rest, size)) {
    const places = page.flatMap((id) =>
      id === undefined ? [] : [{ key: changes.rowKey(id), hasFloor: true, row: { table, id } }],
    )
    const [refill, evict] = mode === 'refill' ? [places, []] : [[], places]
    yield { refill, evict, skipped: page.length - places.length, cost: 0, position: { walk: WALK_START, at } }
  }
}

/** What was made of the old entries: copies of hot keys, and what processes hold in memory. */
async function follow(parts: JobParts, signal: AbortSignal | undefined, places: readonly Place[]): Promise<void> {
  const keys = places.map(({ key }) => key)
  const copies = keys.flatMap((key) => parts.hotKeys.copiesOf(key))
  if (copies.length > 0) {
    await evictKeys(
      parts,
      signal,
      copies.map((key) => changeOf({ key, hasFloor: false })),
    )
  }
  parts.forget(keys)
}

function changeOf({ key, hasFloor }: Pick<Place, 'key' | 'hasFloor'>): Change {
  return { key, version: null, xid: null, absent: false, hasFloor }
}

/** @throws CacheUnavailableError */
async function evictKeys(
  { fencer, clock, assertOpen }: JobParts,
  signal: AbortSignal | undefined,
  changes: readonly Change[],
): Promise<void> {
  await patiently({ clock, signal }, async () => {
    assertOpen()
    // Pending ones are sent again by this process, but it may not live to do so.
    if ((await fencer.afterCommit(changes)) === 'pending') throw new CacheUnavailableError('fence')
  })
}

function isPosition({ walk, at, sinceMs, figures }: Partial<Position>): boolean {
  const counts = [at, ...Object.keys(NO_FIGURES).map((name) => figures?.[name as keyof RebuildFigures])]
  return (
    Array.isArray(walk?.done) && typeof sinceMs === 'number' && counts.every((count) => Number.isSafeInteger(count))
  )
}

function check(options: RebuildOptions): void {
  checkJobOptions('rebuild', options, OPTION_NAMES)
  const { mode, ids, repositories, since } = options
  if (mode !== 'evict' && mode !== 'refill') throw new ConfigError('rebuild.mode', '`evict` or `refill`', mode)
  if (since !== undefined && !(since instanceof Date && Number.isFinite(since.getTime()))) {
    throw new ConfigError('rebuild.since', 'a Date', since)
  }
  if (ids === undefined) return
  const isList = typeof ids === 'object' && ids !== null && (Symbol.iterator in ids || Symbol.asyncIterator in ids)
  if (!isList) throw new ConfigError('rebuild.ids', 'a list of ids', ids)
  if (repositories?.length !== 1) {
    throw new ConfigError('rebuild.ids', 'exactly one of `repositories` beside it', repositories)
  }
}
