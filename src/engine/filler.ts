import type { Chance, Clock } from '../core/clock.js'
import { SourceError } from '../core/errors.js'
import type { EmitEvent } from '../core/events.js'
import type { CacheKey } from '../core/key.js'
import type { EntryCodec, StoredBytes } from '../core/ports.js'
import { compareVersions, type Version } from '../core/version.js'
import { type LoadCost, leaseMs } from '../policy/load-cost.js'
import type { Floor } from '../policy/verdict.js'
import { nextPollMs } from '../policy/wait-schedule.js'
import type { Background } from './background.js'
import type { BatchedStore } from './batched-store.js'
import type { Floors } from './floors.js'
import type { FreshValue } from './l1.js'
import { failureCode, RemoteFailure } from './load-failure.js'
import { Sealer, type Uncacheable } from './sealer.js'
import type { FlightProgress } from './singleflight.js'

/** What a reader reads: one table by its key, one unique column, or one query. */
export interface ReadSource<Id, Value> {
  readonly entity: string
  readonly kind: 'row' | 'lookup' | 'query'
  /** Fingerprint of what `encode` writes now; entries of another shape are not decoded. */
  shape(): string
  /** Reads the database. Loads of one tick may travel in one statement. */
  load(id: Id): Promise<LoadedValue<Value>>
  encode(value: Value): Uint8Array | Uncacheable
  /** Undefined when the payload is malformed. Never throws. */
  decode(payload: Uint8Array): Value | undefined
  /**
   * What one of several readers who were given the same value may have of it: the value itself, or a copy.
   *
   * @param isLate the reader began after the database was asked. No fence of this key came in between; of others it knows nothing.
   */
  share(value: Value, isLate: boolean): Value
  /** How long this value may count as fresh, before jitter. Undefined value: an absence. */
  freshMs(value: Value | undefined): number
  /** An entry of another shape was met, or a value did not fit ours: the table may have been altered. */
  doubtShape(): void
}

export interface LoadedValue<Value> {
  readonly value: Value | undefined
  readonly version: Version | undefined
  readonly snapshot: string
  readonly loadedFrom: 'primary' | 'standby'
}

export interface FillSettings {
  readonly jitter: number
  readonly graceMs: number
  readonly lease: { readonly minMs: number; readonly maxMs: number; readonly waitMs: number }
}

/** What the reader held when it decided to fill. */
export interface Seen {
  readonly bytes: StoredBytes | null
  /** The entry could not be used at all, so its version need not be respected by the fill. */
  readonly useless: boolean
}

/** Judges what somebody else stored meanwhile: its value if it may be served, or what there is to replace. */
export type Judge<Value> = (bytes: StoredBytes | null) => { readonly value: Value | undefined } | Seen

/** What every reader and filler of one instance shares. */
export interface EngineParts {
  readonly store: Pick<BatchedStore, 'departures' | 'read' | 'lease' | 'fill' | 'release' | 'nowMs'>
  readonly codec: EntryCodec
  readonly clock: Clock
  readonly chance: Chance
  readonly floors: Floors
  readonly background: Background
  readonly emit: EmitEvent
  /** `emit` for hits, or undefined when nobody listens: a hit must not even build an event then. */
  readonly onHit: EmitEvent | undefined
  readonly epoch: () => string
  /** The cache has not acknowledged a fence of this key yet, so what it holds may be what this process has overwritten. */
  readonly isPending: (key: CacheKey) => boolean
}

/** The in-process copies of a source's entries, as the fill sees them. Implementation: `engine/l1`. */
export interface NearTier<Id, Value> {
  /** Changes with every invalidation that could concern this id. Taken before the value is read, compared when it is kept. */
  generation(id: Id): number
  /** Keeps the value unless it was invalidated since `generation` was taken. */
  remember(id: Id, fresh: FreshValue<Value>, generation: number): void
  /** A reader was shown `version` (null: no row, or nothing that orders it): a copy that is not as new must not answer any more. */
  outdate(id: Id, version: Version | null): void
}

/** How often a reader may find the entry changed under its lease request before it stops competing and just loads. */
const MAX_CHANGES = 8

/**
 * The fill: lease, load, store. Once per fleet, because only the holder of the lease loads; never stale, because a fence
 * revokes the lease and a fill without its lease is refused.
 */
export class Filler<Id, Value> {
  readonly #parts: EngineParts
  readonly #source: ReadSource<Id, Value>
  readonly #settings: FillSettings
  readonly #cost: LoadCost
  readonly #tier: NearTier<Id, Value> | undefined
  readonly #sealer: Sealer<Value>

  constructor(options: {
    parts: EngineParts
    source: ReadSource<Id, Value>
    settings: FillSettings
    cost: LoadCost
    tier?: NearTier<Id, Value> | undefined
  }) {
    this.#parts = options.parts
    this.#source = options.source
    this.#settings = options.settings
    this.#cost = options.cost
    this.#tier = options.tier
    this.#sealer = new Sealer(options)
  }

  /**
   * Answers a miss: takes the lease and loads, or waits for the one who has it.
   *
   * @param judge decides whether what somebody else stored meanwhile may be served to this reader.
   * @throws SourceError when the load fails, here or in the process that held the lease.
   */
  async fill(
    key: CacheKey,
    id: Id,
    seen: Seen,
    judge: Judge<Value>,
    progress: FlightProgress,
  ): Promise<Value | undefined> {
    const { clock, emit } = this.#parts
    const startedMs = clock.monotonicMs()
    let held = seen
    let waitedFor: string | null = null
    let polls = 0
    for (let changes = 0; changes < MAX_CHANGES; ) {
      const token = this.#parts.chance.token()
      progress.asks()
      const reply = await this.#lease(key, token, held.bytes, waitedFor)
      switch (reply.outcome) {
        case 'leased':
          return this.#loadAndStore(key, id, token, held.useless, 'miss', progress)
        case 'changed': {
          const judged = judge(reply.bytes)
          if ('value' in judged) {
            const waitedMs = clock.monotonicMs() - startedMs
            if (polls > 0) emit({ type: 'coalesced', entity: this.#source.entity, scope: 'fleet', waitedMs })
            return judged.value
          }
          // Gone, expired or not for us: compete again for what is there now.
          held = judged
          changes++
          break
        }
        case 'failed':
          throw new SourceError(`load of ${this.#source.entity}`, new RemoteFailure(reply.code))
        case 'held': {
          const pauseMs = this.#pauseMs(clock.monotonicMs() - startedMs, polls, reply.remainingMs)
          if (pauseMs === undefined) return this.loadOnly(key, id, progress)
          waitedFor = reply.token
          polls++
          await clock.sleep(pauseMs)
          break
        }
        case 'unavailable':
          return this.loadOnly(key, id, progress)
      }
    }
    return this.loadOnly(key, id, progress)
  }

  /** Replaces an entry before it expires, behind its readers. Does nothing when somebody else already does or did. */
  async refresh(key: CacheKey, id: Id, seen: StoredBytes): Promise<void> {
    const token = this.#parts.chance.token()
    const reply = await this.#lease(key, token, seen, null)
    if (reply.outcome === 'leased') await this.#loadAndStore(key, id, token, false, 'refresh', undefined)
  }

  /** Reads the database without touching the cache: Redis is away, or waiting for the lease took too long. */
  async loadOnly(key: CacheKey, id: Id, progress?: FlightProgress): Promise<Value | undefined> {
    progress?.asks()
    const before = this.#parts.floors.get(key)
    return this.#accept(key, id, await this.#source.load(id), before)
  }

  /** How long to wait until the next poll; undefined when this reader has waited long enough. */
  #pauseMs(waitedMs: number, polls: number, leaseRemainingMs: number): number | undefined {
    const { waitMs: limitMs } = this.#settings.lease
    const { soonestMs, estimateMs } = this.#cost
    const heldForMs = Math.max(0, leaseMs(estimateMs, this.#settings.lease) - leaseRemainingMs)
    const wait = { polls, waitedMs, soonestMs: Math.max(0, soonestMs - heldForMs), leaseRemainingMs, limitMs }
    return nextPollMs(wait, this.#parts.chance)
  }

  async #lease(key: CacheKey, token: string, seen: StoredBytes | null, waitedFor: string | null) {
    try {
      const length = Math.ceil(leaseMs(this.#cost.estimateMs, this.#settings.lease))
      return await this.#parts.store.lease({ key, token, leaseMs: length, seen, waitedFor })
    } catch {
      return { outcome: 'unavailable' } as const
    }
  }

  async #loadAndStore(
    key: CacheKey,
    id: Id,
    token: string,
    useless: boolean,
    reason: 'miss' | 'refresh',
    progress?: FlightProgress,
  ): Promise<Value | undefined> {
    const { background, clock, floors } = this.#parts
    const startedMs = clock.monotonicMs()
    const before = floors.get(key)
    const generation = this.#tier?.generation(id)
    const epoch = this.#parts.epoch()
    progress?.asks()
    let loaded: LoadedValue<Value>
    try {
      loaded = await this.#source.load(id)
    } catch (error) {
      this.#cost.recordFailure()
      background.run('release', () => this.#parts.store.release({ key, token, failure: failureCode(error) }))
      throw error
    }
    // The caller has what it asked for; storing it is not its business. The fill leaves before any later read of this
    // process does, because batches of one connection keep their order.
    const made = { ...loaded, epoch, ageMs: clock.monotonicMs() - startedMs, isRefresh: reason === 'refresh' }
    const landed = this.#store(key, token, made, useless, reason).then((fresh) => {
      this.#cost.record(clock.monotonicMs() - startedMs)
      const isShowable = !isBelow(floors.get(key), loaded)
      if (fresh && generation !== undefined && isShowable) this.#tier?.remember(id, fresh, generation)
      return fresh !== undefined
    })
    if (progress) progress.landed = landed.catch(() => false)
    background.run('fill', async () => {
      try {
        await landed
      } catch (error) {
        // It never came to a fill. Those who wait for this lease must not wait for its end.
        await this.#parts.store.release({ key, token, failure: null })
        throw error
      }
    })
    return this.#accept(key, id, loaded, before)
  }

  /** What was stored; undefined when it was not. */
  async #store(
    key: CacheKey,
    token: string,
    loaded: LoadedValue<Value> & { readonly epoch: string; readonly ageMs: number; readonly isRefresh: boolean },
    useless: boolean,
    reason: 'miss' | 'refresh',
  ): Promise<FreshValue<Value> | undefined> {
    const { store, emit, clock } = this.#parts
    const { entity } = this.#source
    const made = this.#sealer.seal(loaded)
    if ('uncacheable' in made) {
      emit({ type: 'entry.uncacheable', entity, property: made.uncacheable, found: made.found })
      emit({ type: 'fill', entity, key, reason, outcome: 'uncacheable' })
      this.#source.doubtShape()
      await store.release({ key, token, failure: null })
      return undefined
    }
    const { snapshot, loadedFrom } = loaded
    const { freshMs, sizeBytes, ...entry } = made
    const request = { key, token, ...entry, snapshot, loadedFrom, replacesNewer: useless }
    const sentMs = clock.monotonicMs()
    const outcome = await store.fill(request).catch(() => 'unavailable' as const)
    emit({ type: 'fill', entity, key, reason, outcome })
    // A fill that was lost has left its lease behind, for which others would wait. One that is only late finds it gone.
    if (outcome === 'unavailable') await store.release({ key, token, failure: null }).catch(() => {})
    if (outcome !== 'filled') return undefined
    // The entry may have landed right after it was sent, however late this process hears of it.
    const remainingMs = freshMs - (clock.monotonicMs() - sentMs)
    return { value: loaded.value, remainingMs, freshMs, sizeBytes }
  }

  /**
   * Holds a load against what this process has shown or written. If the floor rose while the load was under way (an own
   * write, a message), the load may have missed that write and is made again. Otherwise the database is right,
   * even where it contradicts the floor: it was restored, or another primary took over.
   */
  async #accept(
    key: CacheKey,
    id: Id,
    first: LoadedValue<Value>,
    before: Floor | undefined,
  ): Promise<Value | undefined> {
    if (this.#source.kind !== 'row') return first.value
    const { floors, emit } = this.#parts
    let known = before
    let loaded = first
    while (floors.get(key) !== known && isBelow(floors.get(key), loaded)) {
      known = floors.get(key)
      loaded = await this.#source.load(id)
    }
    if (loaded.value === undefined) {
      floors.seeAbsence(key)
      this.#tier?.outdate(id, null)
      return undefined
    }
    const wasReset = isBelow(floors.get(key), loaded)
    if (wasReset) {
      floors.clear(key)
      emit({ type: 'floor.reset', entity: this.#source.entity, key })
    }
    if (loaded.version !== undefined) floors.raise(key, loaded.version, false)
    this.#tier?.outdate(id, wasReset ? null : (loaded.version ?? null))
    return loaded.value
  }
}

function isBelow(floor: Floor | undefined, loaded: LoadedValue<unknown>): boolean {
  if (floor === undefined) return false
  if (loaded.value === undefined) return !floor.absent
  return loaded.version !== undefined && compareVersions(loaded.version, floor.version) < 0
}
