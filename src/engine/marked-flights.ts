import type { CacheKey } from '../core/key.js'
import type { Holder, Invalidation } from './invalidation.js'
import type { Singleflight } from './singleflight.js'

/**
 * Loads under way of queries, by the marks their results will depend on. When this process learns that a mark has changed, by a
 * write of its own or by a message, nobody may join a load any more that began before: the load may have missed that write.
 */
export class MarkedFlights implements Pick<Holder, 'forget' | 'clear'> {
  readonly #flights: Singleflight<unknown>
  readonly #invalidation: Invalidation
  readonly #watched = new Set<string>()
  readonly #loads = new Map<CacheKey, Set<{ readonly query: CacheKey }>>()

  constructor(options: { flights: Singleflight<unknown>; invalidation: Invalidation }) {
    this.#flights = options.flights
    this.#invalidation = options.invalidation
  }

  /** Follows a load until the returned function is called. */
  follow(query: CacheKey, marks: readonly CacheKey[]): () => void {
    const load = { query }
    for (const mark of marks) {
      this.#watch(mark)
      const loads = this.#loads.get(mark)
      if (loads) loads.add(load)
      else this.#loads.set(mark, new Set([load]))
    }
    return () => {
      for (const mark of marks) {
        const loads = this.#loads.get(mark)
        if (loads?.delete(load) && loads.size === 0) this.#loads.delete(mark)
      }
    }
  }

  forget(mark: CacheKey): void {
    for (const { query } of this.#loads.get(mark) ?? []) this.#flights.forget(query)
  }

  clear(): void {
    for (const mark of this.#loads.keys()) this.forget(mark)
  }

  /** Marks of one table share what is in front of their names. */
  #watch(mark: CacheKey): void {
    const prefix = mark.slice(0, mark.indexOf('#') + 1)
    if (this.#watched.has(prefix)) return
    this.#watched.add(prefix)
    this.#invalidation.register({ prefix, forget: (key) => this.forget(key as CacheKey), clear: () => this.clear() })
  }
}
