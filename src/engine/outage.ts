import type { Clock } from '../core/clock.js'
import type { EmitEvent } from '../core/events.js'
import type { CacheKey } from '../core/key.js'
import type { Watermark } from './watermark.js'

/** A relay that works leaves something on each shard several times a second. */
const SILENCE_MS = 3_000
/** How closely the relay is followed after an outage. */
const BOUND_MS = 400

/**
 * What an outage of the cache leaves behind: processes that wrote meanwhile may have died with their fences, and the entries of what they
 * wrote are still there. So when the cache answers again, this process uses what a shard holds only when the relay has passed the
 * outage there: when every change committed before its end has been fenced.
 *
 * Where no relay is at work, which shows in that there are no ticks or that they do not move, that would be for ever. Then only the
 * fences of this process that are pending count, as without an outbox.
 */
export class Outage {
  readonly #options: OutageOptions
  #isOut = false
  #endedMs: number | undefined

  constructor(options: OutageOptions) {
    this.#options = options
  }

  /** The breaker's state. */
  note(state: 'closed' | 'open' | 'half-open'): void {
    if (state === 'open') this.#isOut = true
    if (state !== 'closed' || !this.#isOut) return
    this.#isOut = false
    this.#endedMs = this.#options.clock.monotonicMs()
    this.#options.watermark.watch(BOUND_MS)
    this.#options.emit({ type: 'outage', state: 'awaits-relay' })
  }

  /** Whether what the cache holds under a key must not be used yet. Bound, to be handed on. */
  readonly covers = (key: CacheKey): boolean => this.#endedMs !== undefined && this.#covers(key, this.#endedMs)

  #covers(key: CacheKey, endedMs: number): boolean {
    const { clock, watermark } = this.#options
    watermark.watch(BOUND_MS)
    if (watermark.leastProvenAtMs >= endedMs) return this.#end('passed')
    if (watermark.hasTicks === false) return this.#end('no-relay')
    if (clock.monotonicMs() - Math.max(endedMs, watermark.movedAtMs) >= SILENCE_MS) return this.#end('no-relay')
    return watermark.provenAtMs(key) < endedMs
  }

  #end(state: 'passed' | 'no-relay'): false {
    this.#endedMs = undefined
    this.#options.emit({ type: 'outage', state })
    return false
  }
}

export interface OutageOptions {
  readonly clock: Pick<Clock, 'monotonicMs'>
  readonly watermark: Pick<Watermark, 'watch' | 'provenAtMs' | 'leastProvenAtMs' | 'movedAtMs' | 'hasTicks'>
  readonly emit: EmitEvent
}
