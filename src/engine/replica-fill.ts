import { SourceError } from '../core/errors.js'
import type { CacheKey } from '../core/key.js'
import { withinMs } from './deadline.js'
import { mayBeBelowFloor } from './floors.js'
import type { FreshValue } from './l1.js'
import type { EngineParts, LoadedValue, ReadSource } from './read-source.js'
import type { ReplicaTrust } from './replica-trust.js'
import type { Sealer } from './sealer.js'
import type { FlightProgress } from './singleflight.js'

/** A fill under way, whose lease this process holds. */
export interface LeasedFill<Id> {
  readonly key: CacheKey
  readonly id: Id
  readonly token: string
  /** What was seen could not be used at all. */
  readonly useless: boolean
  readonly reason: 'miss' | 'refresh' | 'warm'
}

export interface ReplicaFilled<Value> {
  readonly loaded: LoadedValue<Value>
  /** As it was stored. */
  readonly fresh: FreshValue<Value>
}

/**
 * The part of a fill that a replica does: load there, and store it if nothing speaks against it. Only what was stored is shown to
 * anybody: the store has then held it against its fences, so a reader never gets an older row than from the cache itself.
 *
 * In every other case the primary is asked, under the same lease: it lags, its row is older than this process has shown or
 * written, a fence asks for more, it fails or takes too long.
 */
export class ReplicaFill<Id, Value> {
  readonly #parts: EngineParts
  readonly #entity: string
  readonly #load: (id: Id) => Promise<LoadedValue<Value>>
  readonly #sealer: Sealer<Value>
  readonly #trust: ReplicaTrust

  /** Undefined where the source is not to be loaded from a replica. */
  static of<Id, Value>(parts: EngineParts, source: ReadSource<Id, Value>, sealer: Sealer<Value>) {
    const { replica } = parts
    const { loadFromReplica, entity } = source
    if (replica === undefined || loadFromReplica === undefined) return undefined
    return new ReplicaFill<Id, Value>({ parts, entity, load: loadFromReplica, sealer, trust: replica })
  }

  private constructor(options: {
    parts: EngineParts
    entity: string
    load: (id: Id) => Promise<LoadedValue<Value>>
    sealer: Sealer<Value>
    trust: ReplicaTrust
  }) {
    this.#parts = options.parts
    this.#entity = options.entity
    this.#load = options.load
    this.#sealer = options.sealer
    this.#trust = options.trust
  }

  /** Undefined: ask the primary. Never rejects. */
  async attempt(fill: LeasedFill<Id>, progress?: FlightProgress): Promise<ReplicaFilled<Value> | undefined> {
    if (!this.#trust.isUsable()) return undefined
    try {
      return await this.#loadAndStore(fill, progress)
    } catch (error) {
      return this.#skip('failed', error)
    }
  }

  async #loadAndStore(fill: LeasedFill<Id>, progress?: FlightProgress): Promise<ReplicaFilled<Value> | undefined> {
    const { clock, store, floors, emit } = this.#parts
    const { key, token } = fill
    const startedMs = clock.monotonicMs()
    const epoch = this.#parts.epoch()
    const { limitMs } = this.#trust
    const late = () =>
      new SourceError(`load of ${this.#entity} from a replica`, new Error(`no answer for ${limitMs} ms`))
    const loaded = await withinMs(clock, limitMs, this.#load(fill.id), late)
    const forMs = this.#trust.storableForMs(loaded.snapshot)
    if (forMs === undefined) return this.#skip('behind')
    this.#trust.resume()
    // Like a cached row: where this process has seen an absence, nothing shows that it is not from before.
    if (mayBeBelowFloor(floors.get(key), undefined, loaded)) return this.#skip('floor')

    const isRefresh = fill.reason === 'refresh'
    const made = this.#sealer.seal({ key, ...loaded, epoch, ageMs: clock.monotonicMs() - startedMs, isRefresh })
    // The primary's row will not fit either, and is reported then.
    if ('refused' in made) return undefined
    const { freshMs, sizeBytes, ...entry } = made
    const sentMs = clock.monotonicMs()
    progress?.closes()
    const outcome = await store
      .fill({
        key,
        token,
        ...entry,
        snapshot: loaded.snapshot,
        loadedFrom: 'standby',
        untilMs: store.nowMs() + forMs,
        replacesNewer: fill.useless,
      })
      .catch(() => 'unavailable' as const)
    if (outcome === 'unavailable') return undefined
    if (outcome !== 'filled') return this.#skip('fenced')
    emit({ type: 'fill', entity: this.#entity, key, reason: fill.reason, outcome })
    // A write or a message came while it was on its way. Its fence will end what was stored.
    if (mayBeBelowFloor(floors.get(key), undefined, loaded)) return this.#skip('floor')
    const remainingMs = freshMs - (clock.monotonicMs() - sentMs)
    return { loaded, fresh: { value: loaded.value, remainingMs, freshMs, sizeBytes } }
  }

  #skip(reason: 'behind' | 'floor' | 'fenced' | 'failed', error?: unknown): undefined {
    if (reason === 'behind' || reason === 'failed') this.#trust.pause()
    const event = { type: 'replica.skipped', entity: this.#entity, reason } as const
    this.#parts.emit(error === undefined ? event : { ...event, error })
  }
}
