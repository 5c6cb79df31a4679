import type { Clock } from '../../core/clock.js'

/** Scripts tell whole milliseconds, cut off. */
const RESOLUTION_MS = 1
/** Two quartz clocks drift apart by less than 100 ppm. */
const DRIFT = 1 / 10_000

/**
 * The store's clock as this process knows it. Every script tells the time; when on its way there and back it did, is known to half the round trip. The
 * estimate keeps the best reply and forgets it slowly, because clocks drift; and at once, when another reply shows that it is wrong: the clock was
 * set, or another server has taken over.
 */
export class StoreTime {
  readonly #clock: Clock
  #offsetMs: number
  /** How far off it may have been when it was made. Until the store has said anything, this host's own clock is all there is. */
  #errorMs = 0
  #observedAtMs: number
  #isOutdated = true

  constructor(clock: Clock) {
    this.#clock = clock
    this.#observedAtMs = clock.monotonicMs()
    this.#offsetMs = clock.wallMs() - this.#observedAtMs
  }

  /**
   * The latest that the store's clock may show. By this an entry is never younger than it is: one that is held for too old is loaded a moment
   * early, and one held for too young would be shown past its time.
   */
  nowMs(): number {
    const atMs = this.#clock.monotonicMs()
    return atMs + this.#offsetMs + this.#doubtMs(atMs)
  }

  /** How much earlier than `nowMs` it may be. */
  get spreadMs(): number {
    return 2 * this.#doubtMs(this.#clock.monotonicMs())
  }

  /** The next reply counts, whatever it says: it may be from another server. */
  outdate(): void {
    this.#isOutdated = true
  }

  /** @param storeMs what the store's clock showed, in whole milliseconds, after `sentAtMs` and before now. */
  observe(storeMs: number, sentAtMs: number): void {
    const receivedAtMs = this.#clock.monotonicMs()
    const errorMs = (receivedAtMs - sentAtMs + RESOLUTION_MS) / 2
    const offsetMs = storeMs + RESOLUTION_MS / 2 - (sentAtMs + receivedAtMs) / 2
    const doubtMs = this.#doubtMs(receivedAtMs)
    const isRefuted = Math.abs(offsetMs - this.#offsetMs) > errorMs + doubtMs
    if (!this.#isOutdated && !isRefuted && errorMs > doubtMs) return
    this.#offsetMs = offsetMs
    this.#errorMs = errorMs
    this.#observedAtMs = receivedAtMs
    this.#isOutdated = false
  }

  #doubtMs(atMs: number): number {
    return this.#errorMs + (atMs - this.#observedAtMs) * DRIFT
  }
}

/** What TIME replies, as precisely as scripts tell it. */
export function millisecondsOf([seconds, microseconds]: readonly (string | number)[]): number {
  return Number(seconds) * 1_000 + Math.floor(Number(microseconds) / 1_000)
}
