/** Weight of a new sample in the mean: RFC 6298 (TCP round-trip times) uses the same, and the same pair below. */
const MEAN_WEIGHT = 1 / 8
/** Weight of a new sample in the deviation. Twice the mean's, so that a load that slows down shows here first. */
const DEVIATION_WEIGHT = 1 / 4
/** Weight of a new outcome in the failure rate: one failure is forgotten after four successes. */
const FAILURE_WEIGHT = 1 / 4
/** The failure rate above which loads count as failing. */
const FAILING_RATE = 0.1
/** How much of what waiters came too late by is forgotten with each load of one's own. */
const LATENESS_DECAY = 1 / 8
/** Below this a measurement says more about timers than about the load. */
const FLOOR_MS = 2
/** What a load is taken to cost before one was measured. */
const FIRST_GUESS_MS = 1_000

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
  #meanMs = 0
  #deviationMs = 0
  #failureRate = 0
  #lateMs = 0
  #measured = false

  /** @param firstGuessMs the estimate before the first measurement. Should be slow for a load: see above. 1 s if not given. */
  constructor(firstGuessMs: number = FIRST_GUESS_MS) {
    this.#firstGuessMs = firstGuessMs
  }

  /** A load made its value visible after `elapsedMs`. */
  record(elapsedMs: number): void {
    this.#failureRate -= this.#failureRate * FAILURE_WEIGHT
    this.#lateMs -= this.#lateMs * LATENESS_DECAY
    if (!this.#measured) {
      this.#measured = true
      this.#meanMs = elapsedMs
      // One sample says nothing about the spread; RFC 6298 assumes half of it.
      this.#deviationMs = elapsedMs / 2
      return
    }
    const errorMs = elapsedMs - this.#meanMs
    this.#deviationMs += (Math.abs(errorMs) - this.#deviationMs) * DEVIATION_WEIGHT
    this.#meanMs += errorMs * MEAN_WEIGHT
  }

  /** A load failed. How long that took is no measure of what a load costs, so only the rate of failures follows. */
  recordFailure(): void {
    this.#failureRate += (1 - this.#failureRate) * FAILURE_WEIGHT
  }

  /**
   * Somebody who waited for another process' load found its value `lateMs` after it was there: loads are done sooner than those of this
   * process say. Who waits next asks so much earlier.
   */
  noticedLate(lateMs: number): void {
    this.#lateMs = Math.min(this.#meanMs, this.#lateMs + lateMs)
  }

  /**
   * Mean and two mean deviations in whole milliseconds, at least 2, doubled while loads are failing. This is what
   * an entry carries as `loadMs`.
   */
  get estimateMs(): number {
    const costMs = this.#measured ? this.#meanMs + 2 * this.#deviationMs : this.#firstGuessMs
    const estimateMs = Math.max(FLOOR_MS, Math.ceil(costMs))
    return this.#failureRate > FAILING_RATE ? 2 * estimateMs : estimateMs
  }

  /**
   * The other end of the range, mean less two deviations, and less what waiters came too late by: hardly a load is done sooner. 0 before
   * the first measurement.
   */
  get soonestMs(): number {
    return Math.max(0, this.#meanMs - 2 * this.#deviationMs - this.#lateMs)
  }
}

/** How many times its estimated cost a load may take before another process may take its lease over. */
const LEASE_LOADS = 3

/** How long a fill's lease lasts before others may take it over: three times the estimated cost of the load, within bounds. */
export function leaseMs(estimateMs: number, bounds: { readonly minMs: number; readonly maxMs: number }): number {
  return Math.min(bounds.maxMs, Math.max(bounds.minMs, LEASE_LOADS * estimateMs))
}
