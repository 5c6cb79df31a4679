import type { Clock } from '../../core/clock.js'
import type { LockHints } from '../../core/lock-ports.js'

/** `LockHints` for one process: what an instance without Redis has. */
export class MemoryLockHints implements LockHints {
  readonly #clock: Clock
  readonly #held = new Map<string, { readonly holder: string; readonly untilMs: number }>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  async take(name: string, holder: string, ttlMs: number): Promise<boolean> {
    const held = this.#held.get(name)
    if (held !== undefined && held.untilMs > this.#clock.monotonicMs()) return false
    this.#hold(name, holder, ttlMs)
    return true
  }

  async renew(name: string, holder: string, ttlMs: number): Promise<boolean> {
    const held = this.#held.get(name)
    if (held?.holder !== holder || held.untilMs <= this.#clock.monotonicMs()) return false
    this.#hold(name, holder, ttlMs)
    return true
  }

  async release(name: string, holder: string): Promise<void> {
    if (this.#held.get(name)?.holder === holder) this.#held.delete(name)
  }

  #hold(name: string, holder: string, ttlMs: number): void {
    this.#held.set(name, { holder, untilMs: this.#clock.monotonicMs() + ttlMs })
  }
}
