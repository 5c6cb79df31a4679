import { CacheUnavailableError, SourceError } from '../core/errors.js'
import type { CacheKey } from '../core/key.js'
import { NoAnswer } from '../core/no-answer.js'
import type { LeaseReply, StoredBytes } from '../core/ports.js'
import { type FillSpan, NO_TELEMETRY, type Telemetry } from '../core/telemetry.js'
import type { Version } from '../core/version.js'
import { type LoadCost, leaseMs } from '../policy/load-cost.js'
import { nextPollMs } from '../policy/wait-schedule.js'
import { Acceptance } from './acceptance.js'
import { mayBeBelowFloor } from './floors.js'
import type { FreshValue } from './l1.js'
import { failureCode, inRecovery, RemoteFailure } from './load-failure.js'
import type { EngineParts, LoadedValue, ReadSource } from './read-source.js'
import { type LeasedFill, ReplicaFill } from './replica-fill.js'
import { refusalEvent, Sealer } from './sealer.js'
import type { FlightProgress } from './singleflight.js'

export type { EngineParts, LoadedValue, ReadSource } from './read-source.js'

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
  /** Only what the primary says will do: no replica is asked, and a primary in recovery is none. */
  readonly fromPrimary?: boolean
}

/** Judges what somebody else stored meanwhile: its value if it may be served, and what orders that (null: nothing), or what there is to replace. */
export type Judge<Value> = (
  bytes: StoredBytes | null,
) => { readonly value: Value | undefined; readonly version: Version | null } | Seen

/** The in-process copies of a source's entries, as the fill sees them. Implementation: `engine/l1`. */
export interface NearTier<Id, Value> {
  /** Changes with every invalidation that could concern this id. Taken before the value is read, compared when it is kept. */
  generation(id: Id): number
  /** Keeps the value unless it was invalidated since `generation` was taken. */
  remember(id: Id, fresh: FreshValue<Value>, generation: number): void
  /** A reader was shown `version` (null: no row, or nothing that orders it): a copy that is not as new must not answer any more. */
  outdate(id: Id, version: Version | null): void
}

const UNAVAILABLE = { outcome: 'unavailable' } as const
const LATE = { outcome: 'late' } as const

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
  readonly #replica: ReplicaFill<Id, Value> | undefined
  readonly #acceptance: Acceptance<Id, Value>
  readonly #telemetry: Telemetry

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
    this.#replica = ReplicaFill.of(options.parts, options.source, this.#sealer)
    this.#acceptance = new Acceptance({ ...options, load: (id, fromPrimary) => this.#load(id, fromPrimary) })
    this.#telemetry = options.parts.telemetry ?? NO_TELEMETRY
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
    let heldSinceMs = 0
    let polls = 0
    let waited: ReturnType<Telemetry['waitForLease']> | undefined
    const fromPrimary = seen.fromPrimary === true
    const loadOnly = () => {
      waited?.('gave-up')
      return this.loadOnly(key, id, progress, fromPrimary)
    }
    // One for all requests that were answered: none of those before the last was granted anything under it.
    let token = this.#parts.chance.token()
    let isLate = false
    for (let changes = 0; changes < MAX_CHANGES; ) {
      progress.asks()
      const wasLate = isLate
      const reply = await this.#lease(key, token, held.bytes, waitedFor)
      isLate = reply.outcome === 'late'
      switch (reply.outcome) {
        case 'leased':
          waited?.('took-over')
          return this.#answer({ key, id, token, useless: held.useless, reason: 'miss' }, fromPrimary, progress)
        case 'changed': {
          const judged = judge(reply.bytes)
          if ('value' in judged) {
            waited?.('answered')
            if (polls > 0) {
              this.#learnFromWait(key, reply.bytes, heldSinceMs)
              const waitedMs = clock.monotonicMs() - startedMs
              emit({ type: 'coalesced', entity: this.#source.entity, scope: 'fleet', waitedMs })
            }
            // It is not kept: nobody knows what was invalidated while it was waited for. But memory may hold an older one by now.
            this.#tier?.outdate(id, judged.version)
            return judged.value
          }
          // Gone, expired or not for us: compete again for what is there now.
          held = judged
          changes++
          break
        }
        case 'failed':
          waited?.('failed')
          throw new SourceError(`load of ${this.#source.entity}`, new RemoteFailure(reply.code))
        case 'held': {
          const pauseMs = this.#pauseMs(clock.monotonicMs() - startedMs, polls, reply)
          if (pauseMs === undefined) return loadOnly()
          waited ??= this.#telemetry.waitForLease(this.#source.entity)
          if (reply.token !== waitedFor) heldSinceMs = this.#parts.store.nowMs() - reply.heldForMs
          waitedFor = reply.token
          polls++
          await clock.sleep(pauseMs)
          break
        }
        case 'late':
          // Who waits for another's load has time for one more try; who waits for nobody is promised one deadline and a load.
          if (wasLate || waitedFor === null) return loadOnly()
          // What was asked may be granted at any time, even behind a fence that has revoked what is granted next.
          token = this.#parts.chance.token()
          break
        case 'unavailable':
          return loadOnly()
      }
    }
    return loadOnly()
  }

  /** Replaces an entry before it expires, behind its readers. Does nothing when somebody else already does or did. */
  async refresh(key: CacheKey, id: Id, seen: StoredBytes): Promise<void> {
    const token = this.#parts.chance.token()
    const reply = await this.#lease(key, token, seen, null)
    if (reply.outcome === 'leased') await this.#answer({ key, id, token, useless: false, reason: 'refresh' })
  }

  /**
   * Reads the database without touching the cache: Redis is away, or waiting for the lease took too long.
   *
   * @param fromPrimary nobody's word will do but the primary's. Rejects with SourceError when who answers is in recovery.
   */
  async loadOnly(key: CacheKey, id: Id, progress?: FlightProgress, fromPrimary = false): Promise<Value | undefined> {
    progress?.asks()
    const before = this.#parts.floors.get(key)
    const span = this.#telemetry.load(this.#source.entity, key)
    if (progress) progress.span = span
    try {
      return await this.#acceptance.accept(
        { key, id, fromPrimary, asksAgain: progress?.asks },
        await span.within(() => this.#load(id, fromPrimary)),
        before,
      )
    } catch (error) {
      span.failed(error)
      throw error
    } finally {
      span.end('')
    }
  }

  /** How long to wait until the next poll; undefined when this reader has waited long enough. */
  #pauseMs(waitedMs: number, polls: number, lease: LeaseReply & { outcome: 'held' }): number | undefined {
    const { waitMs: limitMs } = this.#settings.lease
    const soonestMs = Math.max(0, this.#cost.soonestMs - lease.heldForMs)
    const wait = { polls, waitedMs, soonestMs, leaseRemainingMs: lease.remainingMs, limitMs }
    return nextPollMs(wait, this.#parts.chance)
  }

  /** What was waited for is there. The store's clock tells how long that took, however late it was found. */
  #learnFromWait(key: CacheKey, bytes: StoredBytes | null, heldSinceMs: number): void {
    const entry = bytes === null ? undefined : this.#parts.codec.open(bytes, key)
    if (entry === undefined || 'unreadable' in entry) return
    const tookMs = entry.filledAtMs - heldSinceMs
    // Stored before that lease: by somebody who was slower, or by a writer.
    if (tookMs > 0) this.#cost.recordOther(tookMs)
  }

  async #lease(key: CacheKey, token: string, seen: StoredBytes | null, waitedFor: string | null) {
    try {
      const length = Math.ceil(leaseMs(this.#cost.estimateMs, this.#settings.lease))
      return await this.#parts.store.lease({ key, token, leaseMs: length, seen, waitedFor })
    } catch (error) {
      if (!(error instanceof CacheUnavailableError && error.cause instanceof NoAnswer)) return UNAVAILABLE
      // It may have been granted, or will be.
      this.#parts.background.run('release', () => this.#giveBack({ key, token }))
      return LATE
    }
  }

  async #load(id: Id, fromPrimary: boolean): Promise<LoadedValue<Value>> {
    const { entity } = this.#source
    const loaded = await this.#source.load(id)
    if (loaded.loadedFrom === 'primary') return loaded
    this.#parts.emit({ type: 'primary.recovering', entity })
    if (fromPrimary) throw inRecovery(entity)
    return loaded
  }

  async #answer(fill: LeasedFill<Id>, fromPrimary = false, progress?: FlightProgress): Promise<Value | undefined> {
    const { key, id } = fill
    const before = this.#parts.floors.get(key)
    const generation = this.#tier?.generation(id)
    progress?.asks()
    const span = this.#telemetry.fill(this.#source.entity, key, fill.reason === 'refresh' ? 'refresh' : 'miss')
    if (progress) progress.span = span
    const startedMs = this.#parts.clock.monotonicMs()
    const replica = fromPrimary ? undefined : this.#replica
    const filled = replica && (await span.within(() => replica.attempt(fill, progress)))
    if (filled === undefined) return this.#loadAndStore(fill, fromPrimary, span, progress)
    span.end('filled')
    if (progress) progress.landed = Promise.resolve(true)
    this.#cost.record(this.#parts.clock.monotonicMs() - startedMs)
    const isShowable = !mayBeBelowFloor(this.#parts.floors.get(key), before, filled.loaded)
    if (generation !== undefined && isShowable) this.#tier?.remember(id, filled.fresh, generation)
    return this.#acceptance.accept({ key, id, fromPrimary, asksAgain: progress?.asks }, filled.loaded, before)
  }

  async #loadAndStore(
    fill: LeasedFill<Id>,
    fromPrimary: boolean,
    span: FillSpan,
    progress?: FlightProgress,
  ): Promise<Value | undefined> {
    const { key, id, reason } = fill
    const { background, clock, floors } = this.#parts
    const startedMs = clock.monotonicMs()
    const before = floors.get(key)
    const generation = this.#tier?.generation(id)
    const epoch = this.#parts.epoch()
    progress?.asks()
    let loaded: LoadedValue<Value>
    try {
      loaded = await span.within(() => this.#load(id, fromPrimary))
    } catch (error) {
      span.failed(error)
      this.#cost.recordFailure()
      background.run('release', () => this.#giveBack(fill, failureCode(error)))
      throw error
    }
    if (loaded.loadedFrom !== 'primary') {
      span.failed(inRecovery(this.#source.entity))
      // A primary that was demoted, or has not been promoted yet: nobody knows how far behind it is.
      background.run('release', () => this.#giveBack(fill))
      return this.#acceptance.accept({ key, id, fromPrimary, asksAgain: progress?.asks }, loaded, before)
    }
    // The caller has what it asked for; storing it is not its business. The fill leaves before any later read of this
    // process does, because batches of one connection keep their order.
    const made = { ...loaded, epoch, ageMs: clock.monotonicMs() - startedMs, isRefresh: reason === 'refresh' }
    const stored = span.within(() => this.#store(fill, made, span))
    const landed = stored.then((fresh) => {
      this.#cost.record(clock.monotonicMs() - startedMs)
      const isShowable = !mayBeBelowFloor(floors.get(key), before, loaded)
      const kept = fresh && { ...fresh, provenAtMs: startedMs }
      if (kept && generation !== undefined && isShowable) this.#tier?.remember(id, kept, generation)
      return fresh !== undefined
    })
    if (progress) progress.landed = landed.catch(() => false)
    background.run('fill', async () => {
      try {
        await landed
      } catch (error) {
        span.failed(error)
        // It never came to a fill. Those who wait for this lease must not wait for its end.
        await this.#giveBack(fill)
        throw error
      }
    })
    return this.#acceptance.accept({ key, id, fromPrimary, asksAgain: progress?.asks }, loaded, before)
  }

  /** Gives a lease back that nothing is stored under. Where the cache does not hear of it, the lease ends by itself. */
  async #giveBack({ key, token }: Pick<LeasedFill<Id>, 'key' | 'token'>, failure: string | null = null): Promise<void> {
    await this.#parts.store.release({ key, token, failure }).catch(() => {})
  }

  /** What was stored; undefined when it was not. */
  async #store(
    fill: LeasedFill<Id>,
    loaded: LoadedValue<Value> & { readonly epoch: string; readonly ageMs: number; readonly isRefresh: boolean },
    span: FillSpan,
  ): Promise<FreshValue<Value> | undefined> {
    const { key, token, useless, reason } = fill
    const { store, emit, clock } = this.#parts
    const { entity } = this.#source
    const made = this.#sealer.seal({ key, ...loaded })
    if ('refused' in made) {
      emit(refusalEvent(entity, key, made))
      emit({ type: 'fill', entity, key, reason, outcome: 'uncacheable' })
      span.end('uncacheable')
      if (made.refused === 'uncacheable') this.#source.doubtShape()
      await this.#giveBack(fill)
      return undefined
    }
    const { snapshot } = loaded
    const { freshMs, sizeBytes, ...entry } = made
    const request = { key, token, ...entry, snapshot, loadedFrom: 'primary', replacesNewer: useless } as const
    const sentMs = clock.monotonicMs()
    const outcome = await store.fill(request).catch(() => 'unavailable' as const)
    emit({ type: 'fill', entity, key, reason, outcome })
    span.end(outcome)
    // A fill that was lost has left its lease behind, for which others would wait. One that is only late finds it gone.
    if (outcome === 'unavailable') await this.#giveBack(fill)
    if (outcome !== 'filled') return undefined
    // The entry may have landed right after it was sent, however late this process hears of it.
    const remainingMs = freshMs - (clock.monotonicMs() - sentMs)
    return { value: loaded.value, remainingMs, freshMs, sizeBytes }
  }
}
