import { Redis } from 'ioredis'
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { outboxTable, outboxTables } from '../../../src/migrations.js'
import { compareAtRest } from '../../../src/testing.js'
import { type RedisServer, startRedis } from '../../support/servers/redis.js'
import { waitUntil } from '../../support/servers/wait.js'
import { openShopDatabase, ShopLab, type ShopProcess } from '../../support/shop-lab.js'
import { TcpProxy } from '../../support/tcp-proxy.js'

const ROWS = 100
const TABLES = [{ table: 'products', key: 'id', unique: ['slug', 'slug_key'] }]

describe('close() under load loses no fence', () => {
  let shop: ShopLab
  let redis: RedisServer
  let namespaces = 0

  beforeAll(async () => {
    shop = await ShopLab.open()
    const db = openShopDatabase(shop.databaseUrl, 1)
    await outboxTables().up(db)
    await outboxTable({ table: 'products', key: 'id', unique: ['slug', 'slug_key'] }).up(db)
    await db.destroy()
    redis = await startRedis({ own: true })
    return () => redis.stop()
  })

  /** A process about to end, and the rows that Redis holds when it begins to. */
  async function open(redisUrl = redis.url) {
    const namespace = `${shop.namespace}-${++namespaces}`
    const process = shop.start({ namespace, redisUrl, cache: { deadlineMs: 1_000, fenceDeadlineMs: 300 } })
    const rows = await shop.run(`insert into products (price) select 1 from generate_series(1, ${ROWS}) returning id`)
    const ids = rows.map(({ id }) => Number(id))
    await waitUntil('Redis holds the rows', 10_000, async () => {
      const before = process.events.count('hit')
      await process.products.findMany(ids)
      return process.events.count('hit') - before === ROWS
    })
    return { namespace, process, ids }
  }

  /** Writes all rows at once and closes as soon as some of them have committed. */
  async function closeWhileWriting({ products, corral }: ShopProcess, ids: readonly number[]) {
    let settled = 0
    const writes = ids.map((id) => products.update(id, { price: 2 }).finally(() => settled++))
    await waitUntil('some are written', 10_000, () => settled > 0 || corral.stats().pendingFences > 0)
    const startedMs = performance.now()
    await corral.close()
    const tookMs = performance.now() - startedMs
    return { outcomes: await Promise.all(writes), tookMs }
  }

  async function differingAtRest(namespace: string) {
    const db = openShopDatabase(shop.databaseUrl, 1)
    const client = new Redis(redis.url)
    onTestFinished(async () => {
      client.disconnect()
      await db.destroy()
    })
    const { records } = await compareAtRest({ db, redis: client, namespace, tables: TABLES })
    return { compared: records.length, differing: records.filter(({ version, stored }) => version !== stored) }
  }

  it('it finishes what is under way, without any relay', async () => {
    const { namespace, process, ids } = await open()
    // One of them stays as it is: there is something to compare.
    const { outcomes } = await closeWhileWriting(process, ids.slice(1))
    expect(outcomes.map((outcome) => outcome?.row.price)).toEqual(outcomes.map(() => 2))
    const { compared, differing } = await differingAtRest(namespace)
    expect(differing).toEqual([])
    expect(compared).toBeGreaterThan(0)
    await expect(process.products.find(1)).rejects.toMatchObject({ code: 'CLOSED' })
  })

  it('what Redis does not take is left to the relay, and does not hold the process up', async () => {
    const proxy = await TcpProxy.start({ port: redis.port })
    onTestFinished(() => proxy.close())
    const { namespace, process, ids } = await open(proxy.through(redis.url))
    // A server that is only stopped would still read what was sent to it, once it goes on.
    await proxy.set({ blackHole: 'both' })
    const { outcomes, tookMs } = await closeWhileWriting(process, ids)
    expect(new Set(outcomes.map((outcome) => outcome?.fence))).toEqual(new Set(['pending']))
    // Bounded by what is waited for at most: a fence's time, once more for the last try.
    expect(tookMs).toBeLessThan(5_000)
    expect((await differingAtRest(namespace)).differing, 'the old rows are there, and nobody else knows').not.toEqual(
      [],
    )

    const relay = shop.start({ namespace, redisUrl: redis.url, relay: true })
    await waitUntil('no old row is left', 10_000, async () => (await differingAtRest(namespace)).differing.length === 0)
    expect(relay.corral.stats().durability).toBeDefined()
  })
})
