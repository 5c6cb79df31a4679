import type { Change } from '../core/change.js'
import { ConfigError } from '../core/errors.js'
import { type CacheKey, type KeyParts, parseKey } from '../core/key.js'
import type { StoredBytes } from '../core/ports.js'
import type { FenceState } from '../engine/fencer.js'
import {
  type AuditFigures,
  type AuditPage,
  audit,
  type Difference,
  type Drift,
  type DriftAges,
  type DriftKind,
  NO_FIGURES,
} from '../jobs/audit.js'
import { readCursor, writeCursor } from '../jobs/job-cursor.js'
import { inParts, sampleKeys, WALK_START, type WalkedPage, type WalkPosition, walkKeys } from '../jobs/key-walk.js'
import { pageSize } from '../jobs/pace.js'
import { AuditedTable, seenIn, type TableCopy, type Uncompared } from './audited-table.js'
import { checkJobOptions, chosenTables, type JobParts, readStored } from './job-parts.js'

export type { AuditFigures, Drift, DriftAges, DriftKind }

export interface AuditOptions<Name extends string = string> {
  /** Tables of repositories of this instance, whose copies are compared. Default: all of them. */
  readonly repositories?: readonly Name[]
  /** Compares about so many copies, chosen by lot, instead of all. */
  readonly sample?: number
  /** Copies compared a second at most; entries that need no comparison count for a tenth. Default 1 000. */
  readonly ratePerSecond?: number
  /** How long a copy that differs is given before it is looked at again and counts as drift. Longer than fences and relay take. Default 2 000. */
  readonly recheckMs?: number
  /** `versions`: by their stamps, where the table has one. `rows`: whole rows, for tables whose stamp may not have been kept. Default `versions`. */
  readonly compare?: 'versions' | 'rows'
  /** Fences every copy that is found to differ, so that the next reader loads it anew. Default false. */
  readonly repair?: boolean
  /** Goes on behind this `cursor` of an earlier full audit with the same options, and with its figures. */
  readonly after?: string
  /** Ends the audit; it rejects with the signal's reason. */
  readonly signal?: AbortSignal
  /** Called after every page that is settled. What it returns is waited for; what it throws, or rejects with, ends the audit. */
  readonly onProgress?: (progress: AuditProgress) => unknown
}

export interface AuditProgress extends AuditFigures {
  /** Everything up to here is settled: `after` of an audit that goes on from here. Undefined of a sample. */
  readonly cursor: string | undefined
}

export interface AuditReport extends AuditFigures {
  /** The first hundred that were found; not those of an audit this one went on from. `onEvent` hears of all. */
  readonly drifts: readonly Drift[]
  readonly durationMs: number
}

interface AuditPosition {
  readonly walk: WalkPosition
  readonly figures: AuditFigures
}

const DEFAULTS = { ratePerSecond: 1_000, recheckMs: 2_000 } as const
const OPTION_NAMES = [
  ...['repositories', 'sample', 'ratePerSecond', 'recheckMs', 'compare', 'repair', 'after', 'signal', 'onProgress'],
]
/** Keys in one page at most: one statement for each table among them. */
const PAGE = 500
const MAX_DRIFTS = 100
const NOTHING_UNCOMPARED: Readonly<Record<Uncompared, number>> = { unused: 0, skipped: 0, undecoded: 0 }
/** Looking at an entry that is not compared costs so much less than comparing one. */
const LOOK_COST = 0.1

/**
 * Compares cached copies with their rows. See docs/guides/audit-and-rebuild.md.
 *
 * @throws ConfigError for bad options, SourceError or CacheUnavailableError when either stays away, `signal.reason`.
 */
export async function auditTables(parts: JobParts, options: AuditOptions): Promise<AuditReport> {
  check(options)
  const { after, sample, signal, compare = 'versions' } = options
  const { clock, emit } = parts
  const opened = await chosenTables(parts.tables, 'audit', options.repositories)
  const tables = opened.map((table) => new AuditedTable(table, compare === 'rows'))
  const scope = [compare, tables.map(({ entity }) => entity).sort()]
  const from = after === undefined ? undefined : readCursor<AuditPosition>('audit', scope, after, isPosition)
  const startedMs = clock.monotonicMs()
  const drifts: Drift[] = []
  const figures = await audit<TableCopy, WalkPosition>({
    pages: pagesOf(parts, tables, options, from?.walk),
    compare: (copies) => compareAll(copies),
    lookAgain: (copies) => lookAgain(parts, copies, signal),
    repair: options.repair ? (copy, difference) => repair(parts, copy, difference) : undefined,
    clock,
    ratePerSecond: options.ratePerSecond ?? DEFAULTS.ratePerSecond,
    recheckMs: options.recheckMs ?? DEFAULTS.recheckMs,
    signal,
    figures: from?.figures ?? NO_FIGURES,
    onDrift(drift) {
      if (drifts.length < MAX_DRIFTS) drifts.push(drift)
      emit({ type: 'drift.found', ...drift, key: drift.key as CacheKey })
      emit({ type: 'compared', entity: drift.entity, rows: 0, differing: 1 })
    },
    onCompared: (entity, rows) => emit({ type: 'compared', entity, rows, differing: 0 }),
    async onSettled(walk, soFar) {
      const cursor = sample === undefined ? writeCursor('audit', scope, { walk, figures: soFar }) : undefined
      await options.onProgress?.({ ...soFar, cursor })
    },
  })
  return { ...figures, drifts, durationMs: Math.round(clock.monotonicMs() - startedMs) }
}

/** This process' memory, then the cache. An audit that goes on from another leaves memory out: it has been dealt with, or went with its process. */
async function* pagesOf(
  parts: JobParts,
  tables: readonly AuditedTable[],
  { ratePerSecond = DEFAULTS.ratePerSecond, signal, sample }: AuditOptions,
  from: WalkPosition | undefined,
): AsyncGenerator<AuditPage<TableCopy, WalkPosition>> {
  const size = pageSize(ratePerSecond, PAGE)
  if (from === undefined) yield* memoryPages(tables, size, sample)
  const walk = { shards: parts.stored.shards, clock: parts.clock, chance: parts.chance, signal, pageSize: size }
  const pages = sample === undefined ? walkKeys(walk, from ?? WALK_START) : sampleKeys(walk, sample)
  const byPrefix = new Map(tables.flatMap((table) => table.prefixes.map((prefix) => [prefix, table] as const)))
  for await (const page of inParts(pages, from ?? WALK_START, size)) yield readPage(parts, byPrefix, page, signal)
}

function* memoryPages(
  tables: readonly AuditedTable[],
  size: number,
  most = Number.POSITIVE_INFINITY,
): Generator<AuditPage<TableCopy, WalkPosition>> {
  const page = (copies: TableCopy[]) => ({
    ...{ copies, ...NOTHING_UNCOMPARED, cost: copies.length, position: WALK_START },
  })
  let copies: TableCopy[] = []
  let left = most
  for (const table of tables) {
    for (const copy of table.inMemory()) {
      if (left-- <= 0) break
      copies.push(copy)
      if (copies.length < size) continue
      yield page(copies)
      copies = []
    }
  }
  if (copies.length > 0) yield page(copies)
}

async function readPage(
  parts: JobParts,
  tables: ReadonlyMap<string, AuditedTable>,
  { keys, position }: WalkedPage,
  signal: AbortSignal | undefined,
): Promise<AuditPage<TableCopy, WalkPosition>> {
  const places = keys.flatMap((key) => {
    const place = parseKey(parts.namespace, key)
    return place === undefined || place.kind === 'mark' ? [] : [{ key, place }]
  })
  const ours = places.filter(({ place }) => tables.has(place.prefix))
  const copies: TableCopy[] = []
  const uncompared = { ...NOTHING_UNCOMPARED, skipped: places.length - ours.length }
  const note = (key: CacheKey, place: KeyParts, bytes: StoredBytes) => {
    const found = (tables.get(place.prefix) as AuditedTable).read(key, place, bytes)
    if (typeof found === 'string') uncompared[found]++
    else copies.push(found)
  }
  const wanted = ours.map(({ key }) => key)
  await readStored(parts, wanted, signal, (at, bytes) => {
    // Gone since it was listed.
    if (bytes !== null) note(wanted[at] as CacheKey, (ours[at] as (typeof ours)[0]).place, bytes)
  })
  const cost = copies.length + LOOK_COST * Math.max(keys.length, 1)
  return { copies, ...uncompared, cost, position }
}

async function compareAll(copies: readonly TableCopy[]): Promise<(Difference | undefined)[]> {
  const found = new Map<TableCopy, Difference | undefined>()
  for (const table of new Set(copies.map((copy) => copy.table))) {
    const ofTable = copies.filter((copy) => copy.table === table)
    const differences = await table.compare(ofTable)
    for (const [at, copy] of ofTable.entries()) found.set(copy, differences[at])
  }
  return copies.map((copy) => found.get(copy))
}

async function lookAgain(
  parts: JobParts,
  copies: readonly TableCopy[],
  signal: AbortSignal | undefined,
): Promise<TableCopy[]> {
  const still = new Set(copies.filter((copy) => copy.place === 'memory' && copy.table.isStillInMemory(copy)))
  const stored = copies.filter(({ place }) => place !== 'memory')
  const keys = stored.map(({ key }) => key)
  await readStored(parts, keys, signal, (at, bytes) => {
    const copy = stored[at] as TableCopy
    if (bytes !== null && seenIn(bytes) === copy.seen) still.add(copy)
  })
  return copies.filter((copy) => still.has(copy))
}

/** Drops the copy wherever it lies, unless it is as new as the row by now; nothing is ever written in its place. */
function repair(parts: JobParts, copy: TableCopy, { kind, version }: Difference): Promise<FenceState> {
  const { fencer, hotKeys } = parts
  const { key, of, lookup } = copy
  const change = { version, xid: null, absent: kind === 'gone' }
  const changes: Change[] = [{ ...change, key: of, hasFloor: lookup === undefined }]
  // Where this process knows of fewer copies than there are.
  if (key !== of && !hotKeys.copiesOf(of).includes(key)) changes.push({ ...change, key, hasFloor: false })
  return fencer.afterCommit(changes)
}

function isPosition({ walk, figures }: Partial<AuditPosition>): boolean {
  const counts = Object.entries(NO_FIGURES).filter(([, count]) => typeof count === 'number')
  const hasCounts = counts.every(([name]) => Number.isSafeInteger(figures?.[name as 'compared']))
  return hasCounts && Array.isArray(walk?.done) && !!figures?.kinds && !!figures.places && !!figures.ages
}

function check(options: AuditOptions): void {
  checkJobOptions('audit', options, OPTION_NAMES)
  const { sample, recheckMs, compare, repair: repairs, after } = options
  if (sample !== undefined && !(Number.isInteger(sample) && sample >= 1)) {
    throw new ConfigError('audit.sample', 'a whole number from 1', sample)
  }
  if (sample !== undefined && after !== undefined) {
    throw new ConfigError('audit.after', 'no `sample` beside it: nothing goes on from one', after)
  }
  const isWait = typeof recheckMs === 'number' && recheckMs >= 0 && recheckMs <= 3_600_000
  if (recheckMs !== undefined && !isWait) {
    throw new ConfigError('audit.recheckMs', 'a number from 0 to 3 600 000', recheckMs)
  }
  if (compare !== undefined && compare !== 'versions' && compare !== 'rows') {
    throw new ConfigError('audit.compare', '`versions` or `rows`', compare)
  }
  if (repairs !== undefined && typeof repairs !== 'boolean') {
    throw new ConfigError('audit.repair', 'true or false', repairs)
  }
}
