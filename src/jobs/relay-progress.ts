import type { Clock } from '../core/clock.js'
import type { ChangePage } from '../core/ports.js'
import type { RelayFigures } from '../core/telemetry.js'

/** How far a relay at work is behind, found out without asking the database. */
export class RelayProgress {
  readonly #clock: Pick<Clock, 'monotonicMs'>
  /** When the poll under way began: what had committed by then is on its pages. Undefined: none is. */
  #pollAtMs: number | undefined
  /** When the last poll began whose pages have all reached the cache. */
  #currentAtMs: number
  #page: { readonly changes: number; readonly oldestAtMs: number } | undefined

  constructor(clock: Pick<Clock, 'monotonicMs'>) {
    this.#clock = clock
    this.#currentAtMs = clock.monotonicMs()
  }

  /** A page is about to be asked for. */
  asks(): void {
    this.#pollAtMs ??= this.#clock.monotonicMs()
  }

  /** It has come, and is about to be carried. */
  carries({ changes, lagMs }: ChangePage): void {
    this.#page = { changes: changes.length, oldestAtMs: this.#clock.monotonicMs() - lagMs }
  }

  /** The cache has acknowledged it. */
  carried({ hasMore }: ChangePage): void {
    this.#page = undefined
    if (hasMore) return
    this.#currentAtMs = this.#pollAtMs ?? this.#currentAtMs
    this.#pollAtMs = undefined
  }

  get figures(): RelayFigures {
    const oldestAtMs = Math.min(this.#currentAtMs, this.#page?.oldestAtMs ?? this.#currentAtMs)
    return { pending: this.#page?.changes ?? 0, ageMs: this.#clock.monotonicMs() - oldestAtMs }
  }
}
