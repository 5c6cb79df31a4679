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
} from '../core/ports.js'
import type { CircuitBreaker } from './circuit-breaker.js'

/**
 * A store that answers soon or not at all: each operation has a deadline, and after some failures in a row none is tried
 * for a while. Everything that goes wrong comes out as `CacheUnavailableError`, which callers answer with a database read.
 *
 * A reply that arrives after its deadline is dropped. That is safe for every operation: what it changed is what a crash
 * of this process at that moment would have left behind.
 */
export class GuardedStore implements CacheStore {
  readonly #store: CacheStore
  readonly #clock: Clock
  readonly #breaker: CircuitBreaker
  readonly #deadlineMs: number
  readonly #emit: EmitEvent

  constructor(options: {
    store: CacheStore
    clock: Clock
    breaker: CircuitBreaker
    deadlineMs: number
    emit: EmitEvent
  }) {
    this.#store = options.store
    this.#clock = options.clock
    this.#breaker = options.breaker
    this.#deadlineMs = options.deadlineMs
    this.#emit = options.emit
  }

  read(keys: readonly CacheKey[]): Promise<(StoredBytes | null)[]> {
    return this.#guard('read', () => this.#store.read(keys))
  }

  lease(requests: readonly LeaseRequest[]): Promise<LeaseReply[]> {
    return this.#guard('lease', () => this.#store.lease(requests))
  }

  fill(requests: readonly FillRequest[]): Promise<FillOutcome[]> {
    return this.#guard('fill', () => this.#store.fill(requests))
  }

  release(requests: readonly ReleaseRequest[]): Promise<void> {
    return this.#guard('release', () => this.#store.release(requests))
  }

  fence(requests: readonly FenceRequest[]): Promise<FenceOutcome[]> {
    return this.#guard('fence', () => this.#store.fence(requests))
  }

  mark(requests: readonly MarkRequest[]): Promise<string[]> {
    return this.#guard('mark', () => this.#store.mark(requests))
  }

  inspect(key: CacheKey): Promise<StoredState> {
    return this.#guard('inspect', () => this.#store.inspect(key))
  }

  nowMs(): number {
    return this.#store.nowMs()
  }

  get breakerState(): CircuitBreaker['state'] {
    return this.#breaker.state
  }

  close(): Promise<void> {
    return this.#store.close()
  }

  #guard<Reply>(operation: string, call: () => Promise<Reply>): Promise<Reply> {
    if (!this.#breaker.admits()) return Promise.reject(new CacheUnavailableError(operation, 'the breaker is open'))
    return new Promise((resolve, reject) => {
      let settled = false
      const fail = (cause: unknown) => {
        if (settled) return
        settled = true
        this.#breaker.failed()
        this.#emit({ type: 'cache.unavailable', operation, error: cause })
        reject(new CacheUnavailableError(operation, cause))
      }
      // In two halves: a process that was itself too busy to listen (a large tick, a garbage collection) finds both its
      // timer due and the reply waiting. The second half begins only when it listens again.
      const halfMs = this.#deadlineMs / 2
      let cancel = this.#clock.after(halfMs, () => {
        cancel = this.#clock.after(halfMs, () => fail(`no answer within ${this.#deadlineMs} ms`))
      })
      call().then(
        (reply) => {
          cancel()
          if (settled) return
          settled = true
          this.#breaker.succeeded()
          resolve(reply)
        },
        (error) => {
          cancel()
          fail(error)
        },
      )
    })
  }
}
