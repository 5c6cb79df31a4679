import { readTable, type TableFacts } from '../adapters/postgres/catalog.js'
import { canonicalId, IMPOSSIBLE, type KeyColumn } from '../adapters/postgres/key-column.js'
import { PostgresRowSource } from '../adapters/postgres/row-source.js'
import { type AnyDatabase, RowWriter, type Written } from '../adapters/postgres/row-writer.js'
import type { Change } from '../core/change.js'
import type { CacheKey } from '../core/key.js'
import type { CanonicalId, LoadedRow } from '../core/ports.js'
import { ANSWERED, type ReadSpan, UNTOLD } from '../core/telemetry.js'
import { compareVersions, toVersion, type Version } from '../core/version.js'
import type { BoundedReader } from '../engine/bounded-reader.js'
import { withinHardTimeout } from '../engine/deadline.js'
import type { HotCopies } from '../engine/hot-copies.js'
import type { L1Slot } from '../engine/l1.js'
import type { LoadQueue } from '../engine/load-queue.js'
import type { Reader } from '../engine/reader.js'
import { Sealer } from '../engine/sealer.js'
import { Warmer, type WarmOutcome } from '../engine/warmer.js'
import { LoadCost } from '../policy/load-cost.js'
import type { Floor } from '../policy/verdict.js'
import { longestHeadStartMs, shouldRefreshEarly } from '../policy/xfetch.js'
import { readUnder, type SessionLog } from '../session.js'
import { type AlongWith, type ChangeDetails, TableChanges } from './changes.js'
import { asksCache } from './consistency.js'
import { type Explanation, explain } from './explain.js'
import { openHotRows } from './hot-rows.js'
import { openReaders } from './open-readers.js'
import type { TableOptions, TableParts } from './parts.js'
import { readInside } from './read-inside.js'
import { type RowWays, readRows } from './read-rows.js'
import type { Consistency } from './repository-types.js'
import { RowLookups } from './row-lookups.js'
import { RowOffers } from './row-offers.js'
import { nearHits, RowTier } from './row-tier.js'
import { SharedReads } from './shared-reads.js'
import { lookupSource, planOf, rowSource, type SourceParts, type TablePlan, versionProbe } from './sources.js'

/** An altered table is looked at again, but a flood of foreign shapes must not become a flood of catalog queries. */
const CATALOG_PAUSE_MS = 1_000

/** One table as the cache knows it: its facts, its keys, its readers. See `openTable`. */
export class CachedTable {
  readonly #parts: TableParts
  readonly #options: TableOptions
  readonly #changes: TableChanges
  readonly #rows: Reader<CanonicalId, object>
  readonly #bounded: BoundedReader<CanonicalId, object>
  /** Where the repository has asked for it: counts its reads, and leads those of hot keys to copies. */
  readonly #hot: HotCopies<CanonicalId, object> | undefined
  readonly shared: SharedReads | undefined
  readonly #offers: RowOffers | undefined
  readonly #warmer: Warmer<CanonicalId, object>
  readonly #lookups: readonly RowLookups[]
  readonly #tier: RowTier | undefined
  readonly #ways: RowWays
  readonly #cost = new LoadCost()
  readonly #versions: LoadQueue<CanonicalId, Version | undefined>
  #plan: TablePlan
  #writer: RowWriter
  #lookedAtMs: number

  constructor(parts: TableParts, options: TableOptions, facts: TableFacts, declared: () => readonly KeyColumn[]) {
    this.#parts = parts
    this.#options = options
    this.#plan = planOf(facts, { ...parts, ...options })
    this.#writer = new RowWriter(facts, declared)
    this.#lookedAtMs = parts.clock.monotonicMs()
    this.#changes = new TableChanges(parts.namespace, facts, () => parts.relations.recall(facts))
    this.#tier = options.l1.maxEntries > 0 ? this.#openTier() : undefined
    const sources: SourceParts = { ...parts, ...options, plan: () => this.#plan, doubtShape: () => this.#doubtShape() }
    this.#versions = versionProbe(sources)
    const source = rowSource(sources)
    const readers = openReaders(this.#parts, this.#options, source, {
      cost: this.#cost,
      tier: this.#tier,
      prefix: this.#changes.rowPrefix,
    })
    this.#rows = readers.reader
    this.#bounded = readers.bounded
    const { hotKeys, fill } = options
    const rows = { parts, facts, prefix: this.#changes.rowPrefix, fill, reader: this.#rows, tier: this.#tier }
    this.#hot = hotKeys && openHotRows({ ...rows, hotKeys })
    this.shared = this.#hot ? undefined : SharedReads.of(facts.columns, this.#rows)
    const cost = this.#cost
    const sealer = new Sealer({ parts, source, settings: fill, cost })
    this.#warmer = new Warmer({ parts, source, sealer, cost, lease: fill.lease, demands: () => this.#rows.demands() })
    const { publishBytes: maxBytes } = options
    this.#offers = maxBytes ? new RowOffers({ parts, sealer, versions: this.#versions, maxBytes }) : undefined
    this.#lookups = facts.unique.map((_, at) => this.#openLookups(sources, at))
    const ways = { idOf: (id: unknown) => this.idOf(id), keyOf: (id: CanonicalId) => this.#changes.rowKey(id) }
    this.#ways = { ...ways, tier: this.#tier, reader: this.#hot ?? this.#rows }
  }

  get facts(): TableFacts {
    return this.#plan.facts
  }

  /** What cached queries that read this table depend on. */
  get marks() {
    return this.#changes.marks
  }

  get writer(): RowWriter {
    return this.#writer
  }

  /** For jobs that go through its copies from outside. */
  get inside() {
    const [parts, options, changes, versions] = [this.#parts, this.#options, this.#changes, this.#versions] as const
    return { parts, options, changes, versions, tier: this.#tier, rows: this.#plan.rows, warmer: this.#warmer }
  }

  /** The id as Postgres would print it; undefined when no row can have it. Throws KeyError for what is no id at all. */
  idOf(id: unknown): CanonicalId | undefined {
    const canonical = canonicalId(this.facts.key, id)
    return canonical === IMPOSSIBLE ? undefined : canonical
  }

  /** The answer this process holds for an id as the caller spells it, if it may be trusted now. Undefined: ask `read`. */
  recall(id: unknown): Promise<object | undefined> | undefined {
    return this.#tier?.recallGiven(id)
  }

  /** The row this process holds, without waiting for anything. Undefined also when it holds that there is none. */
  peek(id: unknown): object | undefined {
    const canonical = this.idOf(id)
    const near = canonical && this.#tier?.look(this.#tier.slotOf(canonical))
    return near?.trusted ? near.value : undefined
  }

  /** The row through the cache. */
  read(id: CanonicalId, span: ReadSpan): Promise<object | undefined> {
    const held = this.#tier?.recall(this.#tier.slotOf(id))
    const reads = (span === UNTOLD ? this.shared : undefined) ?? this.#hot ?? this.#rows
    return held ?? reads.read(this.#changes.rowKey(id), id, span)
  }

  /** See `readRows`. Ids are as the caller gave them. */
  readMany(ids: readonly unknown[], begin: () => ReadSpan): Promise<(object | undefined)[]> {
    return readRows(this.#ways, ids, begin)
  }

  /** The row as `consistency` asks; under a session never older than what that knows, and the session knows it afterwards. */
  readAs(
    id: CanonicalId,
    consistency: Consistency,
    session: SessionLog | undefined,
    span: ReadSpan,
  ): Promise<object | undefined> {
    const read = () => this.#readAs(id, consistency, span)
    if (session === undefined) return read()
    const key = this.#changes.rowKey(id)
    const reading = readUnder(session, {
      key,
      heed: (floor) => this.#heed(key, floor),
      read,
      primary: asksCache(consistency) ? () => this.#readAs(id, 'primary', span) : read,
      versionOf: (row) => this.#versionIn(row),
    })
    return this.#inTime(reading)
  }

  /** A read that asks more than once has one time for all of it. */
  #inTime<Value>(reading: Promise<Value>): Promise<Value> {
    return withinHardTimeout(this.#parts.clock, this.facts.entity, this.#options.read.hardTimeoutMs, reading)
  }

  #readAs(id: CanonicalId, consistency: Consistency, span: ReadSpan): Promise<object | undefined> {
    if (typeof consistency === 'object') {
      return this.#bounded.read(this.#changes.rowKey(id), id, consistency.maxStaleMs, span)
    }
    switch (consistency) {
      case 'cached':
        return this.read(id, span)
      case 'verified':
        return this.#inTime(this.#readVerified(id, span))
      case 'primary':
        span.answered(ANSWERED.bypassed)
        return this.#rows.loadOnly(this.#changes.rowKey(id), id)
      case 'refresh':
        span.answered(ANSWERED.bypassed)
        return this.#reload(id)
    }
  }

  /** The row through the cache, its stamp compared with the row's: what differs is read anew, and into the cache. */
  async #readVerified(id: CanonicalId, span: ReadSpan): Promise<object | undefined> {
    if (this.facts.version === undefined) return this.#readAs(id, 'refresh', span)
    const [row, version] = await Promise.all([this.read(id, span), this.#versions.ask(id)])
    const isSame = row === undefined ? version === undefined : version !== undefined && this.#versionIn(row) === version
    this.#parts.emit({ type: 'compared', entity: this.facts.entity, rows: 1, differing: isSame ? 0 : 1 })
    return isSame ? row : this.#reload(id)
  }

  /** The row from the database, and into the cache. */
  #reload(id: CanonicalId): Promise<object | undefined> {
    return this.#rows.reload(this.#changes.rowKey(id), id)
  }

  /** Fills the row for later readers, unless it is cached or being filled. Never rejects. */
  warm(id: CanonicalId): Promise<WarmOutcome> {
    return this.#warmer.warm(this.#changes.rowKey(id), id)
  }

  /** The row that has these values in the `at`-th list of unique columns. */
  readBy(
    at: number,
    values: unknown,
    consistency: Consistency,
    session: SessionLog | undefined,
    span: ReadSpan,
  ): Promise<object | undefined> {
    return this.#inTime((this.#lookups[at] as RowLookups).find(values, consistency, session, span))
  }

  /** Rows inside a transaction, by their key or the `at`-th list of unique columns: from the database only, and never a fill. */
  readIn(tx: AnyDatabase, ids: readonly CanonicalId[]): Promise<(object | undefined)[]> {
    return readInside(tx, this.facts, ids)
  }

  async readByIn(tx: AnyDatabase, at: number, values: unknown): Promise<object | undefined> {
    const { columns } = this.#lookups[at] as RowLookups
    const value = canonicalId(columns, values)
    return value === IMPOSSIBLE ? undefined : (await readInside(tx, this.facts, [value], columns))[0]
  }

  /** What every place that may hold a copy of this row holds. */
  explain(id: CanonicalId): Promise<Explanation> {
    const { store, db, isLive, clock } = this.#parts
    const nothing = { trusted: isLive(clock.monotonicMs()), held: false, value: undefined, freshForMs: undefined }
    return explain(
      {
        engine: this.#parts,
        demands: this.#rows.demands(),
        decode: (payload) => this.#plan.rows.decode(payload),
        inspect: (key) => store.inspect(key),
        copies: this.#parts.hotKeys.copiesOf(this.#changes.rowKey(id)),
        load: async () => (await new PostgresRowSource({ db, facts: this.facts }).load([id])).rows[0] as LoadedRow,
        near: () => this.#tier?.lookFor(id) ?? nothing,
        versionOf: (row) => this.#versionIn(row),
      },
      this.#changes.rowKey(id),
      id,
    )
  }

  /** What a write made old whose statement gave the whole row back. That may be offered in place of the old one. */
  changesOfRow(written: Written, details: ChangeDetails): Change[] {
    const changes = this.changes(written, details)
    const key = this.#changes.rowKey(written.id)
    const offer = details.wasDeleted ? undefined : this.#offers?.of(key, written)
    return offer ? changes.map((change) => (change.key === key ? { ...change, offer } : change)) : changes
  }

  /** What a committed write made old. */
  changes(written: Written, details: ChangeDetails): Change[] {
    return this.#changes.ofWrite(written, details)
  }

  /** What a committed write through another repository of the table made old that only this one knows: its lookups. */
  lookupsOfWrite(written: Written, details: ChangeDetails): Change[] {
    return this.#changes.lookupsOfWrite(written, details)
  }

  /** What the database may have changed in other tables along with a write. */
  alongWith(written: Written, details: ChangeDetails): AlongWith | undefined {
    return this.#changes.alongWith(written, details)
  }

  /** What a write may have made old whose outcome is unknown. */
  unknownChanges(id: CanonicalId | undefined, values: object): Change[] {
    return this.#changes.ofUnknownWrite(id, values)
  }

  /** This process has just learned of a version: the same as if a message had told it. */
  #heed(key: CacheKey, { version, absent }: Floor): void {
    const known = this.#parts.floors.get(key)
    const order = known === undefined ? -1 : compareVersions(known.version, version)
    // The floor may have risen behind all readers, by a refresh that has looked at the cache: memory holds what was there before.
    if (order > 0 || (order === 0 && known?.absent === absent)) this.#parts.floors.dropOlder(key, version)
    else this.#parts.invalidation.apply({ key, version, absent, hasFloor: true })
  }

  #versionIn(row: object): Version | undefined {
    const { version } = this.facts
    return version && toVersion((row as Record<string, unknown>)[version.property])
  }

  #openLookups(sources: SourceParts, at: number): RowLookups {
    return new RowLookups({
      columns: () => this.facts.unique[at] as readonly KeyColumn[],
      ...openReaders(this.#parts, this.#options, lookupSource(sources, at), {
        cost: new LoadCost(),
        prefix: this.#changes.lookupPrefix(at),
      }),
      keyOf: (value) => this.#changes.lookupKey(at, value),
      rows: {
        keyOf: (id) => this.#changes.rowKey(id),
        read: (id, consistency, session, span) => this.readAs(id, consistency, session, span),
        versionOf: (row) => this.#versionIn(row),
        floorOf: (key) => this.#parts.floors.get(key),
        heed: (key, floor) => this.#heed(key, floor),
      },
    })
  }

  #openTier(): RowTier {
    const { clock, invalidation, isLive } = this.#parts
    const [{ facts }, { read }] = [this.#plan, this.#options]
    const floors = facts.version && this.#parts.floors
    const record = (id: CanonicalId) => this.#hot?.recordNear(this.#changes.rowKey(id))
    const l1 = {
      ...this.#options.l1,
      versionOf: (row: object) => this.#versionIn(row),
      earlinessMs: (freshMs: number) => longestHeadStartMs({ loadMs: this.#cost.estimateMs, freshMs }, read),
      onLate: (slot: L1Slot, remainingMs: number) => this.#mayRefresh(tier.idOf(slot), remainingMs),
    }
    const takeOver: Reader<CanonicalId, object>['takeOver'] = (...published) => this.#rows.takeOver(...published)
    const prefix = this.#changes.rowPrefix
    const onHit = nearHits(this.#parts, this.#options, facts.entity, record)
    const tier: RowTier = new RowTier({ l1, prefix, key: facts.key, floors, clock, isLive, takeOver, onHit })
    invalidation.register(tier)
    this.#parts.telemetry.watchNear(facts.entity, tier)
    return tier
  }

  /** A copy in this process nears its end: this reader draws, as it would for an entry in the cache. */
  #mayRefresh(id: CanonicalId, remainingMs: number): void {
    // The share of the TTL was taken into account when the copy was kept; here only the draw is left.
    const cost = { loadMs: this.#cost.estimateMs, freshMs: Number.POSITIVE_INFINITY }
    if (!shouldRefreshEarly(remainingMs, cost, this.#options.read, this.#parts.chance)) return
    this.#rows.refreshBehind(this.#changes.rowKey(id), id, remainingMs)
  }

  /** Reads the catalog again when entries or rows no longer look like the table this process knows. */
  #doubtShape(): void {
    const nowMs = this.#parts.clock.monotonicMs()
    if (nowMs - this.#lookedAtMs < CATALOG_PAUSE_MS) return
    this.#lookedAtMs = nowMs
    this.#parts.background.run('catalog', async () => {
      const facts = await readTable(this.#parts.db, this.#options)
      const plan = planOf(facts, { ...this.#parts, ...this.#options })
      if (plan.rows.shape === this.#plan.rows.shape) return
      // While the plan still knows the stamp by the name it has in the rows that are let go of.
      this.#tier?.clear()
      this.#plan = plan
      this.#writer = this.#writer.of(facts)
      this.#parts.emit({ type: 'shape.changed', entity: facts.entity })
    })
  }
}
