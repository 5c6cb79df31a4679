import type { Clock } from '../core/clock.js'
import { OverloadedError } from '../core/errors.js'
import type { LoadGate } from './load-gate.js'

/** How long an id waits for the statement that is loading it: one whose answer never comes holds up nobody for longer. */
const LONGEST_WAIT_MS = 1_000

/**
 * Ids that wait to be loaded, together. What one tick asks for is one statement; while all places at the gate are taken, what comes
 * later joins those who wait already, and the next free place takes all of them. So the wait is at most about one load, however many
 * ids come, and a slow database gets few full statements rather than many small ones.
 *
 * An id that is being loaded is not loaded beside that: whoever asks for it meanwhile may want to see more than that statement does, so they wait for
 * its end, and the next one answers all of them. A row that is written faster than it can be loaded would otherwise be loaded
 * more and more often at once, each time more slowly.
 */
export class LoadQueue<Id, Reply> {
  readonly #entity: string
  readonly #clock: Pick<Clock, 'endOfTick' | 'after'>
  readonly #gate: LoadGate
  readonly #maxIds: number
  readonly #nameOf: ((id: Id) => string) | undefined
  readonly #load: (ids: readonly Id[]) => Promise<readonly Reply[]>
  #waiting: Waiting<Id, Reply>[] = []
  /** What is being loaded, by name. */
  readonly #loading = new Map<string, Loading<Id, Reply>>()
  #isQueued = false

  constructor(options: {
    entity: string
    clock: Pick<Clock, 'endOfTick' | 'after'>
    gate: LoadGate
    /** Ids in one statement at most. */
    maxIds: number
    /** Tells ids apart. Left out: an id may be loaded beside itself. */
    nameOf?: (id: Id) => string
    /** One statement; replies in the order of the ids. */
    load: (ids: readonly Id[]) => Promise<readonly Reply[]>
  }) {
    this.#entity = options.entity
    this.#clock = options.clock
    this.#gate = options.gate
    this.#maxIds = options.maxIds
    this.#nameOf = options.nameOf
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
      const asked = { id, resolve, reject }
      const loading = this.#nameOf && this.#loading.get(this.#nameOf(id))
      if (loading) return this.#waitFor(loading, asked)
      this.#waiting.push(asked)
      this.#enqueue()
    })
  }

  #waitFor(loading: Loading<Id, Reply>, asked: Waiting<Id, Reply>): void {
    loading.behind.push(asked)
    loading.cancel ??= this.#clock.after(LONGEST_WAIT_MS, () => this.#loaded(loading))
  }

  /** Those who waited for it are next. */
  #loaded(loading: Loading<Id, Reply>): void {
    if (this.#loading.get(loading.name) === loading) this.#loading.delete(loading.name)
    loading.cancel?.()
    if (loading.behind.length === 0) return
    for (const asked of loading.behind.splice(0)) this.#waiting.push(asked)
    this.#enqueue()
  }

  /** One statement: each id once, however many ask for it. Replies in the order of those who ask. */
  async #loadFor(taken: readonly Waiting<Id, Reply>[]): Promise<readonly Reply[]> {
    const nameOf = this.#nameOf
    if (nameOf === undefined) return this.#load(taken.map(({ id }) => id))
    const names = taken.map(({ id }) => nameOf(id))
    const ids = new Map(names.map((name, at) => [name, (taken[at] as Waiting<Id, Reply>).id]))
    const begun = [...ids.keys()].map((name): Loading<Id, Reply> => ({ name, behind: [] }))
    for (const loading of begun) this.#loading.set(loading.name, loading)
    try {
      const replies = await this.#load([...ids.values()])
      const byName = new Map(begun.map(({ name }, at) => [name, replies[at] as Reply]))
      return names.map((name) => byName.get(name) as Reply)
    } finally {
      for (const loading of begun) this.#loaded(loading)
    }
  }

  #enqueue(): void {
    if (this.#isQueued) return
    this.#isQueued = true
    this.#clock.endOfTick(() => {
      let taken: Waiting<Id, Reply>[] | undefined
      this.#gate
        .run(this.#entity, () => {
          taken = this.#take()
          return this.#loadFor(taken)
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

/** An id in a statement that is under way. */
interface Loading<Id, Reply> {
  readonly name: string
  /** Who has asked for it since. */
  readonly behind: Waiting<Id, Reply>[]
  cancel?: () => void
}

interface Waiting<Id, Reply> {
  readonly id: Id
  readonly resolve: (reply: Reply) => void
  readonly reject: (error: unknown) => void
}
