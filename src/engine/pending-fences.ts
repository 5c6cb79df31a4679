import type { Clock } from '../core/clock.js'
import type { EmitEvent } from '../core/events.js'
import type { CacheKey } from '../core/key.js'
import type { FenceSink } from '../core/ports.js'
import type { AnnouncedChange } from './bus-message.js'
import { deliver, merged, type OrderedFence } from './fence-order.js'

const FIRST_RETRY_MS = 50
const MAX_RETRY_MS = 1_000

/**
 * Fences the cache has not acknowledged, sent again until it does. One per key: fences merge by maximum, so the newest
 * says it all. Bounded: beyond `maxKeys` the oldest is given up with an event, and its key falls back to its lifetime.
 *
 * They live in this process only; a process that dies takes them along. The outbox is what survives that.
 */
export class PendingFences {
  readonly #store: FenceSink
  readonly #clock: Clock
  readonly #maxKeys: number
  readonly #emit: EmitEvent
  readonly #announce: (changes: readonly AnnouncedChange[]) => void
  readonly #onArrived: (fences: readonly OrderedFence[]) => void
  readonly #shardOf: ((key: CacheKey) => string) | undefined
  readonly #fences = new Map<CacheKey, OrderedFence>()
  #retryMs = FIRST_RETRY_MS
  #cancelRetry: (() => void) | undefined
  #flushing: Promise<void> | undefined
  /** What is under way began before there was reason to try again. */
  #isTriedAgain = false
  #stopped = false

  constructor(options: {
    store: FenceSink
    clock: Clock
    maxKeys: number
    emit: EmitEvent
    /** Tells the other processes once a fence has arrived after all: until then they may have read the old entry again. */
    announce: (changes: readonly AnnouncedChange[]) => void
    /** Is told of fences when they have arrived, before they count as such. Default: nobody is. */
    onArrived?: (fences: readonly OrderedFence[]) => void
    /** Where a key lies. Left out: all fences that follow one that failed wait with it. */
    shardOf?: (key: CacheKey) => string
  }) {
    this.#store = options.store
    this.#clock = options.clock
    this.#maxKeys = options.maxKeys
    this.#emit = options.emit
    this.#announce = options.announce
    this.#onArrived = options.onArrived ?? (() => {})
    this.#shardOf = options.shardOf
  }

  get size(): number {
    return this.#fences.size
  }

  /** Whether this key's fence still waits. Bound, so that it can be handed on as a function. */
  readonly has = (key: CacheKey): boolean => this.#fences.has(key)

  add(requests: readonly OrderedFence[]): void {
    if (this.#stopped) {
      this.#emit({ type: 'fence.settled', keys: requests.length, outcome: 'dropped' })
      return
    }
    for (const request of requests) {
      const known = this.#fences.get(request.key)
      this.#fences.delete(request.key)
      const fence = known ? merged(known, request) : request
      // It replaces nothing: by the time it arrives, the row may be another one.
      this.#fences.set(request.key, { ...fence, replacement: null })
    }
    let dropped = 0
    for (const key of this.#fences.keys()) {
      if (this.#fences.size <= this.#maxKeys) break
      this.#fences.delete(key)
      dropped++
    }
    if (dropped > 0) this.#emit({ type: 'fence.settled', keys: dropped, outcome: 'dropped' })
    this.#schedule()
  }

  /** Tries everything that is pending now, once. Resolves when tried; what failed stays pending. */
  flush(): Promise<void> {
    this.#flushing ??= this.#flush().finally(() => {
      this.#flushing = undefined
      if (this.#isTriedAgain) this.retryNow()
      else this.#schedule()
    })
    return this.#flushing
  }

  /** There is reason to think that the cache takes them now: it has answered, or a connection was made. They do not wait for their turn. */
  retryNow(): void {
    this.#isTriedAgain = this.#flushing !== undefined
    if (this.#isTriedAgain) return
    this.#cancelRetry?.()
    this.#cancelRetry = undefined
    this.#retryMs = FIRST_RETRY_MS
    if (this.#fences.size > 0) void this.flush()
  }

  /** Tries everything a last time, and stops. */
  async finish(): Promise<void> {
    // What came while a try was under way is not part of that one.
    await this.#flushing
    if (this.#fences.size > 0) await this.flush()
    this.stop()
  }

  /** Stops retrying. What is still pending is given up. */
  stop(): void {
    this.#stopped = true
    this.#cancelRetry?.()
    this.#cancelRetry = undefined
    const keys = this.#fences.size
    this.#fences.clear()
    if (keys > 0) this.#emit({ type: 'fence.settled', keys, outcome: 'dropped' })
  }

  async #flush(): Promise<void> {
    const late = await deliver([...this.#fences.values()], this.#store, this.#shardOf, (arrived) => {
      this.#onArrived(arrived)
      this.#announce(
        arrived.map(({ key, copyOf, version }) => ({ key: copyOf ?? key, version, absent: false, hasFloor: false })),
      )
      let settled = 0
      for (const request of arrived) {
        // A fence that was merged with a newer one while this was under way still waits for its own turn.
        if (this.#fences.get(request.key) === request && this.#fences.delete(request.key)) settled++
      }
      this.#emit({ type: 'fence.settled', keys: settled, outcome: 'fenced' })
    })
    this.#retryMs = late.length > 0 ? Math.min(this.#retryMs * 2, MAX_RETRY_MS) : FIRST_RETRY_MS
  }

  #schedule(): void {
    if (this.#cancelRetry || this.#fences.size === 0) return
    this.#cancelRetry = this.#clock.after(this.#retryMs, () => {
      this.#cancelRetry = undefined
      void this.flush()
    })
  }
}
