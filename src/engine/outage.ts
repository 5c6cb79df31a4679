import type { Clock } from '../core/clock.js'
import type { EmitEvent } from '../core/events.js'
import type { CacheKey } from '../core/key.js'
import type { StoreShards } from '../core/ports.js'
import type { Watermark } from './watermark.js'

/** A relay that works leaves something on each shard several times a second. */
const SILENCE_MS = 3_000
/** How closely the relay is followed after an outage. */
const BOUND_MS = 400

/**
 * What an outage of a shard leaves behind: processes that wrote meanwhile may have died with their fences, and the entries of what they
 * wrote are still there. So when the shard answers again, this process uses what it holds only when the relay has passed the
 * outage there: when every change committed before its end has been fenced.
 *
 * A shard may end its outage under another name, when a replica takes over. Which one nobody says: it counts as ended on every shard that
 * was not there when it began, and on all of them where there is none of these.
 *
 * Where no relay is at work, which shows in that there are no ticks or that they do not move, that would be for ever. Then only the
 * fences of this process that are pending count, as without an outbox.
 */
export class Outage {
  readonly #options: OutageOptions
  /** Shards that are out, with those that there were when it began. */
  readonly #out = new Map<string, readonly string[]>()
  readonly #endedMs = new Map<string, number>()

  constructor(options: OutageOptions) {
    this.#options = options
  }

  /** The state of a shard's breaker. */
  note(shard: string, state: 'closed' | 'open' | 'half-open'): void {
    if (state === 'open' && !this.#out.has(shard)) this.#out.set(shard, this.#names())
    if (state === 'closed' && this.#out.delete(shard)) this.#await([shard])
  }

  /** A shard is none any more. */
  vanished(shard: string): void {
    this.#endedMs.delete(shard)
    const before = this.#out.get(shard)
    if (before === undefined) return
    this.#out.delete(shard)
    const now = this.#names()
    const added = now.filter((name) => !before.includes(name))
    this.#await(added.length > 0 ? added : now)
  }

  /** Whether what the cache holds under a key must not be used yet. Bound, to be handed on. */
  readonly covers = (key: CacheKey): boolean => {
    if (this.#endedMs.size === 0) return false
    const shard = this.#options.shards.of(key)
    const endedMs = this.#endedMs.get(shard)
    return endedMs !== undefined && this.#covers(key, shard, endedMs)
  }

  #covers(key: CacheKey, shard: string, endedMs: number): boolean {
    const { clock, watermark } = this.#options
    watermark.watch(BOUND_MS)
    if (watermark.provenAtMs(key) >= endedMs) return this.#end(shard, 'passed')
    if (watermark.hasTicks === false) return this.#end(shard, 'no-relay')
    if (clock.monotonicMs() - Math.max(endedMs, watermark.movedAtMs) >= SILENCE_MS) return this.#end(shard, 'no-relay')
    return true
  }

  #await(shards: readonly string[]): void {
    for (const shard of shards) {
      this.#endedMs.set(shard, this.#options.clock.monotonicMs())
      this.#options.watermark.watch(BOUND_MS)
      this.#options.emit({ type: 'outage', shard, state: 'awaits-relay' })
    }
  }

  #end(shard: string, state: 'passed' | 'no-relay'): false {
    this.#endedMs.delete(shard)
    this.#options.emit({ type: 'outage', shard, state })
    return false
  }

  #names(): readonly string[] {
    try {
      return this.#options.shards.list()
    } catch {
      return []
    }
  }
}

export interface OutageOptions {
  readonly clock: Pick<Clock, 'monotonicMs'>
  readonly shards: Pick<StoreShards, 'list' | 'of'>
  readonly watermark: Pick<Watermark, 'watch' | 'provenAtMs' | 'movedAtMs' | 'hasTicks'>
  readonly emit: EmitEvent
}
