import type { Clock } from '../../../src/core/clock.js'
import { type CacheKey, tickKey } from '../../../src/core/key.js'
import { keySlot } from '../../../src/policy/slot-copies.js'
import { RedisServer } from './server.js'

const NAMESPACE = 'shop'
const SLOTS = 16_384

interface Shard {
  readonly name: string
  primary: RedisServer
  /** Was primary until the last failover, and may still answer whoever has not heard of it. */
  former: RedisServer | undefined
  generation: number
}

/** The servers of the cache: one or more shards, each with a replica where there may be a failover. */
export class RedisServers {
  readonly #clock: Clock
  readonly #hasReplicas: boolean
  readonly #formerLagMs: () => number | undefined
  readonly #shards: Shard[]
  readonly #names = new Map<CacheKey, string>()

  /** @param formerLagMs how far behind a former primary will follow; undefined: it will not. Asked for each that may become one. */
  constructor(clock: Clock, shards: number, hasReplicas: boolean, formerLagMs: () => number | undefined) {
    this.#clock = clock
    this.#hasReplicas = hasReplicas
    this.#formerLagMs = formerLagMs
    this.#shards = Array.from({ length: shards }, (_, nth) => {
      const name = `shard-${nth + 1}`
      return { name, primary: this.#server(name, 0), former: undefined, generation: 1 }
    })
  }

  get names(): readonly string[] {
    return this.#shards.map(({ name }) => name)
  }

  shard(name: string): Shard {
    return this.#shards.find((each) => each.name === name) as Shard
  }

  get primaries(): readonly RedisServer[] {
    return this.#shards.map(({ primary }) => primary)
  }

  tickKey(name: string): CacheKey {
    return tickKey(NAMESPACE, this.names.indexOf(name) + 1)
  }

  of(key: CacheKey): string {
    const known = this.#names.get(key)
    if (known !== undefined) return known
    const name = this.#placeOf(key)
    this.#names.set(key, name)
    return name
  }

  #placeOf(key: CacheKey): string {
    const tick = /:(\d+)\}:tick$/.exec(key)?.[1]
    const at = tick === undefined ? Math.floor((keySlot(key) * this.#shards.length) / SLOTS) : Number(tick) - 1
    return (this.#shards[at] as Shard).name
  }

  /** What the primary acknowledges from now on does not reach its replica, which is returned. */
  cutReplica(name: string): RedisServer {
    const { primary } = this.shard(name)
    const replica = primary.replica as RedisServer
    primary.replica = undefined
    return replica
  }

  /** @returns whether the former primary follows the new one from now on; otherwise it goes on as if nothing had happened. */
  promote(name: string, replica: RedisServer): boolean {
    const shard = this.shard(name)
    shard.former = replica.follower ?? shard.primary
    shard.primary.replica = undefined
    shard.primary = replica
    shard.generation++
    replica.replica = new RedisServer(this.#clock, `${name}.${shard.generation}`)
    return replica.follower !== undefined
  }

  /** All that it held is gone. */
  restart(name: string): void {
    const shard = this.shard(name)
    shard.generation += 10
    shard.primary = this.#server(name, shard.generation)
  }

  #server(shard: string, generation: number): RedisServer {
    const server = new RedisServer(this.#clock, `${shard}.${generation}`)
    if (this.#hasReplicas) server.replica = new RedisServer(this.#clock, `${shard}.${generation + 1}`)
    const lagMs = this.#formerLagMs()
    // As if it were another one already: a former primary that follows has all that the new one has, and nothing else.
    if (lagMs !== undefined) server.replica?.followedBy(new RedisServer(this.#clock, `${server.name}-following`), lagMs)
    return server
  }
}
