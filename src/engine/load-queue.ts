import type { Clock } from '../core/clock.js'
import { OverloadedError } from '../core/errors.js'
import type { LoadGate } from './load-gate.js'

/**
 * Ids that wait to be loaded, together. What one tick asks for is one statement; while all places at the gate are taken, what comes
 * later joins those who wait already, and the next free place takes all of them. So the wait is at most about one load, however many
 * ids come, and a slow database gets few full statements rather than many small ones.
 */
export class LoadQueue<Id, Reply> {
  readonly #entity: string
  readonly #clock: Pick<Clock, 'endOfTick'>
  readonly #gate: LoadGate
  readonly #maxIds: number
  readonly #load: (ids: readonly Id[]) => Promise<readonly Reply[]>
  #waiting: Waiting<Id, Reply>[] = []
  #isQueued = false

  constructor(options: {
    entity: string
    clock: Pick<Clock, 'endOfTick'>
    gate: LoadGate
    /** Ids in one statement at most. */
    maxIds: number
    /** One statement; replies in the order of the ids. */
    load: (ids: readonly Id[]) => Promise<readonly Reply[]>
  }) {
    this.#entity = options.entity
    this.#clock = options.clock
    this.#gate = options.gate
    this.#maxIds = options.maxIds
    this.#load = options.load
  }

  /** @throws OverloadedError when more wait than the gate allows, or their turn does not come. */
  ask(id: Id): Promise<Reply> {
    if (this.#waiting.length >= this.#gate.maxWaiting * this.#maxIds) {
      return Promise.reject(
        new OverloadedError(this.#entity, `${this.#gate.maxWaiting} loads are waiting already (load.queue)`),
      )
    }
    return new Promise((resolve, reject) => {
      this.#waiting.push({ id, resolve, reject })
      this.#enqueue()
    })
  }

  #enqueue(): void {
    if (this.#isQueued) return
    this.#isQueued = true
    this.#clock.endOfTick(() => {
      let taken: Waiting<Id, Reply>[] | undefined
      this.#gate
        .run(this.#entity, () => {
          taken = this.#take()
          return this.#load(taken.map(({ id }) => id))
        })
        .then(
          (replies) => {
            for (const [at, { resolve }] of (taken ?? []).entries()) resolve(replies[at] as Reply)
          },
          (error: unknown) => {
            // Refused at the gate: everybody who waits has been refused.
            for (const { reject } of taken ?? this.#take(this.#waiting.length)) reject(error)
          },
        )
    })
  }

  #take(most = this.#maxIds): Waiting<Id, Reply>[] {
    const taken = this.#waiting.splice(0, most)
    this.#isQueued = false
    if (this.#waiting.length > 0) this.#enqueue()
    return taken
  }
}

interface Waiting<Id, Reply> {
  readonly id: Id
  readonly resolve: (reply: Reply) => void
  readonly reject: (error: unknown) => void
}
