/** What happens at a point of simulated time. */
export type Act = (nowMs: number) => void

/** Things to come, soonest first; those at the same time in the order they were added. A binary heap. */
export class EventQueue {
  readonly #events: { readonly atMs: number; readonly order: number; readonly act: Act }[] = []
  #added = 0

  /** When the next thing happens; infinite if nothing will. */
  get nextMs(): number {
    return this.#events[0]?.atMs ?? Number.POSITIVE_INFINITY
  }

  add(atMs: number, act: Act): void {
    const event = { atMs, order: this.#added++, act }
    let at = this.#events.push(event) - 1
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (!this.#isBefore(at, parent)) break
      this.#swap(at, parent)
      at = parent
    }
  }

  /** Lets the next thing happen. */
  run(): void {
    const [first] = this.#events
    const last = this.#events.pop()
    if (first === undefined || last === undefined) return
    if (this.#events.length > 0) {
      this.#events[0] = last
      this.#sink()
    }
    first.act(first.atMs)
  }

  #sink(): void {
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      if (child >= this.#events.length) return
      if (child + 1 < this.#events.length && this.#isBefore(child + 1, child)) child++
      if (!this.#isBefore(child, at)) return
      this.#swap(at, child)
      at = child
    }
  }

  #isBefore(a: number, b: number): boolean {
    const first = this.#events[a]!
    const second = this.#events[b]!
    return first.atMs < second.atMs || (first.atMs === second.atMs && first.order < second.order)
  }

  #swap(a: number, b: number): void {
    const held = this.#events[a]!
    this.#events[a] = this.#events[b]!
    this.#events[b] = held
  }
}
