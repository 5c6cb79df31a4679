import type { CacheKey } from '../core/key.js'
import { type LoadCost, leaseMs } from '../policy/load-cost.js'
import { type Demands, judge } from '../policy/verdict.js'
import type { EngineParts, LoadedValue, ReadSource, Seen } from './filler.js'
import { failureCode, inRecovery } from './load-failure.js'
import { ReplicaFill } from './replica-fill.js'
import { refusalEvent, type Sealer } from './sealer.js'

/** `filled`: loaded and stored. `skipped`: cached already, or somebody else is filling it. `failed`: neither database nor cache may have been reached. */
export type WarmOutcome = 'filled' | 'skipped' | 'failed'

/**
 * `skipped`: there is nothing older any more. `busy`: somebody else is filling it, or something was written just now; look again.
 * `uncacheable`: what there was is still there, because the row cannot be stored.
 */
export type RebuildOutcome = 'filled' | 'skipped' | 'busy' | 'uncacheable'

/**
 * Fills keys ahead of their readers, by the leases that readers use: whoever holds one loads, so a fleet that warms up and serves
 * at the same time loads no key twice.
 *
 * Nobody is shown what is loaded here. So it raises no floor and is not kept in this process' memory: warming a million rows must
 * not push out what the process remembers of the rows it serves.
 */
export class Warmer<Id, Value> {
  readonly #parts: EngineParts
  readonly #source: ReadSource<Id, Value>
  readonly #sealer: Sealer<Value>
  readonly #replica: ReplicaFill<Id, Value> | undefined
  readonly #demands: () => Demands
  readonly #cost: LoadCost
  readonly #lease: { readonly minMs: number; readonly maxMs: number }

  constructor(options: {
    parts: EngineParts
    source: ReadSource<Id, Value>
    sealer: Sealer<Value>
    /** What readers ask of entries now. */
    demands: () => Demands
    cost: LoadCost
    /** Bounds of the time a load is given before a reader may take over. */
    lease: { readonly minMs: number; readonly maxMs: number }
  }) {
    this.#parts = options.parts
    this.#source = options.source
    this.#sealer = options.sealer
    this.#replica = ReplicaFill.of(options.parts, options.source, options.sealer)
    this.#demands = options.demands
    this.#cost = options.cost
    this.#lease = options.lease
  }

  /** Never rejects. */
  async warm(key: CacheKey, id: Id): Promise<WarmOutcome> {
    if (this.#parts.isPending(key)) return 'skipped'
    try {
      const seen = await this.#look(key)
      const outcome = seen === undefined ? 'skipped' : await this.#fill(key, id, seen, 'warm')
      if (outcome === 'uncacheable') return 'failed'
      // Busy: somebody else is filling it, or the next reader loads what was written just now.
      return outcome === 'busy' ? 'skipped' : outcome
    } catch {
      return 'failed'
    }
  }

  /**
   * Replaces what was filled before `beforeMs` of the store's clock by what the primary has now, whatever its version says: of two
   * histories the primary's is the one that counts. Until it is replaced it goes on being served.
   *
   * @param fillsAbsent also where there is nothing to replace.
   * @throws SourceError, CacheUnavailableError. Both may go away.
   */
  async rebuild(
    key: CacheKey,
    id: Id,
    { beforeMs, fillsAbsent }: { readonly beforeMs: number; readonly fillsAbsent: boolean },
  ): Promise<RebuildOutcome> {
    if (this.#parts.isPending(key)) return 'busy'
    const bytes = await this.#parts.store.read(key)
    if (bytes === null && !fillsAbsent) return 'skipped'
    const entry = bytes && this.#parts.codec.open(bytes, key)
    if (entry && !('unreadable' in entry) && entry.filledAtMs >= beforeMs) return 'skipped'
    return this.#fill(key, id, { bytes, useless: true }, 'rebuild')
  }

  /** What there is to replace; undefined when a reader would be served. */
  async #look(key: CacheKey): Promise<Seen | undefined> {
    const { store, codec, floors, chance } = this.#parts
    const bytes = await store.read(key)
    if (bytes === null) return { bytes, useless: false }
    const entry = codec.open(bytes, key)
    if ('unreadable' in entry) return { bytes, useless: true }
    const verdict = judge(entry, store.nowMs(), floors.get(key), this.#demands(), chance)
    if (verdict === 'fresh' || verdict === 'early') return undefined
    return { bytes, useless: verdict.startsWith('other') }
  }

  async #fill(
    key: CacheKey,
    id: Id,
    seen: Seen,
    reason: 'warm' | 'rebuild',
  ): Promise<Exclude<RebuildOutcome, 'skipped'>> {
    const { store, chance, emit, clock } = this.#parts
    const { entity } = this.#source
    const startedMs = clock.monotonicMs()
    const token = chance.token()
    const length = Math.ceil(leaseMs(this.#cost.estimateMs, this.#lease))
    const { outcome } = await store.lease({ key, token, leaseMs: length, seen: seen.bytes, waitedFor: null })
    if (outcome !== 'leased') return 'busy'
    const replica = reason === 'warm' ? this.#replica : undefined
    const filled = await replica?.attempt({ key, id, token, useless: seen.useless, reason: 'warm' })
    if (filled) {
      this.#cost.record(clock.monotonicMs() - startedMs)
      return 'filled'
    }
    const epoch = this.#parts.epoch()
    const askedMs = clock.monotonicMs()
    let loaded: LoadedValue<Value>
    try {
      loaded = await this.#source.load(id)
      if (loaded.loadedFrom !== 'primary') throw inRecovery(entity)
    } catch (error) {
      this.#cost.recordFailure()
      await store.release({ key, token, failure: failureCode(error) }).catch(() => {})
      throw error
    }
    const made = this.#sealer.seal({ key, ...loaded, epoch, ageMs: clock.monotonicMs() - askedMs })
    if ('refused' in made) {
      emit(refusalEvent(entity, key, made))
      await store.release({ key, token, failure: null }).catch(() => {})
      return 'uncacheable'
    }
    const { sealed, version, keepMs } = made
    const { snapshot } = loaded
    const fill = { key, token, sealed, version, keepMs, snapshot, replacesNewer: seen.useless }
    const stored = await store.fill({ ...fill, loadedFrom: 'primary' }).catch(async (error) => {
      // It has left its lease behind, for which readers would wait.
      await store.release({ key, token, failure: null }).catch(() => {})
      throw error
    })
    this.#cost.record(clock.monotonicMs() - startedMs)
    emit({ type: 'fill', entity, key, reason, outcome: stored })
    return stored === 'filled' ? 'filled' : 'busy'
  }
}
