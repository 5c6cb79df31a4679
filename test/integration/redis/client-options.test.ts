import { Cluster, Redis, type RedisOptions } from 'ioredis'
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { openConnection, type RedisClient } from '../../../src/adapters/redis/connection.js'
import { type RedisServer, startRedis, startRedisWithReplica } from '../../support/servers/redis.js'
import { redisCommand } from '../../support/servers/redis-command.js'
import { startRedisSentinel } from '../../support/servers/redis-sentinel.js'
import { waitUntil } from '../../support/servers/wait.js'
import { ShopLab, untilCached } from '../../support/shop-lab.js'
import { TcpProxy } from '../../support/tcp-proxy.js'

let shop: ShopLab
beforeAll(async () => {
  shop = await ShopLab.open()
})

/** A process whose application made its client like this. */
function start(options: Omit<RedisOptions, 'replyMapping'>) {
  return shop.startOver(new Redis({ ...options, lazyConnect: true }))
}

async function sentinelOf({ port }: RedisServer) {
  const sentinel = await startRedisSentinel([{ name: 'main', port, quorum: 1 }])
  onTestFinished(() => sentinel.stop())
  return sentinel
}

describe("of the application's client is not inherited", () => {
  it('that sentinels are asked for a replica, which shows what was overwritten', async () => {
    const { primary, replica, stop } = await startRedisWithReplica()
    onTestFinished(stop)
    const { host, port } = await sentinelOf(primary)
    await waitUntil('the sentinel knows of the replica', 20_000, async () =>
      (await redisCommand(port, 'SENTINEL', 'replicas', 'main')).includes(String(replica.port)),
    )
    const writer = start({ port: primary.port })
    const reader = start({ sentinels: [{ host, port }], name: 'main', role: 'slave' })
    const { id } = (await writer.products.insert({ price: 1 })).row
    await untilCached(writer, id)
    await untilCached(reader, id)
    // From now on the replica hears of nothing.
    await redisCommand(replica.port, 'REPLICAOF', '127.0.0.1', '1')
    expect((await writer.products.update(id, { price: 2 }))?.fence).toBe('fenced')
    expect((await reader.products.find(id))?.price).toBe(2)
    expect((await reader.products.update(id, { price: 3 }))?.fence).toBe('fenced')
  }, 60_000)

  it('that it gives up when no sentinel answers', async () => {
    const redis = await startRedis({ own: true })
    onTestFinished(() => redis.stop())
    const way = await TcpProxy.start({ port: (await sentinelOf(redis)).port })
    onTestFinished(() => way.close())
    const sentinels = [{ host: '127.0.0.1', port: way.port }]
    let givesUp = 0
    const sentinelRetryStrategy = () => void givesUp++
    const process = start({ sentinels, name: 'main', updateSentinels: false, sentinelRetryStrategy })
    const { id } = (await process.products.insert({ price: 1 })).row
    await untilCached(process, id)
    way.set({ refuse: true })
    await redis.restart()
    await waitUntil('it is asked for in vain', 5_000, async () => {
      await process.products.find(id)
      return process.events.count('cache.unavailable') > 0
    })
    expect((await process.products.update(id, { price: 2 }))?.fence).toBe('pending')
    way.heal()
    await waitUntil('the fence has arrived', 10_000, () => process.corral.stats().pendingFences === 0)
    await untilCached(process, id)
    expect(givesUp).toBe(0)
  }, 60_000)

  it('that what a cluster is asked waits for what it was asked before', () => {
    const client = new Cluster([{ port: 1 }], { lazyConnect: true, enableAutoPipelining: true })
    const connection = openConnection(client as RedisClient, 'commands')
    connection.disconnect()
    expect((connection as unknown as Cluster).options.enableAutoPipelining).toBe(false)
  })
})

it('a server that has become a replica is left for the one that its name leads to now, though it keeps its connections', async () => {
  const { primary, replica, stop } = await startRedisWithReplica()
  onTestFinished(stop)
  const name = await TcpProxy.start({ port: primary.port })
  onTestFinished(() => name.close())
  const process = start({ port: name.port })
  const { id } = (await process.products.insert({ price: 1 })).row
  await untilCached(process, id)
  await redisCommand(replica.port, 'REPLICAOF', 'NO', 'ONE')
  await redisCommand(primary.port, 'REPLICAOF', '127.0.0.1', replica.port)
  const written = await process.products.update(id, { price: 2 })
  expect(written?.fence, 'the name still leads to it').toBe('pending')
  name.pointAt({ port: replica.port })
  await waitUntil('the fence has arrived', 10_000, () => process.corral.stats().pendingFences === 0)
  expect((await start({ port: replica.port }).products.find(id))?.price).toBe(2)
  await untilCached(process, id)
  expect((await process.products.update(id, { price: 3 }))?.fence).toBe('fenced')
}, 60_000)
