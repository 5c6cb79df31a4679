import { Buffer } from 'node:buffer'
import type { MemoryStore } from '../../../src/adapters/memory/memory-store.js'
import type { CacheKey } from '../../../src/core/key.js'
import type {
  CacheStore,
  FenceRequest,
  FillRequest,
  LeaseRequest,
  MarkRequest,
  ReleaseRequest,
  ShardState,
  StoredBytes,
  StoredState,
  StoreShards,
} from '../../../src/core/ports.js'
import type { Host } from '../host.js'
import type { Scheduler } from '../scheduler.js'
import { type Latency, Wire } from '../wire.js'
import type { RedisServer } from './server.js'
import type { RedisServers } from './servers.js'

/** What befalls a call: it never arrives, only after the caller has been told that it failed, or its answer is lost. */
export type CommandFault = 'lost' | 'late' | 'unanswered'

export type Operation = 'read' | 'lease' | 'fill' | 'release' | 'fence' | 'mark'

/** What a server was asked, and by whom, when the command arrived there. */
export interface Arrival {
  readonly by: string
  readonly operation: Operation
  readonly key: CacheKey
  readonly request: unknown
  readonly reply: unknown
  /** What lay under the key before and what lies there since. */
  readonly before: StoredBytes | null
  readonly after: StoredBytes | null
}

/** The way of one process to one shard, both directions. */
interface Line {
  readonly there: Wire
  readonly back: Wire
  /** Those who wait for a reply. */
  readonly waiting: Set<(error: Error) => void>
}

/** How long after its connection a command may still arrive that was in a buffer somewhere. */
const LATEST_MS = 500
/** How long after its caller has given it up a single command arrives, at most. */
const LATE_MS = 150
/** As ioredis says it. */
const CLOSED = 'Connection is closed.'
/** As Redis says it. */
const READONLY = "READONLY You can't write against a read only replica."
/** Share of calls whose commands do not travel together. */
const SPLIT_SHARE = 0.1

/**
 * `CacheStore` as one process has it: a connection to each shard, over which commands arrive in the order they were sent, unless the
 * connection is lost between them. Commands of one call are commands of their own: others' may come between.
 */
export class RedisConnection implements CacheStore {
  readonly shards: StoreShards
  /** Shards whose former primary this process still takes for the primary. */
  readonly isolatedFrom = new Set<string>()
  readonly #scheduler: Scheduler
  readonly #host: Host
  readonly #servers: RedisServers
  readonly #latency: Latency
  readonly #clockErrorMs: number
  readonly #onArrival: (arrival: Arrival) => void
  readonly #faultOf: () => CommandFault | undefined
  readonly #lines = new Map<string, Line>()

  constructor(options: {
    scheduler: Scheduler
    host: Host
    servers: RedisServers
    latency: Latency
    /** By how much this process' idea of the store's clock is wrong. */
    clockErrorMs: number
    onArrival: (arrival: Arrival) => void
    /** Asked for each call. */
    faultOf: () => CommandFault | undefined
  }) {
    this.#scheduler = options.scheduler
    this.#host = options.host
    this.#servers = options.servers
    this.#latency = options.latency
    this.#clockErrorMs = options.clockErrorMs
    this.#onArrival = options.onArrival
    this.#faultOf = options.faultOf
    const { servers } = options
    this.shards = {
      list: () => servers.names,
      of: (key) => servers.of(key),
      tickKey: (shard) => servers.tickKey(shard),
      takeMoves: () => [],
      look: (shard) => this.#ask(shard, async (server) => this.#state(shard, server)),
      tick: (shard, text, name) =>
        this.#ask(shard, async (server) => {
          if (server.isReadOnly) throw new Error(READONLY)
          if (server.name === name) server.setTick(servers.tickKey(shard), text)
          return this.#state(shard, server)
        }),
      scan: (shard) => this.#ask(shard, async ({ keys }) => ({ keys, next: null })),
    }
  }

  read(keys: readonly CacheKey[]): Promise<(StoredBytes | null)[]> {
    const requests = keys.map((key) => ({ key }))
    return this.#each('read', requests, async ({ key }, server): Promise<StoredBytes | null> => {
      const tick = server.ticks.get(key)
      if (tick !== undefined) return Buffer.from(tick)
      return server.run(key, async (store) => (await store.read([key]))[0] as StoredBytes | null)
    })
  }

  lease(requests: readonly LeaseRequest[]) {
    return this.#each(
      'lease',
      requests,
      onFirst((store, request) => store.lease([request])),
    )
  }

  fill(requests: readonly FillRequest[]) {
    return this.#each(
      'fill',
      requests,
      onFirst((store, request) => store.fill([request])),
    )
  }

  async release(requests: readonly ReleaseRequest[]): Promise<void> {
    await this.#each('release', requests, (request, server) =>
      server.run(request.key, (store) => store.release([request])),
    )
  }

  fence(requests: readonly FenceRequest[]) {
    return this.#each(
      'fence',
      requests,
      onFirst((store, request) => store.fence([request])),
    )
  }

  mark(requests: readonly MarkRequest[]) {
    return this.#each(
      'mark',
      requests,
      onFirst((store, request) => store.mark([request])),
    )
  }

  inspect(key: CacheKey): Promise<StoredState> {
    return this.#ask(this.#servers.of(key), (server) => server.run(key, (store) => store.inspect(key)))
  }

  nowMs(): number {
    return this.#host.clock.wallMs() - this.#host.wallSkewMs + this.#clockErrorMs
  }

  async close(): Promise<void> {}

  /** Nothing gets through for so long, in either direction; then it does. */
  stall(ms: number): void {
    for (const { there, back } of this.#lines.values()) {
      there.stall(ms)
      back.stall(ms)
    }
  }

  /** The connections are gone. Of what was on its way some arrives later, the rest never; its callers learn that it failed. */
  reset(shard?: string): void {
    for (const [name, { there, back, waiting }] of this.#lines) {
      if (shard !== undefined && name !== shard) continue
      there.cut(() => (this.#scheduler.happens(0.5) ? this.#scheduler.between(0, LATEST_MS) : undefined))
      back.cut(() => undefined)
      const unanswered = [...waiting]
      waiting.clear()
      const fail = () => {
        for (const reject of unanswered) reject(new Error(CLOSED))
      }
      this.#scheduler.after(this.#scheduler.between(0, 5), () => this.#host.receive(fail))
    }
  }

  /** Commands to one shard travel together, and others' may come between them all the same. */
  async #each<Request extends { readonly key: CacheKey }, Reply>(
    operation: Operation,
    requests: readonly Request[],
    run: (command: Request, server: RedisServer) => Promise<Reply>,
  ): Promise<Reply[]> {
    const replies: Reply[] = []
    const parts = new Map<string, number[]>()
    requests.forEach(({ key }, at) => {
      const name = this.#servers.of(key)
      parts.set(name, [...(parts.get(name) ?? []), at])
    })
    const sendings: Promise<void>[] = []
    for (const [shard, part] of parts) {
      const isSplit = part.length > 1 && this.#scheduler.happens(SPLIT_SHARE)
      for (const batch of isSplit ? part.map((at) => [at]) : [part]) {
        const command = async (server: RedisServer) => {
          if (server.isReadOnly && operation !== 'read') throw new Error(READONLY)
          for (const at of batch) {
            const request = requests[at] as Request
            const { key } = request
            // Begun in this order, and all of them read or written before anything else can come between.
            const [before, reply, after] = [server.stored(key), run(request, server), server.stored(key)]
            replies[at] = await reply
            const stored = { before: await before, after: await after }
            this.#onArrival({ by: this.#host.name, operation, key, request, reply: replies[at], ...stored })
          }
        }
        sendings.push(this.#ask(shard, command))
      }
    }
    await Promise.all(sendings)
    return replies
  }

  #ask<Reply>(shard: string, run: (server: RedisServer) => Promise<Reply>): Promise<Reply> {
    const line = this.#line(shard)
    const fault = this.#faultOf()
    return new Promise((resolve, reject) => {
      line.waiting.add(reject)
      const arrive = () => {
        const { primary, former } = this.#servers.shard(shard)
        const server = this.isolatedFrom.has(shard) ? (former ?? primary) : primary
        if (server.isDown) return
        void run(server).then((reply) => {
          if (fault !== undefined) return
          line.back.send(() =>
            this.#host.receive(() => {
              if (line.waiting.delete(reject)) resolve(reply)
            }, line),
          )
        }, reject)
      }
      if (fault === 'late') line.there.sendAside(arrive, this.#scheduler.between(2, LATE_MS))
      else if (fault !== 'lost') line.there.send(arrive)
      if (fault === undefined) return
      const fail = () => {
        if (line.waiting.delete(reject)) reject(new Error(CLOSED))
      }
      this.#scheduler.after(this.#scheduler.between(1, 8), () => this.#host.receive(fail, line))
    })
  }

  #line(shard: string): Line {
    const known = this.#lines.get(shard)
    if (known) return known
    const line = {
      there: new Wire(this.#scheduler, this.#latency),
      back: new Wire(this.#scheduler, this.#latency),
      waiting: new Set<(error: Error) => void>(),
    }
    this.#lines.set(shard, line)
    return line
  }

  #state(shard: string, server: RedisServer): ShardState {
    return { server: server.name, isKnown: true, tick: server.ticks.get(this.#servers.tickKey(shard)) }
  }
}

/** A command of one request, on the store of its key. */
function onFirst<Request extends { readonly key: CacheKey }, Reply>(
  command: (store: MemoryStore, request: Request) => Promise<readonly Reply[]>,
) {
  return (request: Request, server: RedisServer): Promise<Reply> =>
    server.run(request.key, async (store) => (await command(store, request))[0] as Reply)
}
