import { Cluster } from 'ioredis'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { createCorral } from '../../src/index.js'
import { keySlot } from '../../src/policy/slot-copies.js'
import { Recorder } from '../support/recorder.js'
import { type RedisServer, startRedis } from '../support/servers/redis.js'
import { startRedisCluster } from '../support/servers/redis-cluster.js'
import { redisCommand } from '../support/servers/redis-command.js'
import { waitUntil } from '../support/servers/wait.js'
import { openProducts, openShopDatabase, ShopLab } from '../support/shop-lab.js'

/** Small and certain; `npm run soak` has the same at length, with figures. */
let shop: ShopLab
beforeAll(async () => {
  shop = await ShopLab.open()
})

async function rows(count: number): Promise<number[]> {
  const found = await shop.run(`insert into products (price) select 1 from generate_series(1, ${count}) returning id`)
  return found.map(({ id }) => Number(id))
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

describe('a cache that is lost while many read', () => {
  const CONCURRENCY = 3
  let redis: RedisServer
  beforeAll(async () => {
    redis = await startRedis({ own: true })
  })
  afterAll(() => redis.stop())

  it('the database sees no more statements at once than the gate lets through, and all is well again without a restart', async () => {
    const load = { concurrency: CONCURRENCY, queue: 5, queueMs: 5_000 }
    const process = shop.start({ redisUrl: redis.url, load, cache: { deadlineMs: 200 } })
    const ids = await rows(1_500)
    await process.products.findMany(ids.slice(0, 100))
    const atTheDatabase = await watchDatabase()
    await redis.kill()
    const unlock = await shop.lockProducts()
    const reads: Promise<unknown>[] = []
    let most = 0
    // Those of one moment may be loaded by one statement: more come until the gate is full, and then some.
    for (let at = 0, more = 6; at < ids.length && more > 0; at += 50) {
      reads.push(...ids.slice(at, at + 50).map((id) => process.products.find(id).catch((error) => error.code)))
      await pause(50)
      most = Math.max(most, await atTheDatabase())
      if (most >= CONCURRENCY) more--
    }
    expect(process.corral.stats().loads.running).toBe(CONCURRENCY)
    expect(most).toBe(CONCURRENCY)
    await unlock()
    const refused = (await Promise.all(reads)).filter((answer) => typeof answer === 'string')
    expect(refused.filter((code) => code !== 'OVERLOADED').length, 'only the bounded queue refuses').toBe(0)
    expect(reads.length - refused.length).toBeGreaterThan(0)

    await redis.restart()
    await waitUntil('Redis is used again', 10_000, async () => {
      const before = process.events.count('hit')
      await process.products.find(ids[0] as number)
      return process.events.count('hit') > before
    })
    expect(process.corral.stats()).toMatchObject({ breaker: 'closed', loads: { running: 0, waiting: 0 } })
  }, 40_000)

  it('it is used again as soon as there is a connection, however long it was to be left alone', async () => {
    await redis.restart()
    const process = shop.start({ redisUrl: redis.url, cache: { breakerProbeMs: 60_000 }, l1: { maxEntries: 0 } })
    const [id = 0] = await rows(1)
    const isHit = async () => {
      const before = process.events.count('hit')
      await process.products.find(id)
      return process.events.count('hit') > before
    }
    await waitUntil('Redis holds the row', 10_000, isHit)
    await redis.kill()
    await waitUntil('it is left alone', 10_000, async () => {
      await process.products.find(id)
      return process.corral.stats().breaker === 'open'
    })
    expect((await process.products.update(id, { price: 2 }))?.fence).toBe('pending')
    await redis.restart()
    // Nobody reads meanwhile.
    await waitUntil('what waited has arrived', 10_000, () => process.corral.stats().pendingFences === 0)
    await waitUntil('it answers', 10_000, isHit)
    expect((await process.products.find(id))?.price).toBe(2)
  }, 40_000)

  /** Answers with the SELECTs on the products that somebody waits for now. */
  async function watchDatabase(): Promise<() => Promise<number>> {
    const client = new pg.Client({ connectionString: shop.databaseUrl })
    await client.connect()
    onTestFinished(() => client.end())
    return async () => {
      const found =
        await client.query(`select count(*)::int as n from pg_stat_activity where datname = current_database()
        and pid <> pg_backend_pid() and state = 'active' and query ilike 'select%"products"%'`)
      return found.rows[0].n
    }
  }
})

describe('a master of a cluster that is killed while rows are read and written', () => {
  it('reads keep being answered, and once its replica has taken over nothing is stale', async () => {
    const cluster = await startRedisCluster({ masters: 3, replicas: 1, nodeTimeoutMs: 500 })
    onTestFinished(() => cluster.stop())
    const start = () => {
      const db = openShopDatabase(shop.databaseUrl, 4)
      const redis = new Cluster([...cluster.startNodes], { lazyConnect: true })
      redis.on('error', () => {})
      const events = new Recorder()
      const { namespace } = shop
      const corral = createCorral({ db, redis, namespace, onEvent: events.emit, l1: { maxEntries: 0 } })
      onTestFinished(async () => {
        await corral.close()
        redis.disconnect()
        await db.destroy()
      })
      return { corral, products: openProducts(corral), events }
    }
    const [writer, reader] = [start(), start()]
    const ids = await rows(30)
    await waitUntil('the cluster holds the rows', 10_000, async () => {
      const before = reader.events.count('hit')
      await Promise.all([reader.products.findMany(ids), writer.products.findMany(ids)])
      return reader.events.count('hit') - before === ids.length
    })
    const failures: unknown[] = []
    let isOver = false
    let reads = 0
    let price = 1
    const reading = (async () => {
      for (; !isOver; reads++) {
        await reader.products.findMany(ids).catch((error) => failures.push(error))
        await pause(5)
      }
    })()
    const writing = (async () => {
      while (!isOver) {
        price++
        await Promise.all(ids.map((id) => writer.products.update(id, { price }).catch((error) => failures.push(error))))
      }
    })()
    await pause(200)
    const victim = cluster.masters[0] as RedisServer
    await victim.kill()
    const readsBefore = reads
    const others = cluster.nodes.filter((node) => node !== victim)
    await waitUntil('its replica has taken over', 20_000, async () => {
      const states = await Promise.all(others.map(({ port }) => redisCommand(port, 'CLUSTER', 'INFO')))
      return states.every((state) => state.includes('cluster_state:ok'))
    })
    await waitUntil('reads went on', 10_000, () => reads > readsBefore + 5)
    isOver = true
    await Promise.all([reading, writing])
    expect(failures).toEqual([])
    await waitUntil('all fences have arrived', 15_000, () => writer.corral.stats().pendingFences === 0)
    const fresh = start()
    for (const { products } of [fresh, reader, writer]) {
      const shown = (await products.findMany(ids)).map((row) => row?.price)
      expect(shown).toEqual(ids.map(() => price))
    }
    const before = fresh.events.count('hit')
    await waitUntil('the whole cluster is used again', 10_000, async () => {
      await fresh.products.findMany(ids)
      return fresh.events.count('hit') - before >= ids.length
    })
    expect(new Set(ids.map((id) => keySlot(`${shop.namespace}:{public.products/${id}}`))).size).toBeGreaterThan(5)
  }, 60_000)
})
