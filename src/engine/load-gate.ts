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
  readonly #queue: number
  readonly #queueMs: number

  constructor(options: { clock: Pick<Clock, 'after'>; concurrency: number; queue: number; queueMs: number }) {
    this.#limit = pLimit(options.concurrency)
    this.#clock = options.clock
    this.#queue = options.queue
    this.#queueMs = options.queueMs
  }

  /** Statements that may wait. */
  get maxWaiting(): number {
    return this.#queue
  }

  /** Runs `load` when its turn comes. Rejects with `OverloadedError` if it never does. */
  run<Result>(entity: string, load: () => Promise<Result>): Promise<Result> {
    if (this.#limit.pendingCount >= this.#queue) {
      return Promise.reject(new OverloadedError(entity, `${this.#queue} loads are waiting already (load.queue)`))
    }
    return new Promise((resolve, reject) => {
      let refused = false
      const cancel = this.#clock.after(this.#queueMs, () => {
        refused = true
        reject(new OverloadedError(entity, `its turn did not come within ${this.#queueMs} ms (load.queueMs)`))
      })
      void this.#limit(async () => {
        // A refused load gives its turn to the next one; it must not run for nobody.
        if (refused) return
        cancel()
        await (async () => load())().then(resolve, reject)
      })
    })
  }

  /** Loads at the database now. */
  get running(): number {
    return this.#limit.activeCount
  }

  /** Loads waiting for their turn. */
  get waiting(): number {
    return this.#limit.pendingCount
  }
}
