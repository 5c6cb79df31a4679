import type { Chance } from '../../src/core/clock.js'
import { settle } from '../support/manual-clock.js'

/** Once in so many events the event loop of Node has its turn too: it reports promises whose rejection nobody has handled. */
const TURN_EVERY = 64

interface Event {
  readonly atMs: number
  readonly order: number
  act: (() => void) | undefined
}

/**
 * Virtual time. Everything that waits for something, a timer, a request on its way, a reply on its way back, is one event; how long each is
 * on its way is drawn from the seed, and so is the order in which they happen. What one of them sets off runs to its end
 * before the next happens, as in a process.
 */
export class Scheduler {
  readonly #chance: Pick<Chance, 'number'>
  readonly #heap: Event[] = []
  #added = 0
  #nowMs = 0
  #atEnd: (() => void)[] = []
  /** Events that have happened. */
  steps = 0

  constructor(chance: Pick<Chance, 'number'>) {
    this.#chance = chance
  }

  get nowMs(): number {
    return this.#nowMs
  }

  /** A number in [least, most). */
  between(least: number, most: number): number {
    return least + this.#chance.number() * (most - least)
  }

  /** True in so many cases of one. */
  happens(share: number): boolean {
    return this.#chance.number() < share
  }

  pick<Item>(items: readonly Item[]): Item {
    return items[Math.floor(this.#chance.number() * items.length)] as Item
  }

  /** Calls `act` once after `ms`; returns a function that cancels it. */
  after(ms: number, act: () => void): () => void {
    return this.at(this.#nowMs + Math.max(0, ms), act)
  }

  at(atMs: number, act: () => void): () => void {
    const event: Event = { atMs, order: this.#added++, act }
    this.#push(event)
    return () => {
      event.act = undefined
    }
  }

  /** Calls `act` when everything has run that the current event has set off and that need not wait for another one. */
  endOfTick(act: () => void): void {
    this.#atEnd.push(act)
  }

  /** Lets everything happen until then. */
  async run(untilMs: number): Promise<void> {
    await this.#settle()
    for (let next = this.#heap[0]; next !== undefined && next.atMs <= untilMs; next = this.#heap[0]) {
      this.#pop()
      const { act } = next
      if (act === undefined) continue
      this.#nowMs = Math.max(this.#nowMs, next.atMs)
      if (++this.steps % TURN_EVERY === 0) await settle()
      act()
      await this.#settle()
    }
    this.#nowMs = untilMs
  }

  /** Lets everything run that need not wait for an event. */
  async #settle(): Promise<void> {
    await promiseJobs()
    while (this.#atEnd.length > 0) {
      const acts = this.#atEnd
      this.#atEnd = []
      for (const act of acts) act()
      await promiseJobs()
    }
  }

  #push(event: Event): void {
    const heap = this.#heap
    let at = heap.push(event) - 1
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (!isBefore(event, heap[parent] as Event)) break
      heap[at] = heap[parent] as Event
      at = parent
    }
    heap[at] = event
  }

  #pop(): void {
    const heap = this.#heap
    const last = heap.pop() as Event
    if (heap.length === 0) return
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && isBefore(heap[child + 1] as Event, heap[child] as Event)) child++
      if (!isBefore(heap[child] as Event, last)) break
      heap[at] = heap[child] as Event
      at = child
    }
    heap[at] = last
  }
}

function isBefore(a: Event, b: Event): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order)
}

/** Until no promise has anything left to do. Node runs a tick when its queue of them is empty; a turn of its loop costs ten times as much. */
function promiseJobs(): Promise<void> {
  return new Promise((resolve) => process.nextTick(resolve))
}
