import type { CacheKey } from '../core/key.js'
import type { FillSpan } from '../core/telemetry.js'

/** A fill under way, and what somebody who joins it may conclude. */
export interface Flight<Value> {
  readonly value: Promise<Value>
  /**
   * Whether the fill landed, that is: no fence arrived between its lease and its end. Settles after `value`, and never
   * rejects.
   */
  readonly landed: Promise<boolean>
  /**
   * When the question was asked that brought the value, on the scale of `Singleflight.now`. Whoever began later may have
   * begun after a write that the answer does not show.
   */
  readonly askedAt: number
  /** What is traced of it, once there is something. */
  readonly span: FillSpan | undefined
  /** Until then it may be joined, by the clock of whoever starts and joins. */
  readonly untilMs: number
}

/** What a fill reports about itself while it is under way. */
export interface FlightProgress {
  /** Called right before each question to the cache or the database. The last call counts: it resets `landed`, which was about an earlier answer. */
  readonly asks: () => void
  /**
   * Nobody may join from here on. Called right before a store whose outcome the fill waits for: once that has landed a fence may come, of which `landed`
   * says nothing, and a reader who begins after the fence must not join while the answer is still on its way.
   */
  readonly closes: () => void
  /** Set by a fill that stores something; what is served from the cache, or not stored at all, needs no waiting for. */
  landed: Promise<boolean>
  span?: FillSpan
}

/**
 * Lets concurrent readers of one key share one fill.
 *
 * Guarantee: at most one fill per key is running that a new reader may join, also while loads are failing: a failure
 * reaches everyone who joined, and only then may the next fill start. After `untilMs` a fill is not joined any more: its question may
 * never be answered, as over a connection that is half open.
 */
export class Singleflight<Value> {
  readonly #flights = new Map<CacheKey, Flight<Value>>()
  #now = 0

  /** A moment after all earlier ones: tells which came first, the start of a read or the question of a fill. */
  now(): number {
    return ++this.#now
  }

  /** The fill in flight for this key, if a new reader may join it. */
  current(key: CacheKey, nowMs = Number.NEGATIVE_INFINITY): Flight<Value> | undefined {
    const flight = this.#flights.get(key)
    return flight && nowMs < flight.untilMs ? flight : undefined
  }

  /**
   * Starts a fill. The caller has made sure that there is none to join.
   *
   * @param untilMs see `Flight`. Default: until it ends.
   */
  start(
    key: CacheKey,
    fill: (progress: FlightProgress) => Promise<Value>,
    untilMs = Number.POSITIVE_INFINITY,
  ): Flight<Value> {
    let askedAt = Number.POSITIVE_INFINITY
    const progress: FlightProgress = {
      landed: Promise.resolve(false),
      asks: () => {
        askedAt = this.now()
        progress.landed = Promise.resolve(false)
      },
      closes: () => remove(),
    }
    const value = (async () => fill(progress))()
    const flight: Flight<Value> = {
      value,
      landed: value.then(
        () => progress.landed,
        () => false,
      ),
      get askedAt() {
        return askedAt
      },
      get span() {
        return progress.span
      },
      untilMs,
    }
    this.#flights.set(key, flight)
    // Compare before deleting: after forget() this place may belong to a newer flight.
    const remove = () => {
      if (this.#flights.get(key) === flight) this.#flights.delete(key)
    }
    value.then(remove, remove)
    return flight
  }

  /**
   * Makes later readers start a fill of their own. Called when this process learns of a write: a load that began
   * before it may not have seen it. Readers who joined earlier keep what they joined.
   */
  forget(key: CacheKey): void {
    this.#flights.delete(key)
  }

  /** The same for every key. */
  forgetAll(): void {
    this.#flights.clear()
  }

  /** Number of fills that can be joined now. */
  get size(): number {
    return this.#flights.size
  }
}
