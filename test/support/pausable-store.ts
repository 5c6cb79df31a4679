import { type Clock, systemClock } from '../../src/core/clock.js'
import type { CacheKey } from '../../src/core/key.js'
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
} from '../../src/core/ports.js'
import { Gates, type Pause, tenSeconds } from './gates.js'
import { manyTurns } from './manual-clock.js'

export type StoreOperation = 'read' | 'lease' | 'fill' | 'release' | 'fence' | 'mark' | 'look' | 'tick' | 'scan'
export type StorePoint = `${'before' | 'after'} ${StoreOperation}`

/** What goes wrong with a call: it fails, it never answers, or it answers late (by the clock). */
export type StoreFault = 'fail' | 'hang' | { readonly delayMs: number }

/** One call that arrived, faults or not. */
export interface StoreCall {
  readonly operation: StoreOperation
  readonly keys: readonly CacheKey[]
}

/** Any `CacheStore`, which can be paused at named points and broken on purpose, and remembers what it was asked. */
export class PausableStore implements CacheStore {
  readonly calls: StoreCall[] = []
  /** Fences are acknowledged and come to nothing, as when a replica is promoted that they had not reached. */
  forgetsFences = false
  readonly shards: StoreShards
  readonly #store: CacheStore
  readonly #clock: Pick<Clock, 'sleep'>
  readonly #gates: Gates<StorePoint>
  readonly #next = new Map<StoreOperation, StoreFault[]>()
  readonly #always = new Map<StoreOperation, StoreFault>()

  constructor(store: CacheStore, clock: Pick<Clock, 'sleep'>) {
    this.#store = store
    this.#clock = clock
    this.#gates = new Gates(clock === systemClock ? tenSeconds : manyTurns)
    const { shards } = store
    this.shards = {
      list: () => shards.list(),
      of: (key) => shards.of(key),
      tickKey: (shard) => shards.tickKey(shard),
      takeMoves: () => shards.takeMoves(),
      look: (shard) => this.#pass('look', [], () => shards.look(shard)),
      tick: (shard, text, server) => this.#pass('tick', [], () => shards.tick(shard, text, server)),
      scan: (shard, cursor, count) => this.#pass('scan', [], () => shards.scan(shard, cursor, count)),
    }
  }

  /** The next call that comes to `point` waits: `before` the store has seen it, or `after`, with its answer in hand. */
  pause(point: StorePoint): Pause {
    return this.#gates.pause(point)
  }

  breakNext(operation: StoreOperation, fault: StoreFault): void {
    this.#next.set(operation, [...(this.#next.get(operation) ?? []), fault])
  }

  /** Until `heal`. */
  breakAlways(fault: StoreFault, operations: readonly StoreOperation[] = EVERY_OPERATION): void {
    for (const operation of operations) this.#always.set(operation, fault)
  }

  heal(): void {
    this.#always.clear()
    this.#next.clear()
  }

  /** Lets whatever is paused go on. */
  openGates(): void {
    this.#gates.openAll()
  }

  count(operation: StoreOperation): number {
    return this.calls.filter((call) => call.operation === operation).length
  }

  read(keys: readonly CacheKey[]): Promise<(StoredBytes | null)[]> {
    return this.#pass('read', keys, () => this.#store.read(keys))
  }

  lease(requests: readonly LeaseRequest[]): Promise<LeaseReply[]> {
    return this.#pass('lease', keysOf(requests), () => this.#store.lease(requests))
  }

  fill(requests: readonly FillRequest[]): Promise<FillOutcome[]> {
    return this.#pass('fill', keysOf(requests), () => this.#store.fill(requests))
  }

  release(requests: readonly ReleaseRequest[]): Promise<void> {
    return this.#pass('release', keysOf(requests), () => this.#store.release(requests))
  }

  fence(requests: readonly FenceRequest[]): Promise<FenceOutcome[]> {
    return this.#pass('fence', keysOf(requests), async () =>
      this.forgetsFences ? requests.map(() => 'dropped' as const) : this.#store.fence(requests),
    )
  }

  mark(requests: readonly MarkRequest[]): Promise<string[]> {
    return this.#pass('mark', keysOf(requests), () => this.#store.mark(requests))
  }

  inspect(key: CacheKey): Promise<StoredState> {
    return this.#store.inspect(key)
  }

  nowMs(): number {
    return this.#store.nowMs()
  }

  onConnected(listener: () => void): void {
    this.#store.onConnected?.(listener)
  }

  close(): Promise<void> {
    return this.#store.close()
  }

  async #pass<Reply>(operation: StoreOperation, keys: readonly CacheKey[], call: () => Promise<Reply>): Promise<Reply> {
    this.calls.push({ operation, keys })
    const fault = this.#next.get(operation)?.shift() ?? this.#always.get(operation)
    if (fault === 'fail') throw new Error(`the store was told to fail ${operation}`)
    if (fault === 'hang') return new Promise<never>(() => {})
    await this.#gates.pass(`before ${operation}`)
    const reply = await call()
    if (fault !== undefined) await this.#clock.sleep(fault.delayMs)
    await this.#gates.pass(`after ${operation}`)
    return reply
  }
}

const EVERY_OPERATION: readonly StoreOperation[] = [
  ...(['read', 'lease', 'fill', 'release', 'fence', 'mark', 'look', 'tick'] as const),
]

function keysOf(requests: readonly { readonly key: CacheKey }[]): CacheKey[] {
  return requests.map(({ key }) => key)
}
