import type { Clock } from '../core/clock.js'
import { CacheUnavailableError } from '../core/errors.js'
import type { EmitEvent } from '../core/events.js'
import type { CacheKey } from '../core/key.js'
import { NoAnswer } from '../core/no-answer.js'
import { PartAnswer } from '../core/part-answer.js'
import type {
  CacheStore,
  FenceOutcome,
  FenceRequest,
  FillOutcome,
  FillRequest,
  LeaseReply,
  LeaseRequest,
  MarkRequest,
  PartReply,
  ReleaseRequest,
  StoredBytes,
  StoredState,
  StoreShards,
} from '../core/ports.js'
import { byShard } from './by-shard.js'
import type { CircuitBreaker } from './circuit-breaker.js'
import type { ShardBreakers } from './shard-breakers.js'

export interface StoreLimits {
  /** How long a caller waits for any answer but that to a fence. */
  readonly deadlineMs: number
  readonly fenceDeadlineMs: number
  /** How long a call may stay unanswered before it counts as failed. */
  readonly giveUpMs: number
}

/**
 * A store that answers soon or not at all: each operation has a deadline, and after some failures in a row none is tried
 * for a while. An error counts as a failure, and so does a call that stays unanswered for `giveUpMs`. A late answer does not. Whatever
 * goes wrong rejects with `CacheUnavailableError`, and callers read the database instead.
 *
 * Each shard has its own deadline and breaker. If some shards do not answer, the call resolves with the others' replies and an error
 * for each of the rest; if none answers, it rejects. Operations that make sense only as a whole reject as soon as one shard fails.
 * Keys that a shard does not serve for now (`PartAnswer`) get errors in the same way, but its breaker counts them as answered.
 *
 * A reply that arrives after its deadline is dropped. That is safe for every operation: what it changed is what a crash
 * of this process at that moment would have left behind.
 */
export class GuardedStore {
  readonly #store: CacheStore
  readonly #clock: Clock
  readonly #breakers: ShardBreakers
  readonly #limits: StoreLimits
  readonly #emit: EmitEvent
  readonly #isDoubtful: (key: CacheKey) => boolean

  constructor(options: {
    store: CacheStore
    clock: Clock
    breakers: ShardBreakers
    limits: StoreLimits
    emit: EmitEvent
    /** Whether what the store holds under a key must not be used. Asked after the reply: that may be the one that closes the breaker. Default: never. */
    isDoubtful?: (key: CacheKey) => boolean
  }) {
    this.#store = options.store
    this.#clock = options.clock
    this.#breakers = options.breakers
    this.#limits = options.limits
    this.#emit = options.emit
    this.#isDoubtful = options.isDoubtful ?? (() => false)
  }

  /** Rejects when any key has no reply. */
  async read(keys: readonly CacheKey[]): Promise<(StoredBytes | null)[]> {
    return wholeOf(await this.readParts(keys))
  }

  /** Rejects when no key has a reply. It waits for all shards: to not wait for a slow one, ask for each shard's keys in a call of their own. */
  readParts(keys: readonly CacheKey[]): Promise<PartReply<StoredBytes | null>[]> {
    return this.#parts({
      ...{ operation: 'read', deadlineMs: this.#limits.deadlineMs, requests: keys },
      keyOf: (key: CacheKey) => key,
      ask: (part: readonly CacheKey[]) => this.#store.read(part),
      isRefused: (part: readonly CacheKey[]) => part.some(this.#isDoubtful),
    })
  }

  lease(requests: readonly LeaseRequest[]): Promise<PartReply<LeaseReply>[]> {
    return this.#parts({
      ...{ operation: 'lease', deadlineMs: this.#limits.deadlineMs, requests, keyOf },
      ask: (part) => this.#store.lease(part),
      isRefused: (part, replies) => part.some(({ key }, at) => isChanged(replies[at]) && this.#isDoubtful(key)),
    })
  }

  fill(requests: readonly FillRequest[]): Promise<PartReply<FillOutcome>[]> {
    const ask = (part: readonly FillRequest[]) => this.#store.fill(part)
    return this.#parts({ operation: 'fill', deadlineMs: this.#limits.deadlineMs, requests, keyOf, ask })
  }

  /** Rejects when any shard does not answer: a lease that is not given back ends by itself. */
  async release(requests: readonly ReleaseRequest[]): Promise<void> {
    const ask = (part: readonly ReleaseRequest[]) => this.#store.release(part).then(() => part.map(() => undefined))
    const { deadlineMs } = this.#limits
    wholeOf(await this.#parts({ operation: 'release', deadlineMs, requests, keyOf, ask }))
  }

  fence(requests: readonly FenceRequest[]): Promise<PartReply<FenceOutcome>[]> {
    const ask = (part: readonly FenceRequest[]) => this.#store.fence(part)
    return this.#parts({ operation: 'fence', deadlineMs: this.#limits.fenceDeadlineMs, requests, keyOf, ask })
  }

  /** Rejects when any shard does not answer: whoever asks for marks needs them all. */
  async mark(requests: readonly MarkRequest[]): Promise<string[]> {
    const ask = (part: readonly MarkRequest[]) => this.#store.mark(part)
    const { deadlineMs } = this.#limits
    return wholeOf(await this.#parts({ operation: 'mark', deadlineMs, requests, keyOf, ask }))
  }

  inspect(key: CacheKey): Promise<StoredState> {
    const shard = this.#only() ?? this.#store.shards.of(key)
    return this.#guard(shard, 'inspect', this.#limits.deadlineMs, () => this.#store.inspect(key))
  }

  nowMs(): number {
    return this.#store.nowMs()
  }

  get resends(): number {
    return this.#store.resends ?? 0
  }

  /** Unguarded: the caller sets its own deadlines. */
  get shards(): StoreShards {
    return this.#store.shards
  }

  /** The worst of all shards'. */
  get breakerState(): CircuitBreaker['state'] {
    return this.#breakers.state
  }

  close(): Promise<void> {
    return this.#store.close()
  }

  /** The shard that holds everything; undefined: there are several. */
  #only(): string | undefined {
    const names = this.#breakers.names()
    return names.length > 1 ? undefined : (names[0] ?? '')
  }

  async #parts<Request, Reply>(call: SplitCall<Request, Reply>): Promise<PartReply<Reply>[]> {
    const { requests, keyOf } = call
    const only = this.#only()
    if (only !== undefined) return this.#part(only, call, requests)
    const { shards } = this.#store
    const parts = [...byShard(requests, (request) => shards.of(keyOf(request)))]
    const [first] = parts
    if (first === undefined || parts.length === 1) return this.#part(first?.[0] ?? '', call, requests)
    const replies: PartReply<Reply>[] = new Array(requests.length)
    const failures: CacheUnavailableError[] = []
    await Promise.all(
      parts.map(async ([shard, places]) => {
        const asked = places.map((at) => requests[at] as Request)
        try {
          const part = await this.#part(shard, call, asked)
          places.forEach((place, at) => {
            replies[place] = part[at] as PartReply<Reply>
          })
        } catch (error) {
          failures.push(error as CacheUnavailableError)
          for (const place of places) replies[place] = error as CacheUnavailableError
        }
      }),
    )
    if (failures.length === parts.length) throw failures[0]
    return replies
  }

  #part<Request, Reply>(
    shard: string,
    { operation, deadlineMs, ask, isRefused }: SplitCall<Request, Reply>,
    part: readonly Request[],
  ): Promise<PartReply<Reply>[]> {
    const answer = this.#guard(shard, operation, deadlineMs, () => ask(part)).catch(partsOf<Reply>)
    return isRefused ? answer.then((replies) => (isRefused(part, replies) ? refuse(operation) : replies)) : answer
  }

  #guard<Reply>(shard: string, operation: string, deadlineMs: number, call: () => Promise<Reply>): Promise<Reply> {
    const breaker = this.#breakers.of(shard)
    const admission = breaker.admit()
    if (admission === undefined) return Promise.reject(new CacheUnavailableError(operation, 'the breaker is open'))
    return new Promise((resolve, reject) => {
      let isAnswered = false
      let isGivenUp = false
      const fail = (cause: unknown) => {
        isAnswered = true
        this.#emit({ type: 'cache.unavailable', operation, error: cause })
        reject(new CacheUnavailableError(operation, cause))
      }
      const { giveUpMs } = this.#limits
      // In two halves: a process that was itself too busy to listen (a large tick, a garbage collection) finds both its
      // timer due and the reply waiting. The second half begins only when it listens again.
      let cancel = this.#clock.after(deadlineMs / 2, () => {
        cancel = this.#clock.after(deadlineMs / 2, () => {
          fail(new NoAnswer(deadlineMs))
          // Late is not dead: on a busy machine everything is late, and to stop asking would make it worse.
          cancel = this.#clock.after(Math.max(0, giveUpMs - deadlineMs), () => {
            isGivenUp = true
            breaker.failed(admission)
          })
        })
      })
      call().then(
        (reply) => {
          cancel()
          breaker.succeeded(admission)
          if (!isAnswered) resolve(reply)
        },
        (error) => {
          cancel()
          if (error instanceof PartAnswer) breaker.succeeded(admission)
          else if (!isGivenUp) breaker.failed(admission)
          if (!isAnswered) fail(error)
        },
      )
    })
  }
}

/** One operation on keys of any shards. */
interface SplitCall<Request, Reply> {
  readonly operation: string
  readonly deadlineMs: number
  readonly requests: readonly Request[]
  readonly keyOf: (request: Request) => CacheKey
  readonly ask: (part: readonly Request[]) => Promise<Reply[]>
  /** Whether what a shard has replied must not be used. Default: never. */
  readonly isRefused?: (part: readonly Request[], replies: readonly PartReply<Reply>[]) => boolean
}

function keyOf(request: { readonly key: CacheKey }): CacheKey {
  return request.key
}

function isChanged(reply: PartReply<LeaseReply> | undefined): boolean {
  return reply !== undefined && 'outcome' in reply && reply.outcome === 'changed'
}

/** What a shard has answered where it did not serve every key. @throws the error, where that is not so or there is no reply among it. */
function partsOf<Reply>(error: CacheUnavailableError): PartReply<Reply>[] {
  const { cause } = error
  if (!(cause instanceof PartAnswer) || cause.replies.every((reply) => reply instanceof CacheUnavailableError))
    throw error
  return cause.replies as PartReply<Reply>[]
}

/** All replies or none. @throws CacheUnavailableError */
function wholeOf<Reply>(replies: readonly PartReply<Reply>[]): Reply[] {
  return replies.map((reply) => {
    if (reply instanceof CacheUnavailableError) throw reply
    return reply
  })
}

function refuse(operation: string): Promise<never> {
  return Promise.reject(new CacheUnavailableError(operation, 'the relay has not passed the outage'))
}
