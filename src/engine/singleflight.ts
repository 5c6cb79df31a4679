import type { CacheKey } from '../core/key.js'

/**
 * Lets concurrent readers of one key share one fill.
 *
 * Guarantee: at most one fill per key is running that a new reader may join, also while loads are failing: a
 * failure reaches everyone who joined, and only then may the next fill start.
 */
export class Singleflight<Value> {
  readonly #flights = new Map<CacheKey, Promise<Value>>()

  /** The fill in flight for this key, if a new reader may join it. */
  current(key: CacheKey): Promise<Value> | undefined {
    return this.#flights.get(key)
  }

  run(key: CacheKey, fill: () => Promise<Value>): Promise<Value> {
    const current = this.#flights.get(key)
    if (current) return current
    const flight = (async () => fill())().finally(() => {
      // Compare before deleting: after forget() this place may belong to a newer flight.
      if (this.#flights.get(key) === flight) this.#flights.delete(key)
    })
    this.#flights.set(key, flight)
    return flight
  }

  /**
   * Makes later readers start a fill of their own. Called when this process learns of a write: a load that began
   * before it may not have seen it. Readers who joined earlier keep what they joined.
   */
  forget(key: CacheKey): void {
    this.#flights.delete(key)
  }

  /** Number of fills that can be joined now. */
  get size(): number {
    return this.#flights.size
  }
}
