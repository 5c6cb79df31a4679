import { CacheUnavailableError } from '../core/errors.js'
import type { CacheKey } from '../core/key.js'
import type { Answered, FillSpan } from '../core/telemetry.js'
import type { EngineParts } from './filler.js'
import type { Reply, ReplyPlace } from './read-batch.js'

/** Readers of one key who look at the cache at the same moment. */
export interface Readers {
  /** When the last of them began, on the scale of `Singleflight.now`. Settled once the look has left. */
  readonly startedAt: number
  readonly count: number
  /** How they were answered, once they are; undefined as long as it takes a fill. */
  answered?: Answered | undefined
  fill?: FillSpan | undefined
  /** When they began to wait for a fill, by the monotonic clock. */
  waitsSinceMs?: number | undefined
}

const UNANSWERED = Symbol('unanswered')
const NOT_ASKED = Promise.resolve([new CacheUnavailableError('read', 'a fence is pending')])

/** One look at the cache, and what follows from it: judgement, lease, load, and the time limits on these. */
export class Look<Id, Answer> implements Readers, ReplyPlace {
  readonly key: CacheKey
  readonly id: Id
  /** Of this process' memory, before the cache was asked; undefined where there is none. */
  readonly generation: number | undefined
  startedAt: number
  count = 1
  answered: Answered | undefined = undefined
  fill: FillSpan | undefined = undefined
  waitsSinceMs: number | undefined = undefined
  /** An answer when the reply has come. Every reader waits for that by a promise of its own and for nothing else: one each is all a hit takes. */
  replies: Promise<readonly Reply[]> = NOT_ASKED
  at = 0
  answer: Answer | Promise<Answer> | typeof UNANSWERED = UNANSWERED
  /** The answer, for all readers but the first: one promise that waits for the reply, and what follows from it, on behalf of all of them. */
  shared: Promise<Answer> | undefined = undefined

  constructor(key: CacheKey, id: Id, startedAt: number, generation: number | undefined) {
    this.key = key
    this.id = id
    this.startedAt = startedAt
    this.generation = generation
  }
}

/**
 * Lets readers of one key who began in one tick share one look at the cache, and all that follows from it.
 *
 * Guarantee: a look is only joined before it leaves. So it shows every write that was fenced before the joiner began, and it is
 * held against the floors as they are when it returns: what a joiner's session has demanded counts as if it had looked for itself.
 */
export class Looks<Id, Answer> {
  readonly #options: LooksOptions<Id, Answer>
  /** Looks that have not left, as of `#departures`. */
  #open = new Map<CacheKey, Look<Id, Answer>>()
  #departures = -1

  constructor(options: LooksOptions<Id, Answer>) {
    this.#options = options
  }

  /** Joins the look at `key` that is about to leave, or begins one. */
  join(key: CacheKey, id: Id): Look<Id, Answer> {
    const { isPending } = this.#options.parts
    const startedAt = this.#options.now()
    // Such a read asks the database without a look; who comes later must not be answered with what it saw.
    if (isPending(key)) return new Look<Id, Answer>(key, id, startedAt, undefined)
    this.#closeLeft()
    const open = this.#open.get(key)
    if (open !== undefined) {
      open.startedAt = startedAt
      open.count++
      return open
    }
    const look = this.#begin(key, id, startedAt)
    this.#open.set(key, look)
    return look
  }

  /** Joins a look that the caller has in hand. False: it has left, or its key must not be looked up now. */
  rejoin(look: Look<Id, Answer>): boolean {
    const { store, isPending } = this.#options.parts
    const isOpen = this.#departures === store.departures && this.#open.get(look.key) === look
    if (!isOpen || isPending(look.key)) return false
    look.startedAt = this.#options.now()
    look.count++
    return true
  }

  /** Begins a look for one reader who may have joined another one too late. */
  alone(key: CacheKey, id: Id, startedAt: number): Look<Id, Answer> {
    if (this.#options.parts.isPending(key)) return new Look<Id, Answer>(key, id, startedAt, undefined)
    return this.#begin(key, id, startedAt)
  }

  /** What follows from the replies that a look has waited for: the same for all its readers. */
  answer(look: Look<Id, Answer>, replies: readonly Reply[]): Answer | Promise<Answer> {
    if (look.answer !== UNANSWERED) return look.answer
    // Else a repository that is not asked again holds the bytes of its last batch, and the rows made of them, for good.
    this.#closeLeft()
    look.replies = NOT_ASKED
    look.answer = this.#options.answer(look, replies[look.at] as Reply)
    return look.answer
  }

  /** The same, for those who have joined a look of somebody else's. */
  shared(look: Look<Id, Answer>): Promise<Answer> {
    look.shared ??= look.replies.then((replies) => this.answer(look, replies))
    return look.shared
  }

  #closeLeft(): void {
    const { departures } = this.#options.parts.store
    if (this.#departures === departures) return
    this.#departures = departures
    this.#open = new Map()
  }

  #begin(key: CacheKey, id: Id, startedAt: number): Look<Id, Answer> {
    const { parts, generation } = this.#options
    const look = new Look<Id, Answer>(key, id, startedAt, generation(id))
    parts.store.ask(key, look)
    return look
  }
}

export interface LooksOptions<Id, Answer> {
  readonly parts: Pick<EngineParts, 'isPending'> & { readonly store: Pick<EngineParts['store'], 'departures' | 'ask'> }
  readonly now: () => number
  /** Of this process' memory, for an id that is about to be looked up. */
  readonly generation: (id: Id) => number | undefined
  /** Goes on from the reply, within the reader who is the first to ask for the answer. */
  readonly answer: (look: Look<Id, Answer>, reply: Reply) => Answer | Promise<Answer>
}
