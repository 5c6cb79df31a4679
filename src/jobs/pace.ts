import type { Clock } from '../core/clock.js'

/** Keeps a job to its rate, page by page. */
export class Pace {
  readonly #clock: Pick<Clock, 'monotonicMs' | 'sleep'>
  readonly #ratePerSecond: number
  #dueMs: number
  #startedMs: number

  constructor(clock: Pick<Clock, 'monotonicMs' | 'sleep'>, ratePerSecond: number) {
    this.#clock = clock
    this.#ratePerSecond = ratePerSecond
    this.#dueMs = clock.monotonicMs()
    this.#startedMs = this.#dueMs
  }

  /** Waits until the next page may begin. Rejects with the signal's reason. */
  async turn(signal: AbortSignal | undefined): Promise<void> {
    const waitMs = this.#dueMs - this.#clock.monotonicMs()
    if (waitMs > 0) await this.#clock.sleep(waitMs, signal)
    signal?.throwIfAborted()
    this.#startedMs = this.#clock.monotonicMs()
  }

  /** The page that began last has cost so much. Counted from its beginning and not from when it was due: idle time is not saved up for a burst. */
  spend(cost: number): void {
    this.#dueMs = this.#startedMs + (cost * 1_000) / this.#ratePerSecond
  }
}

/** A page takes at most this part of a second's work, so that low rates are kept in short steps too. */
const PAGES_A_SECOND = 10

/** How much work goes into a page of at most `most`. */
export function pageSize(ratePerSecond: number, most: number): number {
  return Math.max(1, Math.min(most, Math.floor(ratePerSecond / PAGES_A_SECOND)))
}
