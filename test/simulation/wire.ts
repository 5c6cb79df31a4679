import type { Scheduler } from './scheduler.js'

/** How long things take. */
export interface Latency {
  readonly usualMs: number
  /** One in so many is slow. */
  readonly slowShare: number
  readonly slowMs: number
}

interface Parcel {
  readonly act: () => void
  cancel: () => void
}

/** One direction of a connection: what is sent first arrives first, each after a time drawn from the seed. */
export class Wire {
  readonly #scheduler: Scheduler
  readonly #latency: Latency
  #lastMs = 0
  readonly #underway = new Set<Parcel>()

  constructor(scheduler: Scheduler, latency: Latency) {
    this.#scheduler = scheduler
    this.#latency = latency
  }

  send(act: () => void): void {
    const takesMs = travelMs(this.#scheduler, this.#latency)
    this.#lastMs = Math.max(this.#lastMs, this.#scheduler.nowMs + takesMs)
    this.#sendAt(this.#lastMs, act)
  }

  /** Past all that is on its way: as over a connection that was opened anew. */
  sendAside(act: () => void, ms: number): void {
    this.#sendAt(this.#scheduler.nowMs + ms, act)
  }

  /** Nothing arrives for so long; then everything does. */
  stall(ms: number): void {
    this.#lastMs = Math.max(this.#lastMs, this.#scheduler.nowMs + ms)
    const waiting = [...this.#underway]
    this.#underway.clear()
    for (const { act, cancel } of waiting) {
      cancel()
      this.#sendAt(this.#lastMs, act)
    }
  }

  /** The connection is gone. What was on its way arrives later over nobody's connection, if `arrives` says so, or never. */
  cut(arrives: (nth: number) => number | undefined): void {
    const waiting = [...this.#underway]
    this.#underway.clear()
    this.#lastMs = 0
    waiting.forEach(({ act, cancel }, nth) => {
      cancel()
      const ms = arrives(nth)
      if (ms !== undefined) this.#scheduler.after(ms, act)
    })
  }

  #sendAt(atMs: number, act: () => void): void {
    const parcel: Parcel = { act, cancel: () => {} }
    parcel.cancel = this.#scheduler.at(atMs, () => {
      this.#underway.delete(parcel)
      act()
    })
    this.#underway.add(parcel)
  }
}

export function travelMs(scheduler: Scheduler, { usualMs, slowShare, slowMs }: Latency): number {
  return scheduler.happens(slowShare) ? scheduler.between(usualMs, slowMs) : scheduler.between(usualMs / 4, usualMs)
}
