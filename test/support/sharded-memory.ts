import { Buffer } from 'node:buffer'
import { MemoryStore } from '../../src/adapters/memory/memory-store.js'
import type { Clock } from '../../src/core/clock.js'
import { type CacheKey, tickKey } from '../../src/core/key.js'
import type {
  CacheStore,
  FenceRequest,
  FillRequest,
  LeaseRequest,
  MarkRequest,
  ReleaseRequest,
  ShardMove,
  ShardState,
  StoredBytes,
  StoreShards,
} from '../../src/core/ports.js'

const NAMESPACE = 'shop'
const TICK = /:(\d+)\}:tick$/

/** One server: what it holds, and the replica that follows it. */
class Server {
  readonly memory: MemoryStore
  readonly ticks = new Map<CacheKey, string>()
  isDown = false
  replica: Server | undefined
  readonly #clock: Clock

  constructor(
    clock: Clock,
    /** What it says it is; changes when it is made primary. */
    public name: string,
  ) {
    this.#clock = clock
    this.memory = new MemoryStore({ clock: this.#clock, maxBytes: 1 << 20 })
  }

  /** Does the same here and on the replica, as replication does, in the same order. */
  async apply<Reply>(act: (server: Server) => Promise<Reply>): Promise<Reply> {
    const reply = await act(this)
    if (this.replica) await this.replica.apply(act)
    return reply
  }
}

/** What befalls a shard. */
interface Shard {
  readonly name: string
  primary: Server
  /** Servers that were primary once and still answer those who have not heard of it. */
  former: Server | undefined
  promotions: number
}

/**
 * A cache of several servers in memory, each with a replica, on one clock. What one process sees of it is a `ShardedMemory`; one
 * process may still talk to a server that the others know to be replaced.
 */
export class ShardedServers {
  readonly #clock: Clock
  readonly #shards: Shard[]
  readonly #moves: ShardMove[] = []

  constructor(clock: Clock, names: readonly string[] = ['one']) {
    this.#clock = clock
    this.#shards = names.map((name) => ({ name, primary: this.#pair(name), former: undefined, promotions: 0 }))
  }

  connect(): ShardedMemory {
    return new ShardedMemory(this)
  }

  get names(): readonly string[] {
    return this.#shards.map(({ name }) => name)
  }

  get moves(): readonly ShardMove[] {
    return this.#moves.splice(0)
  }

  /** What the primary acknowledges from now on does not reach its replica. */
  cutReplica(name: string): void {
    this.shard(name).primary.replica = undefined
  }

  /** The replica takes over, with whatever has reached it. */
  promote(name: string, replica = this.#replicas.get(name)): void {
    const shard = this.shard(name)
    shard.former = shard.primary
    shard.former.replica = undefined
    const next = replica as Server
    shard.promotions++
    next.name = `${name}-${shard.promotions}`
    this.#attachReplica(name, next)
    shard.primary = next
  }

  takeDown(name: string): void {
    this.shard(name).primary.isDown = true
  }

  bringUp(name: string): void {
    this.shard(name).primary.isDown = false
  }

  /** Keys of one shard now belong to another. */
  tellMove(from: string, to: string): void {
    this.#moves.push({ from, to })
  }

  shard(name: string): Shard {
    const shard = this.#shards.find((each) => each.name === name)
    if (shard === undefined) throw new Error(`there is no shard ${name}`)
    return shard
  }

  /** By the key's last digit, so that a test can choose. */
  of(key: CacheKey): string {
    const place = TICK.exec(key)?.[1]
    const at = place === undefined ? Number(/\d(?=\D*$)/.exec(key)?.[0] ?? 0) : Number(place) - 1
    return (this.#shards[at % this.#shards.length] as Shard).name
  }

  readonly #replicas = new Map<string, Server>()

  #pair(name: string): Server {
    const primary = new Server(this.#clock, `${name}-0`)
    this.#attachReplica(name, primary)
    return primary
  }

  #attachReplica(name: string, primary: Server): void {
    const replica = new Server(this.#clock, '')
    primary.replica = replica
    this.#replicas.set(name, replica)
  }
}

/** One process' view of `ShardedServers`: a `CacheStore`. */
export class ShardedMemory implements CacheStore {
  readonly shards: StoreShards
  /** Shards of which this process still talks to the former primary. */
  readonly stuckOn = new Set<string>()
  readonly #servers: ShardedServers

  constructor(servers: ShardedServers) {
    this.#servers = servers
    this.shards = {
      list: () => servers.names,
      of: (key) => servers.of(key),
      tickKey: (shard) => tickKey(NAMESPACE, servers.names.indexOf(shard) + 1),
      look: async (shard) => this.#state(shard),
      tick: async (shard, text, server) => {
        const key = this.shards.tickKey(shard)
        if (this.#server(shard).name === server) {
          await this.#server(shard).apply(async ({ ticks }) => void ticks.set(key, text))
        }
        return this.#state(shard)
      },
      takeMoves: () => servers.moves,
      scan: async (shard) => this.#server(shard).memory.shards.scan(shard, null, 0),
    }
  }

  async read(keys: readonly CacheKey[]): Promise<(StoredBytes | null)[]> {
    return Promise.all(
      keys.map(async (key) => {
        const { ticks, memory } = this.#serverOf(key)
        const tick = ticks.get(key)
        return tick === undefined ? ((await memory.read([key]))[0] as StoredBytes | null) : Buffer.from(tick)
      }),
    )
  }

  lease(requests: readonly LeaseRequest[]) {
    return this.#each(requests, (memory, request) => memory.lease([request]))
  }

  fill(requests: readonly FillRequest[]) {
    return this.#each(requests, (memory, request) => memory.fill([request]))
  }

  async release(requests: readonly ReleaseRequest[]): Promise<void> {
    await this.#each(requests, async (memory, request) => [await memory.release([request])])
  }

  fence(requests: readonly FenceRequest[]) {
    return this.#each(requests, (memory, request) => memory.fence([request]))
  }

  mark(requests: readonly MarkRequest[]) {
    return this.#each(requests, (memory, request) => memory.mark([request]))
  }

  inspect(key: CacheKey) {
    return this.#serverOf(key).memory.inspect(key)
  }

  nowMs(): number {
    return this.#servers.shard(this.#servers.names[0] as string).primary.memory.nowMs()
  }

  async close(): Promise<void> {}

  #each<Request extends { readonly key: CacheKey }, Reply>(
    requests: readonly Request[],
    act: (memory: MemoryStore, request: Request) => Promise<readonly Reply[]>,
  ): Promise<Reply[]> {
    return Promise.all(
      requests.map(
        async (request) => (await this.#serverOf(request.key).apply(({ memory }) => act(memory, request)))[0] as Reply,
      ),
    )
  }

  #serverOf(key: CacheKey): Server {
    return this.#server(this.#servers.of(key))
  }

  #server(name: string): Server {
    const { primary, former } = this.#servers.shard(name)
    const server = this.stuckOn.has(name) ? (former ?? primary) : primary
    if (server.isDown) throw new Error(`shard ${name} is down`)
    return server
  }

  #state(name: string): ShardState {
    const server = this.#server(name)
    return { server: server.name, isKnown: true, tick: server.ticks.get(this.shards.tickKey(name)) }
  }
}
