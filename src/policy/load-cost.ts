/** Weight of a new sample in the mean: RFC 6298 (TCP round-trip times) uses the same, and the same pair below. */
const MEAN_WEIGHT = 1 / 8
/** Weight of a new sample in the deviation. Twice the mean's, so that a load that slows down shows here first. */
const DEVIATION_WEIGHT = 1 / 4
/** Weight of a new outcome in the failure rate: one failure is forgotten after four successes. */
const FAILURE_WEIGHT = 1 / 4
/** The failure rate above which loads count as failing. */
const FAILING_RATE = 0.1
/** Below this a measurement says more about timers than about the load. */
const FLOOR_MS = 2
/** What a load is taken to cost before one was measured. */
const FIRST_GUESS_MS = 1_000
/** Loads that are remembered one by one: of so many the shortest is hardly longer than the next one. */
const REMEMBERED = 16

/**
 * What the loads of one repository or query cost, from the decision to load until the value is visible: waiting for
 * a connection, the statement, encoding and the fill's round trip included.
 *
 * The estimate errs upwards on purpose. Too high, and a refresh starts somewhat too soon. Too low, and without a
 * lease a refresh runs exp(actual / estimate) times, just when the database has slowed down; with one, the lease runs out
 * under its holder. Two loads three times as slow as all before bring the estimate to the new cost.
 */
export class LoadCost {
  readonly #firstGuessMs: number
  /** Of loads of this process. */
  readonly #own = new Spread()
  /** The latest of those and of the loads of other processes that readers here have waited for. */
  readonly #latestMs: number[] = []
  #failureRate = 0

  /** @param firstGuessMs the estimate before the first measurement. Should be slow for a load: see above. 1 s if not given. */
  constructor(firstGuessMs: number = FIRST_GUESS_MS) {
    this.#firstGuessMs = firstGuessMs
  }

  /** A load made its value visible after `elapsedMs`. */
  record(elapsedMs: number): void {
    this.#failureRate -= this.#failureRate * FAILURE_WEIGHT
    this.#own.record(elapsedMs)
    this.#remember(elapsedMs)
  }

  /** A load failed. How long that took is no measure of what a load costs, so only the rate of failures follows. */
  recordFailure(): void {
    this.#failureRate += (1 - this.#failureRate) * FAILURE_WEIGHT
  }

  /**
   * Another process' load, which a reader here has waited for, made its value visible `elapsedMs` after it had the lease. Says when the next one may be
   * expected, and nothing of what a lease of this process has to allow for.
   */
  recordOther(elapsedMs: number): void {
    this.#remember(elapsedMs)
  }

  /**
   * Mean and two mean deviations in whole milliseconds, at least 2, doubled while loads are failing. This is what
   * an entry carries as `loadMs`.
   */
  get estimateMs(): number {
    const { isEmpty, meanMs, deviationMs } = this.#own
    const costMs = isEmpty ? this.#firstGuessMs : meanMs + 2 * deviationMs
    const estimateMs = Math.max(FLOOR_MS, Math.ceil(costMs))
    return this.#failureRate > FAILING_RATE ? 2 * estimateMs : estimateMs
  }

  /**
   * How soon a load may be done: the shortest of the latest 16. A waiter who asks too late has waited for nothing, so a load that is shorter than
   * all before counts at once. One that was held up does not count: it says nothing about the next. With n loads known it is n/16 of the shortest; 0 before the first.
   */
  get soonestMs(): number {
    const { length } = this.#latestMs
    return length === 0 ? 0 : (Math.min(...this.#latestMs) * length) / REMEMBERED
  }

  #remember(elapsedMs: number): void {
    this.#latestMs.push(elapsedMs)
    if (this.#latestMs.length > REMEMBERED) this.#latestMs.shift()
  }
}

/** Mean and mean deviation of times, the latest ones counting most. */
class Spread {
  meanMs = 0
  deviationMs = 0
  isEmpty = true

  record(elapsedMs: number): void {
    if (this.isEmpty) {
      this.isEmpty = false
      this.meanMs = elapsedMs
      // One sample says nothing about the spread; RFC 6298 assumes half of it.
      this.deviationMs = elapsedMs / 2
      return
    }
    const errorMs = elapsedMs - this.meanMs
    this.deviationMs += (Math.abs(errorMs) - this.deviationMs) * DEVIATION_WEIGHT
    this.meanMs += errorMs * MEAN_WEIGHT
  }
}

/** How many times its estimated cost a load may take before another process may take its lease over. */
const LEASE_LOADS = 3

/** How long a fill's lease lasts before others may take it over: three times the estimated cost of the load, within bounds. */
export function leaseMs(estimateMs: number, bounds: { readonly minMs: number; readonly maxMs: number }): number {
  return Math.min(bounds.maxMs, Math.max(bounds.minMs, LEASE_LOADS * estimateMs))
}
