import type { Clock } from '../../src/core/clock.js'

/**
 * The clock of one process of several, which can be stopped as SIGSTOP does: time passes, and none of its timers fires until it goes
 * on. Then those that fell due fire first, before anything that waits in a socket is read.
 */
export class StoppableClock implements Clock {
  readonly #clock: Clock
  readonly #due = new Set<() => void>()
  #isStopped = false

  constructor(clock: Clock) {
    this.#clock = clock
  }

  monotonicMs(): number {
    return this.#clock.monotonicMs()
  }

  wallMs(): number {
    return this.#clock.wallMs()
  }

  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => void this.after(ms, resolve))
  }

  after(ms: number, act: () => void): () => void {
    const cancel = this.#clock.after(ms, () => {
      if (this.#isStopped) this.#due.add(act)
      else act()
    })
    return () => {
      cancel()
      this.#due.delete(act)
    }
  }

  endOfTick(act: () => void): void {
    this.#clock.endOfTick(act)
  }

  endOfTurn(act: () => void): void {
    this.#clock.endOfTurn(act)
  }

  stop(): void {
    this.#isStopped = true
  }

  goOn(): void {
    this.#isStopped = false
    const due = [...this.#due]
    this.#due.clear()
    for (const act of due) act()
  }
}
