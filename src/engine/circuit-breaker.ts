import type { Clock } from '../core/clock.js'

/** Impossible states cannot be written: only an open breaker knows when to probe, only a half-open one has a probe out. */
type State =
  | { readonly name: 'closed'; readonly failures: number }
  | { readonly name: 'open'; readonly probeAtMs: number; readonly waitMs: number }
  | { readonly name: 'half-open'; readonly waitMs: number }

/**
 * Stops calling something that keeps failing, and tries it again with one call at a time.
 *
 * Opens after `failures` failed calls in a row. While it is open, one call each `probeMs` is let through (doubling up to
 * `maxProbeMs`); the first that succeeds closes it.
 */
export class CircuitBreaker {
  readonly #clock: Pick<Clock, 'monotonicMs'>
  readonly #options: { readonly failures: number; readonly probeMs: number; readonly maxProbeMs: number }
  readonly #onChange: (state: State['name']) => void
  #state: State = { name: 'closed', failures: 0 }

  constructor(options: {
    clock: Pick<Clock, 'monotonicMs'>
    failures: number
    probeMs: number
    maxProbeMs: number
    onChange: (state: State['name']) => void
  }) {
    this.#clock = options.clock
    this.#options = options
    this.#onChange = options.onChange
  }

  get state(): State['name'] {
    return this.#state.name
  }

  /** Whether a call may be made now. A caller that was let through must report `succeeded` or `failed`. */
  admits(): boolean {
    switch (this.#state.name) {
      case 'closed':
        return true
      case 'half-open':
        return false
      case 'open':
        if (this.#clock.monotonicMs() < this.#state.probeAtMs) return false
        this.#become({ name: 'half-open', waitMs: this.#state.waitMs })
        return true
    }
  }

  /** There is reason to think that the next call succeeds: an open breaker lets it through, whenever that comes. */
  tryNow(): void {
    if (this.#state.name === 'open') this.#state = { ...this.#state, probeAtMs: this.#clock.monotonicMs() }
  }

  succeeded(): void {
    if (this.#state.name === 'closed' && this.#state.failures === 0) return
    this.#become({ name: 'closed', failures: 0 })
  }

  failed(): void {
    const { probeMs, maxProbeMs, failures } = this.#options
    if (this.#state.name === 'half-open') this.#open(Math.min(this.#state.waitMs * 2, maxProbeMs))
    else if (this.#state.name === 'closed' && this.#state.failures + 1 >= failures) this.#open(probeMs)
    else if (this.#state.name === 'closed') this.#state = { name: 'closed', failures: this.#state.failures + 1 }
  }

  #open(waitMs: number): void {
    this.#become({ name: 'open', probeAtMs: this.#clock.monotonicMs() + waitMs, waitMs })
  }

  #become(state: State): void {
    const changed = state.name !== this.#state.name
    this.#state = state
    if (changed) this.#onChange(state.name)
  }
}
