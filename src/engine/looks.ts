import type { CacheKey } from '../core/key.js'
import type { Answered, FillSpan } from '../core/telemetry.js'
import type { EngineParts } from './filler.js'

/** Reads of one key that look at the cache at the same moment. */
export interface Readers {
  /** When the last of them began, on the scale of `Singleflight.now`. Settled once the look has left. */
  startedAt: number
  count: number
  /** How they were answered, once they are; undefined as long as it takes a fill. */
  answered?: Answered
  fill?: FillSpan | undefined
}

/** One look at the cache and what follows from it: judgement, lease, load, and the time limits on these. */
export interface Look<Answer> {
  readonly readers: Readers
  readonly answer: Promise<Answer>
}

/**
 * Lets readers of one key who began in one tick share one look at the cache, and all that follows from it.
 *
 * Guarantee: a look is only joined before it leaves. So it shows every write that was fenced before the joiner began, and it is
 * held against the floors as they are when it returns: what a joiner's session has demanded counts as if it had looked for itself.
 */
export class Looks<Answer> {
  readonly #parts: Pick<EngineParts, 'store' | 'isPending'>
  readonly #now: () => number
  /** Looks that have not left, as of `#departures`. */
  #open = new Map<CacheKey, Look<Answer>>()
  #departures = -1

  constructor(parts: Pick<EngineParts, 'store' | 'isPending'>, now: () => number) {
    this.#parts = parts
    this.#now = now
  }

  /** Joins the look at `key` that is about to leave, or begins one: `pass` asks the store for the key before it returns. */
  join(key: CacheKey, pass: (readers: Readers) => Promise<Answer>): Look<Answer> {
    const { store, isPending } = this.#parts
    const startedAt = this.#now()
    // Such a read asks the database at once; who comes later must not be answered with what it saw.
    if (isPending(key)) return begin(startedAt, pass)
    if (this.#departures !== store.departures) {
      this.#departures = store.departures
      this.#open = new Map()
    }
    const open = this.#open.get(key)
    if (open === undefined) {
      const look = begin(startedAt, pass)
      this.#open.set(key, look)
      return look
    }
    open.readers.startedAt = startedAt
    open.readers.count++
    return open
  }
}

function begin<Answer>(startedAt: number, pass: (readers: Readers) => Promise<Answer>): Look<Answer> {
  const readers = { startedAt, count: 1 }
  return { readers, answer: pass(readers) }
}
