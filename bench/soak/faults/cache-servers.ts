import { setTimeout as sleep } from 'node:timers/promises'
import { type RedisServer, startRedis } from '../../../test/support/servers/redis.js'
import { type RedisCluster, startRedisCluster } from '../../../test/support/servers/redis-cluster.js'
import { redisCommand } from '../../../test/support/servers/redis-command.js'
import { waitUntil } from '../../../test/support/servers/wait.js'
import { TcpProxy } from '../../../test/support/tcp-proxy.js'
import type { RedisPlace } from './actor-talk.js'

export type CacheServers = RedisPairServers | RedisClusterServers

export function openCacheServers(cluster: boolean): Promise<CacheServers> {
  return cluster ? RedisClusterServers.start() : RedisPairServers.start()
}

/** A primary and its replica, with a way between them that can be cut, and whose roles change when the replica is promoted. */
export class RedisPairServers {
  readonly isCluster = false
  readonly place: RedisPlace
  /** From the replica to its primary. Without it no fence that was acknowledged would be lost: what a socket holds is applied still. */
  readonly link: TcpProxy
  #primary: RedisServer
  #replica: RedisServer

  private constructor(primary: RedisServer, replica: RedisServer, link: TcpProxy) {
    this.#primary = primary
    this.#replica = replica
    this.link = link
    this.place = { url: primary.url }
  }

  static async start(): Promise<RedisPairServers> {
    const primary = await startRedis({ own: true })
    const link = await TcpProxy.start({ port: primary.port })
    const replica = await startRedis({ own: true, settings: { replicaof: `127.0.0.1 ${link.port}` } })
    const servers = new RedisPairServers(primary, replica, link)
    await servers.untilFollows()
    return servers
  }

  get primary(): RedisServer {
    return this.#primary
  }

  /** Those that answer for keys. */
  get masters(): readonly RedisServer[] {
    return [this.#primary]
  }

  /** The replica takes writes from now on. The old primary knows nothing of it. */
  async promote(): Promise<void> {
    await redisCommand(this.#replica.port, 'REPLICAOF', 'NO', 'ONE')
    ;[this.#primary, this.#replica] = [this.#replica, this.#primary]
  }

  /** Kills the primary; another one without data takes its place after `waitMs`. */
  async replaceEmpty(waitMs: number): Promise<void> {
    await this.#primary.kill()
    await sleep(waitMs)
    await this.#primary.restart()
    // One that began as a replica is started as one.
    await redisCommand(this.#primary.port, 'REPLICAOF', 'NO', 'ONE')
    await this.untilFollows()
  }

  /** Makes the old primary follow the new one, with all that it knew replaced. */
  async reunite(): Promise<void> {
    this.link.pointAt({ port: this.#primary.port })
    this.link.heal()
    this.link.reset()
    await redisCommand(this.#replica.port, 'REPLICAOF', '127.0.0.1', this.link.port)
    await this.untilFollows()
  }

  untilFollows(): Promise<void> {
    return waitUntil('the replica follows', 15_000, async () =>
      (await redisCommand(this.#replica.port, 'INFO', 'replication')).includes('master_link_status:up'),
    )
  }

  async stop(): Promise<void> {
    await this.link.close()
    await Promise.all([this.#replica.stop(), this.#primary.stop()])
  }
}

/** Three masters with a replica each, all of which may change places. */
export class RedisClusterServers {
  readonly isCluster = true
  readonly place: RedisPlace
  readonly #cluster: RedisCluster

  private constructor(cluster: RedisCluster) {
    this.#cluster = cluster
    this.place = { nodes: cluster.startNodes }
  }

  static async start(): Promise<RedisClusterServers> {
    return new RedisClusterServers(await startRedisCluster({ masters: 3, replicas: 1, nodeTimeoutMs: 1_000 }))
  }

  get nodes(): readonly RedisServer[] {
    return this.#cluster.nodes
  }

  /** Everybody: a command that concerns masters does a replica no harm. */
  get masters(): readonly RedisServer[] {
    return this.#cluster.nodes
  }

  /** By what the cluster itself says now. */
  async roles(): Promise<
    { readonly server: RedisServer; readonly isMaster: boolean; readonly id: string; readonly masterId: string }[]
  > {
    return Promise.all(
      this.nodes.map(async (server) => {
        const lines = (await redisCommand(server.port, 'CLUSTER', 'NODES')).split('\n')
        const [id = '', , flags = '', masterId = '-'] = lines.find((line) => line.includes('myself'))?.split(' ') ?? []
        return { server, id, masterId, isMaster: flags.includes('master') }
      }),
    )
  }

  /** A master with slots and a replica of it. */
  async pair(pick: <Item>(items: readonly Item[]) => Item) {
    const roles = await this.roles()
    const pairs = roles.flatMap((master) => {
      const replica = roles.find(({ masterId }) => masterId === master.id)
      return master.isMaster && replica !== undefined
        ? [{ master: master.server, replica: replica.server, id: master.id }]
        : []
    })
    return pick(pairs)
  }

  /** All slots are served and every replica follows. */
  async untilWell(): Promise<void> {
    await waitUntil('the cluster is well', 30_000, async () => {
      for (const { port } of this.nodes) {
        if (!(await redisCommand(port, 'CLUSTER', 'INFO')).includes('cluster_state:ok')) return false
      }
      const roles = await this.roles()
      return roles.filter(({ isMaster }) => isMaster).length === 3
    })
    await sleep(200)
  }

  async stop(): Promise<void> {
    await this.#cluster.stop()
  }
}
