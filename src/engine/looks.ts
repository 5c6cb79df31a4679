import type { CacheKey } from '../core/key.js'
import type { Answered, FillSpan } from '../core/telemetry.js'
import type { EngineParts } from './filler.js'

/** Readers of one key who look at the cache at the same moment. */
export interface Readers {
  /** When the last of them began, on the scale of `Singleflight.now`. Settled once the look has left. */
  readonly startedAt: number
  readonly count: number
  /** How they were answered, once they are; undefined as long as it takes a fill. */
  answered?: Answered
  fill?: FillSpan | undefined
}

/** One look at the cache and what follows from it: judgement, lease, load, and the time limits on these. */
export interface Look<Answer> extends Readers {
  readonly answer: Promise<Answer>
}

/**
 * Lets readers of one key who began in one tick share one look at the cache, and all that follows from it.
 *
 * Guarantee: a look is only joined before it leaves. So it shows every write that was fenced before the joiner began, and it is
 * held against the floors as they are when it returns: what a joiner's session has demanded counts as if it had looked for itself.
 */
export class Looks<Id, Answer> {
  readonly #parts: Pick<EngineParts, 'store' | 'isPending'>
  readonly #now: () => number
  readonly #pass: (key: CacheKey, id: Id, readers: Readers) => Promise<Answer>
  /** Looks that have not left, as of `#departures`. */
  #open = new Map<CacheKey, Open<Answer>>()
  #departures = -1

  constructor(options: {
    parts: Pick<EngineParts, 'store' | 'isPending'>
    now: () => number
    /** Asks the store for the key before it returns, and goes on from there. */
    pass: (key: CacheKey, id: Id, readers: Readers) => Promise<Answer>
  }) {
    this.#parts = options.parts
    this.#now = options.now
    this.#pass = options.pass
  }

  /** Joins the look at `key` that is about to leave, or begins one. */
  join(key: CacheKey, id: Id): Look<Answer> {
    const { store, isPending } = this.#parts
    const startedAt = this.#now()
    // Such a read asks the database at once; who comes later must not be answered with what it saw.
    if (isPending(key)) return this.#begin(key, id, startedAt)
    if (this.#departures !== store.departures) {
      this.#departures = store.departures
      this.#open = new Map()
    }
    const open = this.#open.get(key)
    if (open === undefined) {
      const look = this.#begin(key, id, startedAt)
      this.#open.set(key, look)
      return look
    }
    open.startedAt = startedAt
    open.count++
    return open
  }

  #begin(key: CacheKey, id: Id, startedAt: number): Open<Answer> {
    const look = { startedAt, count: 1 } as Open<Answer>
    look.answer = this.#pass(key, id, look)
    return look
  }
}

interface Open<Answer> extends Look<Answer> {
  startedAt: number
  count: number
  answer: Promise<Answer>
}
