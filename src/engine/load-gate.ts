import { AsyncResource } from 'node:async_hooks'
import pLimit, { type LimitFunction } from 'p-limit'
import type { Clock } from '../core/clock.js'
import { OverloadedError } from '../core/errors.js'

/**
 * The load bulkhead: at most `concurrency` statements of this process are at the database at once, at most `queue` wait for
 * their turn, and none waits longer than `queueMs`. What does not fit is refused at once, so that a lost cache becomes
 * errors or stale answers rather than a pile on the database.
 */
export class LoadGate {
  readonly #limit: LimitFunction
  readonly #clock: Pick<Clock, 'after'>
  readonly #concurrency: number
  readonly #queue: number
  readonly #queueMs: number
  /** Who waits for a turn, in their order. */
  readonly #waiting = new Set<() => Promise<void>>()

  constructor(options: { clock: Pick<Clock, 'after'>; concurrency: number; queue: number; queueMs: number }) {
    this.#limit = pLimit(options.concurrency)
    this.#clock = options.clock
    this.#concurrency = options.concurrency
    this.#queue = options.queue
    this.#queueMs = options.queueMs
  }

  /** Statements that may wait. */
  get maxWaiting(): number {
    return this.#queue
  }

  /** Runs `load` when its turn comes. Rejects with `OverloadedError` if it never does. */
  run<Result>(entity: string, load: () => Promise<Result>): Promise<Result> {
    if (this.#limit.activeCount < this.#concurrency) return this.#limit(async () => load())
    if (this.#waiting.size >= this.#queue) {
      return Promise.reject(new OverloadedError(entity, `${this.#queue} loads are waiting already (load.queue)`))
    }
    return new Promise((resolve, reject) => {
      // In the context of whoever asked, whose trace it belongs to: the turn may be another's.
      const begin = AsyncResource.bind(async () => {
        cancel()
        await (async () => load())().then(resolve, reject)
      })
      const cancel = this.#clock.after(this.#queueMs, () => {
        this.#waiting.delete(begin)
        reject(new OverloadedError(entity, `its turn did not come within ${this.#queueMs} ms (load.queueMs)`))
      })
      this.#waiting.add(begin)
      // The limiter takes no turn back: the next loads have those of who was refused, and its queue is no longer than ours may be.
      if (this.#limit.pendingCount < this.#waiting.size) void this.#limit(() => this.#turn())
    })
  }

  /** Loads at the database now. */
  get running(): number {
    return this.#limit.activeCount
  }

  /** Loads waiting for their turn. */
  get waiting(): number {
    return this.#waiting.size
  }

  /** The turn of whoever is next; nobody's, where all were refused. */
  async #turn(): Promise<void> {
    const [begin] = this.#waiting
    if (begin === undefined) return
    this.#waiting.delete(begin)
    await begin()
  }
}
