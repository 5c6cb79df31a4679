import type { Clock } from '../core/clock.js'

/** Impossible states cannot be written: only an open breaker knows when to probe, only a half-open one has a probe out. */
type State =
  | { readonly name: 'closed'; readonly failures: number }
  | { readonly name: 'open'; readonly probeAtMs: number; readonly waitMs: number }
  | { readonly name: 'half-open'; readonly waitMs: number }

/** The period between two changes of state in which a call was let through. A probe is alone in its own. */
export type Admission = number

/**
 * Stops calling something that keeps failing, and tries it again with one call at a time.
 *
 * Opens after `failures` failed calls in a row. While it is open, one call each `probeMs` is let through (doubling up to
 * `maxProbeMs`); the first that succeeds closes it.
 *
 * While that call is out it alone decides: how one ends that was begun before says less. Otherwise a late success closes the breaker, for what
 * answers is there; a late failure is no news.
 */
export class CircuitBreaker {
  readonly #clock: Pick<Clock, 'monotonicMs'>
  readonly #options: { readonly failures: number; readonly probeMs: number; readonly maxProbeMs: number }
  readonly #onChange: (state: State['name']) => void
  #state: State = { name: 'closed', failures: 0 }
  #period: Admission = 0

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

  /** Undefined: no call may be made now. A caller that was let through must report `succeeded` or `failed`. */
  admit(): Admission | undefined {
    switch (this.#state.name) {
      case 'closed':
        return this.#period
      case 'half-open':
        return undefined
      case 'open':
        if (this.#clock.monotonicMs() < this.#state.probeAtMs) return undefined
        this.#become({ name: 'half-open', waitMs: this.#state.waitMs })
        return this.#period
    }
  }

  /** There is reason to think that the next call succeeds: an open breaker lets it through, whenever that comes. */
  tryNow(): void {
    if (this.#state.name === 'open') this.#state = { ...this.#state, probeAtMs: this.#clock.monotonicMs() }
  }

  succeeded(call: Admission): void {
    if (this.#state.name === 'half-open' && call !== this.#period) return
    if (this.#state.name === 'closed' && this.#state.failures === 0) return
    this.#become({ name: 'closed', failures: 0 })
  }

  failed(call: Admission): void {
    if (call !== this.#period) return
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
    if (!changed) return
    this.#period++
    this.#onChange(state.name)
  }
}
