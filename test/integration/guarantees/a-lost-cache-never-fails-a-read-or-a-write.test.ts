import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type RedisServer, startRedis } from '../../support/servers/redis.js'
import { waitUntil } from '../../support/servers/wait.js'
import { ShopLab, type ShopProcess } from '../../support/shop-lab.js'

const DEADLINE_MS = 100
const PRODUCTS = 20
/** A query, and what a busy machine adds to it. */
const QUERY_MS = 500

describe('a lost cache never fails a read or a write, on real servers', () => {
  let shop: ShopLab
  let redis: RedisServer
  beforeAll(async () => {
    shop = await ShopLab.open()
  })
  beforeEach(async () => {
    redis = await startRedis({ own: true })
  })
  afterAll(() => redis.stop())

  const start = (): ShopProcess => shop.start({ redisUrl: redis.url, cache: { deadlineMs: DEADLINE_MS } })

  /** Two processes that have the same products cached. */
  async function warm() {
    const [writer, reader] = [start(), start()]
    const ids: number[] = []
    for (let i = 0; i < PRODUCTS; i++) ids.push((await writer.products.insert({ price: 1 })).row.id)
    await reader.products.findMany(ids)
    await waitUntil('all are cached', 5_000, async () => {
      reader.events.story()
      await reader.products.findMany(ids)
      return reader.events.count('hit') === PRODUCTS
    })
    return { writer, reader, ids }
  }

  async function timed<Value>(act: () => Promise<Value>): Promise<[Value, number]> {
    const startedMs = performance.now()
    const value = await act()
    return [value, performance.now() - startedMs]
  }

  /** Everything that was told late has been told, and no process shows anything old. */
  async function expectRecovery({ writer, reader, ids }: Awaited<ReturnType<typeof warm>>, price: number) {
    await waitUntil('the cache is used again', 10_000, async () => {
      // A call is what finds out that the cache is back.
      await Promise.all([writer, reader].map(({ products }) => products.findMany(ids)))
      return [writer, reader].every(({ corral }) => corral.stats().breaker === 'closed')
    })
    await waitUntil('all fences have arrived', 10_000, async () => writer.corral.stats().pendingFences === 0)
    const late = start()
    for (const { products } of [writer, reader, late]) {
      for (const id of ids) expect((await products.find(id))?.price).toBe(price)
    }
  }

  it('stopped by SIGSTOP: reads take the deadline and a query, writes are pending; nothing stale is left', async () => {
    const all = await warm()
    const { writer, reader, ids } = all
    redis.freeze()
    const [first, firstMs] = await timed(() => reader.products.find(ids[0] as number))
    expect(first?.price).toBe(1)
    expect(firstMs).toBeLessThan(DEADLINE_MS + QUERY_MS)
    const [found, foundMs] = await timed(() => reader.products.findMany(ids))
    expect(found.every((row) => row?.price === 1)).toBe(true)
    expect(foundMs).toBeLessThan(DEADLINE_MS + QUERY_MS)

    for (const id of ids) {
      const [written, writtenMs] = await timed(() => writer.products.update(id, { price: 2 }))
      expect(written?.fence).toBe('pending')
      expect(writtenMs).toBeLessThan(DEADLINE_MS + QUERY_MS)
      expect((await writer.products.find(id))?.price, 'own writes are read').toBe(2)
    }
    expect(writer.corral.stats().breaker).toMatch(/open/)
    expect(writer.corral.stats().pendingFences).toBeGreaterThanOrEqual(PRODUCTS)
    redis.thaw()
    await expectRecovery(all, 2)
  })

  it('killed: reads are answered by the database, writes are pending; nothing stale is left', async () => {
    const all = await warm()
    const { writer, reader, ids } = all
    await redis.kill()
    const [found, foundMs] = await timed(() => reader.products.findMany(ids))
    expect(found.every((row) => row?.price === 1)).toBe(true)
    expect(foundMs).toBeLessThan(DEADLINE_MS + QUERY_MS)
    for (const id of ids) {
      expect((await writer.products.update(id, { price: 2 }))?.fence).toBe('pending')
      expect((await reader.products.find(id))?.price, 'without a cache there is nothing stale').toBe(2)
    }
    await redis.restart()
    await expectRecovery(all, 2)
  })

  it('stopped in the middle of traffic: no read and no write fails, and nothing stale is left', async () => {
    const all = await warm()
    const { writer, reader, ids } = all
    let price = 1
    let stop = false
    const failures: unknown[] = []
    const reading = (async () => {
      while (!stop) await reader.products.findMany(ids).catch((error) => failures.push(error))
    })()
    const writing = (async () => {
      while (!stop) {
        price++
        for (const id of ids) await writer.products.update(id, { price }).catch((error) => failures.push(error))
      }
    })()
    const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))
    for (let round = 0; round < 3; round++) {
      await sleep(100)
      redis.freeze()
      await sleep(150)
      redis.thaw()
    }
    stop = true
    await Promise.all([reading, writing])
    expect(failures).toEqual([])
    await expectRecovery(all, price)
  })
})
