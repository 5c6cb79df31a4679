import type { Clock } from '../core/clock.js'
import type { StoreShards } from '../core/ports.js'
import { CircuitBreaker } from './circuit-breaker.js'

type BreakerState = CircuitBreaker['state']

const MAX_PROBE_MS = 1_000

/** Worst first. */
const STATES: readonly BreakerState[] = ['open', 'half-open', 'closed']

/** A circuit breaker for each shard of a store: one that does not answer is left alone, the others are asked as ever. */
export class ShardBreakers {
  readonly #options: ShardBreakersOptions
  readonly #breakers = new Map<string, CircuitBreaker>()
  #names: readonly string[] | undefined

  constructor(options: ShardBreakersOptions) {
    this.#options = options
  }

  /** The shards there are now. Empty: nobody knows. */
  names(): readonly string[] {
    let names: readonly string[]
    try {
      names = this.#options.shards.list()
    } catch {
      return this.#names ?? []
    }
    // A store hands out the same list as long as nothing has changed: then this is all it costs.
    if (names !== this.#names) this.#follow(names)
    return names
  }

  of(shard: string): CircuitBreaker {
    const known = this.#breakers.get(shard)
    if (known) return known
    const breaker: CircuitBreaker = new CircuitBreaker({
      ...this.#options,
      maxProbeMs: Math.max(MAX_PROBE_MS, this.#options.probeMs),
      onChange: (state) => {
        // What was asked of a shard that has vanished since may still end.
        if (this.#breakers.get(shard) === breaker) this.#options.onChange(shard, state)
      },
    })
    this.#breakers.set(shard, breaker)
    return breaker
  }

  /** A connection was made anew, to whichever shard: of each that is left alone the next call is let through. */
  tryNow(): void {
    for (const breaker of this.#breakers.values()) breaker.tryNow()
  }

  /** The worst of them: `open` if the breaker of any shard is. */
  get state(): BreakerState {
    this.names()
    const states = new Set([...this.#breakers.values()].map(({ state }) => state))
    return STATES.find((state) => states.has(state)) ?? 'closed'
  }

  #follow(names: readonly string[]): void {
    this.#names = names
    for (const shard of this.#breakers.keys()) {
      if (names.includes(shard)) continue
      this.#breakers.delete(shard)
      this.#options.onVanish(shard)
    }
  }
}

export interface ShardBreakersOptions {
  readonly shards: Pick<StoreShards, 'list'>
  readonly clock: Pick<Clock, 'monotonicMs'>
  /** See `CircuitBreaker`. */
  readonly failures: number
  readonly probeMs: number
  readonly onChange: (shard: string, state: BreakerState) => void
  /** A shard is none any more, whatever state its breaker was in: its keys lie on others now. */
  readonly onVanish: (shard: string) => void
}
