import type { Clock } from '../core/clock.js'
import type { CacheKey } from '../core/key.js'
import type {
  CacheStore,
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
import { ReadBatch, type ReplyPlace } from './read-batch.js'
import { TickBatch } from './tick-batch.js'

/** Keys in one MGET at most: past this a reply blocks Redis and this process for too long at a time. */
const MAX_READS = 512
/** Leases taken together at most: as many as one SELECT loads, so that what one call misses is loaded at once. */
const MAX_LEASES = 1_000
/** Fills sent together at most. The next ones follow when these are answered, so that each batch can keep its deadline. */
const MAX_FILLS = 128

/** The store as a batch sees it: each request has a reply, if only an error. */
export type BatchStore = Pick<CacheStore, 'nowMs' | 'shards' | 'release' | 'mark' | 'inspect'> & {
  readParts(keys: readonly CacheKey[]): Promise<readonly PartReply<StoredBytes | null>[]>
  lease(requests: readonly LeaseRequest[]): Promise<readonly PartReply<LeaseReply>[]>
  fill(requests: readonly FillRequest[]): Promise<readonly PartReply<FillOutcome>[]>
}

/**
 * A store asked one key at a time that sends what one tick asks for in one round trip. Where it has several shards, reads have one for
 * each, so that no hit waits for a shard that does not answer.
 */
export class BatchedStore {
  readonly #leases: TickBatch<LeaseRequest, LeaseReply>
  readonly #fills: TickBatch<FillRequest, FillOutcome>
  readonly #store: BatchStore
  readonly #clock: Pick<Clock, 'endOfTick'>
  /** The keys of this tick where there is one shard. */
  #reads: ReadBatch | undefined
  /** The same by shard, where there are several. */
  #parts: Map<string, ReadBatch> | undefined
  #departures = 0

  /** @param bind see `TickBatch`. */
  constructor(store: BatchStore, clock: Pick<Clock, 'endOfTick'>, bind?: (act: () => void) => () => void) {
    const inTurn = { inTurn: true, ...(bind && { bind }) }
    this.#store = store
    this.#clock = clock
    this.#leases = new TickBatch<LeaseRequest, LeaseReply>({
      when: (leave) => clock.endOfTick(leave),
      maxSize: MAX_LEASES,
      ...inTurn,
      send: (requests) => store.lease(requests),
    })
    this.#fills = new TickBatch<FillRequest, FillOutcome>({
      // When all have asked who were woken together with the first, ahead of what else the tick brings: somebody elsewhere waits for
      // it, and not for what this process does with its own answers.
      when: (leave) => queueMicrotask(leave),
      maxSize: MAX_FILLS,
      ...inTurn,
      send: (requests) => store.fill(requests),
    })
  }

  /** How many batches of reads have left. Reads without a departure between them look at the cache together, after all of them began. */
  get departures(): number {
    return this.#departures
  }

  /** Asks for what is under `key` in this tick's batch, and notes in `place` where the reply will be. */
  ask(key: CacheKey, place: ReplyPlace): void {
    const batch = this.#reads ?? this.#partOf(key) ?? this.#openReads()
    batch.add(key, place)
    if (batch.size === MAX_READS) this.#sendReads()
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

  /** Undefined: there is one shard. */
  #partOf(key: CacheKey): ReadBatch | undefined {
    const { shards } = this.#store
    if (this.#parts === undefined) {
      if (!hasSeveral(shards)) return undefined
      const parts = new Map<string, ReadBatch>()
      this.#parts = parts
      this.#clock.endOfTick(() => {
        if (this.#parts === parts) this.#sendReads()
      })
    }
    const shard = shards.of(key)
    const known = this.#parts.get(shard)
    if (known) return known
    const part = new ReadBatch()
    this.#parts.set(shard, part)
    return part
  }

  #openReads(): ReadBatch {
    const batch = new ReadBatch()
    this.#reads = batch
    this.#clock.endOfTick(() => {
      if (this.#reads === batch) this.#sendReads()
    })
    return batch
  }

  /** All of them: what has been asked for by now leaves together. */
  #sendReads(): void {
    const batches = this.#reads ? [this.#reads] : [...(this.#parts?.values() ?? [])]
    this.#reads = undefined
    this.#parts = undefined
    this.#departures++
    for (const batch of batches) batch.leave((keys) => this.#store.readParts(keys))
  }
}

function hasSeveral(shards: StoreShards): boolean {
  try {
    return shards.list().length > 1
  } catch {
    // Nobody knows yet, and whoever asks will hear so.
    return false
  }
}
