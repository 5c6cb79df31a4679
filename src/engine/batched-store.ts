import type { Clock } from '../core/clock.js'
import type { CacheKey } from '../core/key.js'
import type {
  CacheStore,
  FillOutcome,
  FillRequest,
  LeaseReply,
  LeaseRequest,
  MarkRequest,
  ReleaseRequest,
  StoredBytes,
  StoredState,
} from '../core/ports.js'
import { ReadBatch, type ReplyPlace } from './read-batch.js'
import { TickBatch } from './tick-batch.js'

/** Keys in one MGET at most: past this a reply blocks Redis and this process for too long at a time. */
const MAX_READS = 512
/** Leases taken together at most: as many as one SELECT loads, so that what one call misses is loaded at once. */
const MAX_LEASES = 1_000
/** Fills sent together at most. The next ones follow when these are answered, so that each batch can keep its deadline. */
const MAX_FILLS = 128

/** A store asked one key at a time that sends what one tick asks for in one round trip. */
export class BatchedStore {
  readonly #leases: TickBatch<LeaseRequest, LeaseReply>
  readonly #fills: TickBatch<FillRequest, FillOutcome>
  readonly #store: CacheStore
  readonly #clock: Pick<Clock, 'endOfTick'>
  #reads: ReadBatch | undefined
  #departures = 0

  /** @param bind see `TickBatch`. */
  constructor(store: CacheStore, clock: Pick<Clock, 'endOfTick'>, bind?: (act: () => void) => () => void) {
    const inTurn = { inTurn: true, ...(bind && { bind }) }
    this.#store = store
    this.#clock = clock
    this.#leases = new TickBatch({
      clock,
      maxSize: MAX_LEASES,
      ...inTurn,
      send: (requests) => store.lease(requests),
    })
    this.#fills = new TickBatch({ clock, maxSize: MAX_FILLS, ...inTurn, send: (requests) => store.fill(requests) })
  }

  /** How many batches of reads have left. Reads without a departure between them look at the cache together, after all of them began. */
  get departures(): number {
    return this.#departures
  }

  /** Asks for what is under `key` in this tick's batch, and notes in `place` where the reply will be. */
  ask(key: CacheKey, place: ReplyPlace): void {
    const batch = this.#reads ?? this.#openReads()
    batch.add(key, place)
    if (batch.size === MAX_READS) this.#send(batch)
  }

  /** @throws CacheUnavailableError */
  async read(key: CacheKey): Promise<StoredBytes | null> {
    const place = {} as ReplyPlace
    this.ask(key, place)
    const reply = (await place.replies)[place.at]
    if (reply instanceof Error) throw reply
    return reply ?? null
  }

  lease(request: LeaseRequest): Promise<LeaseReply> {
    return this.#leases.ask(request)
  }

  fill(request: FillRequest): Promise<FillOutcome> {
    return this.#fills.ask(request)
  }

  release(request: ReleaseRequest): Promise<void> {
    return this.#store.release([request])
  }

  /** Not batched: the marks of one query travel together already. */
  mark(requests: readonly MarkRequest[]): Promise<string[]> {
    return this.#store.mark(requests)
  }

  inspect(key: CacheKey): Promise<StoredState> {
    return this.#store.inspect(key)
  }

  nowMs(): number {
    return this.#store.nowMs()
  }

  #openReads(): ReadBatch {
    const batch = new ReadBatch()
    this.#reads = batch
    this.#clock.endOfTick(() => {
      if (this.#reads === batch) this.#send(batch)
    })
    return batch
  }

  #send(batch: ReadBatch): void {
    this.#reads = undefined
    this.#departures++
    batch.leave((keys) => this.#store.read(keys))
  }
}
