import type { ManualClock } from './manual-clock.js'
import type { ModelRow, TableModel } from './table-model.js'

/** Remembers when each state of each row was committed, and says how long a row that was read had been out of date when its read began. */
export class StalenessChecker {
  readonly #clock: ManualClock
  readonly #table: TableModel
  readonly #states = new Map<string, { readonly atMs: number; readonly price: number | undefined }[]>()
  reads = 0
  stale = 0
  worstMs = 0

  constructor(clock: ManualClock, table: TableModel) {
    this.#clock = clock
    this.#table = table
  }

  /** To be called after each commit. Prices of a row must not come twice. */
  committed(...ids: string[]): void {
    for (const id of ids) {
      const states = this.#states.get(id) ?? []
      states.push({ atMs: this.#clock.monotonicMs(), price: this.#table.row(id)?.price })
      this.#states.set(id, states)
    }
  }

  /** Reads through `read` and measures what it gives. Returns how long that had been out of date when the read began, in milliseconds. */
  async measure(id: string, read: () => Promise<ModelRow | undefined>): Promise<number> {
    const startedMs = this.#clock.monotonicMs()
    const price = (await read())?.price
    const states = this.#states.get(id) ?? []
    const at = states.findLastIndex((state) => state.price === price)
    const next = states[at + 1]
    // What was committed while the read was under way is no concern of its.
    const staleMs = next === undefined ? 0 : Math.max(0, startedMs - next.atMs)
    this.reads++
    if (staleMs > 0) this.stale++
    this.worstMs = Math.max(this.worstMs, staleMs)
    return staleMs
  }
}
