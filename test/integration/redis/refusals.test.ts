import { Cluster } from 'ioredis'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { guardKey } from '../../../src/core/key.js'
import { keySlot } from '../../../src/policy/slot-copies.js'
import { type RedisServer, startRedis } from '../../support/servers/redis.js'
import { type RedisCluster, startRedisCluster } from '../../support/servers/redis-cluster.js'
import { redisCommand } from '../../support/servers/redis-command.js'
import { moveSlots } from '../../support/servers/reshard.js'
import { waitUntil } from '../../support/servers/wait.js'
import { redisClusterNodes } from '../../support/services.js'
import { productKey, ShopLab, type ShopProcess, untilCached } from '../../support/shop-lab.js'

/** `npm run soak -- --cluster --faults resharding` moves a thousand at a time. */
const SLOTS = 100

/** A process as these tests need it, on one server or on a cluster. */
type Process = Pick<ShopProcess, 'corral' | 'products' | 'events'>

let shop: ShopLab
beforeAll(async () => {
  shop = await ShopLab.open()
})

/** A row of that price which Redis holds. */
async function cached(process: Process, price = 1): Promise<number> {
  const id = (await process.products.insert({ price })).row.id
  await untilCached(process, id)
  return id
}

/** Why the cache was not used, as somebody was told. */
function said({ events }: Process): Set<string> {
  return new Set(events.of('cache.unavailable').map(({ error }) => (error as Error).message ?? String(error)))
}

/** While it lasts: reads are answered by the database, writes commit and are pending, and somebody is told why. Afterwards: as before. */
async function survives(process: Process, refusal: RegExp, begin: () => Promise<void>, end: () => Promise<void>) {
  const held = await cached(process)
  const cold = (await process.products.insert({ price: 7 })).row.id
  await begin()
  try {
    process.events.events.length = 0
    const written = await process.products.update(held, { price: 2 })
    expect(written?.fence).toBe('pending')
    expect((await process.products.find(held))?.price, 'own write').toBe(2)
    expect((await process.products.find(cold))?.price, 'cold row').toBe(7)
    expect([...said(process)].join()).toMatch(refusal)
    for (let price = 3; price < 6; price++)
      expect((await process.products.update(held, { price }))?.fence).toBe('pending')
    expect((await process.products.find(held))?.price).toBe(5)
  } finally {
    await end()
  }
  await waitUntil('every fence has arrived', 10_000, () => process.corral.stats().pendingFences === 0)
  await untilCached(process, held)
  expect((await process.products.find(held))?.price).toBe(5)
  expect((await process.products.update(held, { price: 9 }))?.fence).toBe('fenced')
  expect((await process.products.find(held))?.price).toBe(9)
}

describe('what one Redis may refuse', () => {
  let redis: RedisServer
  beforeAll(async () => {
    redis = await startRedis({ own: true })
  })
  afterAll(() => redis.stop())
  const start = () => shop.start({ redisUrl: redis.url, cache: { deadlineMs: 500, fenceDeadlineMs: 1_000 } })
  const ask = async (name: string, ...values: (string | number)[]) =>
    void (await redisCommand(redis.port, name, ...values))

  it('NOSCRIPT: the script is sent along, and nobody notices', async () => {
    const process = start()
    const id = await cached(process)
    await ask('SCRIPT', 'FLUSH')
    expect((await process.products.update(id, { price: 2 }))?.fence).toBe('fenced')
    await ask('SCRIPT', 'FLUSH')
    await untilCached(process, id)
    expect((await process.products.find(id))?.price).toBe(2)
    expect(process.events.of('cache.unavailable')).toEqual([])
  })

  it('LOADING: it reads its data from disk, and says so to everybody', async () => {
    const process = start()
    await ask('DEBUG', 'POPULATE', 3_000, 'loading', 2_000)
    await ask('CONFIG', 'SET', 'loading-process-events-interval-bytes', 1_024)
    let loading: Promise<unknown> = Promise.resolve()
    await survives(
      process,
      /LOADING/,
      async () => {
        await ask('CONFIG', 'SET', 'key-load-delay', 1_000)
        // Answers when all is loaded, which is later than anybody waits for an answer.
        loading = ask('DEBUG', 'RELOAD').catch(() => {})
        await waitUntil('it loads', 5_000, async () =>
          (await redisCommand(redis.port, 'INFO', 'persistence').catch(() => '')).includes('loading:1'),
        )
      },
      async () => {
        await loading
        await waitUntil('it has loaded', 20_000, async () => (await redisCommand(redis.port, 'PING')) === 'PONG')
        await ask('CONFIG', 'SET', 'key-load-delay', 0)
        await ask('FLUSHALL')
      },
    )
  })

  it('READONLY: it follows another', async () => {
    const primary = await startRedis({ own: true })
    onTestFinished(() => primary.stop())
    await survives(
      start(),
      /READONLY/,
      async () => {
        await ask('REPLICAOF', '127.0.0.1', primary.port)
        await waitUntil('it follows', 10_000, async () =>
          (await redisCommand(redis.port, 'INFO', 'replication')).includes('master_link_status:up'),
        )
      },
      () => ask('REPLICAOF', 'NO', 'ONE'),
    )
  })

  it('OOM: it is full and may not evict, but what is old goes', async () => {
    const [process, reader] = [start(), start()]
    const held = await cached(process)
    const cold = (await process.products.insert({ price: 7 })).row.id
    const slug = (await process.products.update(held, { slug: 'tea' }))?.row.slug as string
    await untilCached(process, held)
    expect((await reader.products.findBy({ slug }))?.price).toBe(1)
    await ask('CONFIG', 'SET', 'maxmemory', '1')
    onTestFinished(() => ask('CONFIG', 'SET', 'maxmemory', '0'))
    for (let price = 2; price < 5; price++) {
      expect((await process.products.update(held, { price, slug: `tea ${price}` }))?.fence).toBe('fenced')
      expect((await reader.products.find(held))?.price).toBe(price)
      expect(await reader.products.findBy({ slug })).toBeUndefined()
    }
    expect((await reader.products.find(cold))?.price, 'what cannot be stored').toBe(7)
    expect(process.corral.stats().pendingFences).toBe(0)
    expect([...said(reader)].join()).toMatch(/OOM/)
    await ask('CONFIG', 'SET', 'maxmemory', '0')
    await untilCached(reader, held)
    expect((await reader.products.find(held))?.price).toBe(4)
  })

  it('NOREPLICAS: it has lost its replicas and takes no writes', async () => {
    await survives(
      start(),
      /NOREPLICAS/,
      () => ask('CONFIG', 'SET', 'min-replicas-to-write', '1'),
      () => ask('CONFIG', 'SET', 'min-replicas-to-write', '0'),
    )
  })

  it('NOPERM: this user may not run scripts', async () => {
    await survives(
      start(),
      /NOPERM/,
      () => ask('ACL', 'SETUSER', 'default', '-@scripting'),
      () => ask('ACL', 'SETUSER', 'default', '+@all'),
    )
  })

  it('NOAUTH: it wants a password that this client has not', async () => {
    await survives(
      start(),
      /NOAUTH|no answer within|[Cc]onnect|Stream/,
      async () => {
        await ask('CONFIG', 'SET', 'requirepass', 'secret')
        await redisCommandAs(redis.port, 'secret', 'CLIENT', 'KILL', 'TYPE', 'normal')
      },
      async () => {
        await redisCommandAs(redis.port, 'secret', 'CONFIG', 'SET', 'requirepass', '')
      },
    )
  })
})

/** One command by somebody who knows the password. */
async function redisCommandAs(port: number, password: string, name: string, ...values: string[]): Promise<void> {
  const { Redis } = await import('ioredis')
  const redis = new Redis(port, '127.0.0.1', { password, maxRetriesPerRequest: 0 })
  redis.on('error', () => {})
  try {
    await redis.call(name, ...values)
  } finally {
    redis.disconnect()
  }
}

describe('what a cluster may refuse', () => {
  let cluster: RedisCluster
  beforeAll(async () => {
    cluster = await startRedisCluster({ masters: 3 })
  })
  afterAll(() => cluster.stop())

  function start(): Process {
    const redis = new Cluster([...cluster.startNodes], { lazyConnect: true })
    return shop.startOver(redis, { deadlineMs: 500, fenceDeadlineMs: 1_000 })
  }

  const rowKey = (id: number) => productKey(shop.namespace, id)
  const on = (port: number, name: string, ...values: (string | number)[]) => redisCommand(port, name, ...values)

  async function ownerOf(slot: number): Promise<{ readonly source: RedisServer; readonly target: RedisServer }> {
    const all = String(await on(cluster.nodes[0]?.port as number, 'CLUSTER', 'NODES')).split('\n')
    const owns = all.find((line) =>
      line
        .split(' ')
        .slice(8)
        .some((range) => {
          const [first = 0, last = first] = range.split('-').map(Number)
          return first <= slot && slot <= last
        }),
    )
    const source = cluster.nodes.find(({ port }) => owns?.includes(`:${port}@`)) as RedisServer
    return { source, target: cluster.nodes.find((node) => node !== source) as RedisServer }
  }

  /** The slot of a row is on its way to another node, and these keys of it are there already. */
  async function migrating(id: number, ...keys: string[]) {
    const slot = keySlot(rowKey(id))
    const { source, target } = await ownerOf(slot)
    const ids = { source: await on(source.port, 'CLUSTER', 'MYID'), target: await on(target.port, 'CLUSTER', 'MYID') }
    await on(target.port, 'CLUSTER', 'SETSLOT', slot, 'IMPORTING', ids.source)
    await on(source.port, 'CLUSTER', 'SETSLOT', slot, 'MIGRATING', ids.target)
    if (keys.length > 0)
      await on(source.port, 'MIGRATE', '127.0.0.1', target.port, '', 0, 1_000, 'REPLACE', 'KEYS', ...keys)
    return {
      finish: async () => {
        const rest = cluster.nodes.filter((node) => node !== target && node !== source)
        const left = await listOn(source.port, 'CLUSTER', 'GETKEYSINSLOT', slot, 100)
        if (left.length > 0)
          await on(source.port, 'MIGRATE', '127.0.0.1', target.port, '', 0, 1_000, 'REPLACE', 'KEYS', ...left)
        for (const { port } of [target, source, ...rest]) await on(port, 'CLUSTER', 'SETSLOT', slot, 'NODE', ids.target)
      },
    }
  }

  async function listOn(port: number, name: string, ...values: (string | number)[]): Promise<string[]> {
    return (await on(port, name, ...values)).split(',').filter((text) => text !== '')
  }

  it('ASK and MOVED: the row is where the slot is going, or has gone', async () => {
    const process = start()
    const id = await cached(process)
    const move = await migrating(id, rowKey(id))
    process.events.events.length = 0
    expect((await process.products.find(id))?.price).toBe(1)
    await move.finish()
    expect((await process.products.find(id))?.price).toBe(1)
    expect((await process.products.update(id, { price: 2 }))?.fence).toBe('fenced')
    expect((await process.products.find(id))?.price).toBe(2)
    expect(process.events.of('cache.unavailable')).toEqual([])
  })

  it('TRYAGAIN: of entry and guard one has gone and the other has not', async () => {
    const process = start()
    const id = await cached(process)
    // A lease leaves a guard behind, so that there are two keys to be torn apart.
    const guard = guardKey(rowKey(id))
    const { source } = await ownerOf(keySlot(rowKey(id)))
    const guards = (await listOn(source.port, 'CLUSTER', 'GETKEYSINSLOT', keySlot(rowKey(id)), 100)).filter(
      (key) => key !== rowKey(id),
    )
    if (guards.length === 0) await on(source.port, 'HSET', guard, 'x', '1')
    const move = await migrating(id, rowKey(id))
    process.events.events.length = 0
    expect((await process.products.update(id, { price: 2 }))?.fence).toBe('fenced')
    expect((await process.products.find(id))?.price).toBe(2)
    await move.finish()
    await untilCached(process, id)
    expect((await process.products.find(id))?.price).toBe(2)
  })

  it('CLUSTERDOWN: some slots belong to nobody', async () => {
    const process = start()
    const first = cluster.nodes[0] as RedisServer
    const id = await cached(process)
    const { source } = await ownerOf(keySlot(rowKey(id)))
    const slot = keySlot(rowKey(id))
    await survives(
      process,
      /CLUSTERDOWN|no answer within/,
      async () => {
        // Again until all have forgotten it: a node that has not yet tells the others whose it is.
        await waitUntil('it is down', 10_000, async () => {
          await Promise.all(cluster.nodes.map(({ port }) => on(port, 'CLUSTER', 'DELSLOTS', slot).catch(() => '')))
          return (await on(first.port, 'CLUSTER', 'INFO')).includes('cluster_state:fail')
        })
      },
      async () => {
        await on(source.port, 'CLUSTER', 'ADDSLOTS', slot)
        await waitUntil('it is up', 10_000, async () => {
          const states = await Promise.all(cluster.nodes.map(({ port }) => on(port, 'CLUSTER', 'INFO')))
          return states.every((state) => state.includes('cluster_state:ok'))
        })
      },
    )
  })

  it('slots move while they are read and written: no error, nothing stale', async () => {
    const process = start()
    const reader = start()
    const ids: number[] = []
    for (let at = 0; at < 60; at++) ids.push((await process.products.insert({ price: 0 })).row.id)
    const [from, to] = cluster.masters as [RedisServer, RedisServer]
    const acknowledged = new Map(ids.map((id) => [id, 0]))
    const failures: unknown[] = []
    let reads = 0
    let stale = 0
    let isMoving = true
    const traffic = [
      (async () => {
        for (let price = 1; isMoving; price++) {
          for (const id of ids) {
            const written = await process.products.update(id, { price }).catch((error) => void failures.push(error))
            if (written?.fence === 'fenced') acknowledged.set(id, price)
          }
        }
      })(),
      (async () => {
        while (isMoving) {
          const least = new Map(acknowledged)
          const rows = await reader.products.findMany(ids).catch((error) => void failures.push(error))
          for (const [at, id] of ids.entries()) {
            reads++
            if ((rows?.[at]?.price ?? -1) < (least.get(id) ?? 0)) stale++
          }
        }
      })(),
    ]
    // Of 16,384 slots few hold a row: those that do are among them.
    const including = ids.map((id) => keySlot(rowKey(id)))
    const ports = cluster.nodes.map(({ port }) => port)
    const moved = await moveSlots({ nodes: ports, from: from.port, to: to.port, count: SLOTS, including })
    isMoving = false
    await Promise.all(traffic)
    expect(moved).toBe(SLOTS)
    expect(reads, 'of every row at least once').toBeGreaterThanOrEqual(ids.length)
    expect(failures).toEqual([])
    expect(stale).toBe(0)
  }, 60_000)
})

describe('CROSSSLOT: a client for one server, led to a node of a cluster', () => {
  it('gets no cache and is told; the database answers', async () => {
    const [node] = redisClusterNodes() as [{ host: string; port: number }]
    const process = shop.start({ redisUrl: `redis://${node.host}:${node.port}` })
    const ids: number[] = []
    for (let price = 0; price < 12; price++) {
      const { row, fence } = await process.products.insert({ price })
      ids.push(row.id)
      expect(['fenced', 'pending']).toContain(fence)
    }
    const rows = await process.products.findMany(ids)
    expect(rows.map((row) => row?.price)).toEqual(ids.map((_, price) => price))
    expect([...said(process)].join()).toMatch(/CROSSSLOT|MOVED/)
  })
})
