import type { Clock } from '../core/clock.js'
import { CacheUnavailableError } from '../core/errors.js'
import type { EmitEvent } from '../core/events.js'
import type { CacheKey } from '../core/key.js'
import type {
  CacheStore,
  FenceOutcome,
  FenceRequest,
  FillOutcome,
  FillRequest,
  LeaseReply,
  LeaseRequest,
  MarkRequest,
  ReleaseRequest,
  StoredBytes,
  StoredState,
  StoreShards,
} from '../core/ports.js'
import type { CircuitBreaker } from './circuit-breaker.js'

export interface StoreLimits {
  /** How long a caller waits for any answer but that to a fence. */
  readonly deadlineMs: number
  readonly fenceDeadlineMs: number
  /** How long a call may stay unanswered before it counts as failed. */
  readonly giveUpMs: number
}

/**
 * A store that answers soon or not at all: each operation has a deadline, and after some failures in a row none is tried
 * for a while. A failure is an error or no answer at all; an answer that comes late is none. Everything that goes wrong comes out as `CacheUnavailableError`, which callers answer with a database read.
 *
 * A reply that arrives after its deadline is dropped. That is safe for every operation: what it changed is what a crash
 * of this process at that moment would have left behind.
 */
export class GuardedStore implements CacheStore {
  readonly #store: CacheStore
  readonly #clock: Clock
  readonly #breaker: CircuitBreaker
  readonly #limits: StoreLimits
  readonly #emit: EmitEvent
  readonly #isDoubtful: (key: CacheKey) => boolean

  constructor(options: {
    store: CacheStore
    clock: Clock
    breaker: CircuitBreaker
    limits: StoreLimits
    emit: EmitEvent
    /** Whether what is under a key must not be used though it is there. Asked when the answer has come: it may be the one that closes the breaker. Default: never. */
    isDoubtful?: (key: CacheKey) => boolean
  }) {
    this.#store = options.store
    this.#clock = options.clock
    this.#breaker = options.breaker
    this.#limits = options.limits
    this.#emit = options.emit
    this.#isDoubtful = options.isDoubtful ?? (() => false)
  }

  read(keys: readonly CacheKey[]): Promise<(StoredBytes | null)[]> {
    const answer = this.#guard('read', this.#limits.deadlineMs, () => this.#store.read(keys))
    return answer.then((bytes) => (keys.some(this.#isDoubtful) ? this.#refuse('read') : bytes))
  }

  lease(requests: readonly LeaseRequest[]): Promise<LeaseReply[]> {
    const answer = this.#guard('lease', this.#limits.deadlineMs, () => this.#store.lease(requests))
    return answer.then((replies) => {
      const shows = requests.some(({ key }, at) => replies[at]?.outcome === 'changed' && this.#isDoubtful(key))
      return shows ? this.#refuse('lease') : replies
    })
  }

  fill(requests: readonly FillRequest[]): Promise<FillOutcome[]> {
    return this.#guard('fill', this.#limits.deadlineMs, () => this.#store.fill(requests))
  }

  release(requests: readonly ReleaseRequest[]): Promise<void> {
    return this.#guard('release', this.#limits.deadlineMs, () => this.#store.release(requests))
  }

  fence(requests: readonly FenceRequest[]): Promise<FenceOutcome[]> {
    return this.#guard('fence', this.#limits.fenceDeadlineMs, () => this.#store.fence(requests))
  }

  mark(requests: readonly MarkRequest[]): Promise<string[]> {
    return this.#guard('mark', this.#limits.deadlineMs, () => this.#store.mark(requests))
  }

  inspect(key: CacheKey): Promise<StoredState> {
    return this.#guard('inspect', this.#limits.deadlineMs, () => this.#store.inspect(key))
  }

  nowMs(): number {
    return this.#store.nowMs()
  }

  /** As they are: whoever asks shards waits for them on its own. */
  get shards(): StoreShards {
    return this.#store.shards
  }

  get breakerState(): CircuitBreaker['state'] {
    return this.#breaker.state
  }

  close(): Promise<void> {
    return this.#store.close()
  }

  #refuse(operation: string): Promise<never> {
    return Promise.reject(new CacheUnavailableError(operation, 'the relay has not passed the outage'))
  }

  #guard<Reply>(operation: string, deadlineMs: number, call: () => Promise<Reply>): Promise<Reply> {
    if (!this.#breaker.admits()) return Promise.reject(new CacheUnavailableError(operation, 'the breaker is open'))
    return new Promise((resolve, reject) => {
      let isAnswered = false
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
          fail(`no answer within ${deadlineMs} ms`)
          // Late is not dead: on a busy machine everything is late, and to stop asking would make it worse.
          cancel = this.#clock.after(Math.max(0, giveUpMs - deadlineMs), () => this.#breaker.failed())
        })
      })
      call().then(
        (reply) => {
          cancel()
          this.#breaker.succeeded()
          if (!isAnswered) resolve(reply)
        },
        (error) => {
          cancel()
          this.#breaker.failed()
          if (!isAnswered) fail(error)
        },
      )
    })
  }
}
