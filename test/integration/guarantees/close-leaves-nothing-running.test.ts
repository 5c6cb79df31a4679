import { Redis } from 'ioredis'
import { beforeAll, describe, expect, it } from 'vitest'
import { redisUrl } from '../../support/services.js'
import { ShopLab, type ShopProcess } from '../../support/shop-lab.js'

describe('close leaves nothing running', () => {
  let shop: ShopLab
  beforeAll(async () => {
    shop = await ShopLab.open()
  })

  async function connectionsOf(namespace: string): Promise<number> {
    const redis = new Redis(redisUrl())
    const list = String(await redis.call('CLIENT', 'LIST'))
    redis.disconnect()
    return list.split('\n').filter((line) => line.includes(`corral:${namespace}`)).length
  }

  it('of what it opened: its connections are gone, and the database it was given is not', async () => {
    const namespace = `${shop.namespace}-close`
    const process = shop.start({ namespace })
    const { row } = await process.products.insert({ price: 1 })
    await process.products.find(row.id)
    expect(await connectionsOf(namespace)).toBeGreaterThan(0)
    await process.corral.close()
    await expect.poll(() => connectionsOf(namespace)).toBe(0)
    const rows = await process.db.selectFrom('products').selectAll().where('id', '=', row.id).execute()
    expect(rows).toHaveLength(1)
  })

  it('of fills under way: it waits for them', async () => {
    const process = shop.start({ cache: { deadlineMs: 5_000 } })
    const { row } = await process.products.insert({ price: 1 })
    const fill = process.cache.pause('before fill')
    await process.products.find(row.id)
    await fill.reached
    let closed = false
    const closing = process.corral.close().then(() => {
      closed = true
    })
    await new Promise((resolve) => setTimeout(resolve, 30))
    expect(closed).toBe(false)
    fill.resume()
    await closing
    expect(process.events.of('fill')).toMatchObject([{ outcome: 'filled' }])
  })

  describe('of calls under way: it waits for them', () => {
    async function untilSomebodyWaits(): Promise<void> {
      const waiting = `select from pg_locks where not granted and relation = 'products'::regclass`
      await expect.poll(async () => (await shop.run(waiting)).length, { timeout: 5_000 }).toBe(1)
    }

    type Calls = Record<string, (process: ShopProcess, id: number) => Promise<unknown>>
    const CALLS: Calls = {
      find: ({ products }, id) => products.find(id),
      'find with options': ({ products }, id) => products.find(id, { consistency: 'primary' }),
      findMany: async ({ products }, id) => (await products.findMany([id]))[0],
      findBy: ({ products }, id) => products.findBy({ slug: `slow-${id}` }),
      'a query': async ({ corral }, id) => {
        const query = corral.query('slow', (db) => db.selectFrom('products').selectAll().where('id', '=', id))
        return (await query())[0]
      },
      'a write': async ({ products }, id) => {
        const written = await products.update(id, { price: 2 })
        expect(written?.fence).toBe('fenced')
        return written?.row
      },
      'a transaction': async ({ corral, products }, id) => {
        const { value, fence } = await corral.transaction((tx) => products.in(tx).update(id, { price: 3 }))
        expect(fence).toBe('fenced')
        return value?.row
      },
    }

    it.each(Object.entries(CALLS))('%s', async (_, call) => {
      const process = shop.start()
      const { row } = await process.products.insert({ price: 1 })
      await process.products.update(row.id, { slug: `slow-${row.id}` })
      const unlock = await shop.lockProducts()
      const calling = call(process, row.id)
      await untilSomebodyWaits()
      let closed = false
      const closing = process.corral.close().then(() => {
        closed = true
      })
      await new Promise((resolve) => setTimeout(resolve, 30))
      expect(closed).toBe(false)
      await unlock()
      expect(await calling).toMatchObject({ id: row.id })
      await closing
      // As an application does: nothing needs the database any more.
      await process.db.destroy()
      expect(process.events.count('background.failed')).toBe(0)
    })

    const JUST_BEGUN: Calls = {
      'a write': async ({ products }, id) => (await products.update(id, { price: 2 }))?.fence,
      'a decision': async ({ products }, id) => (await products.mutate(id, () => ({ price: 2 })))?.fence,
      'a transaction of several statements': async ({ corral, products }, id) => {
        const mine = corral.query('mine', (db) => db.selectFrom('products').selectAll().where('id', '=', id))
        const { fence } = await corral.transaction(async (tx) => {
          await products.in(tx).update(id, { price: 2 })
          return products.in(tx).update(id, { price: (await mine(undefined, { tx }))[0]?.price })
        })
        return fence
      },
    }

    it.each(Object.entries(JUST_BEGUN))('%s that has just begun, to its end', async (_, call) => {
      const process = shop.start()
      const { row } = await process.products.insert({ price: 1 })
      const calling = call(process, row.id)
      await process.corral.close()
      expect(await calling).toBe('fenced')
      const [written] = await shop.run(`select price from products where id = ${row.id}`)
      expect(written).toEqual({ price: 2 })
    })

    it('one that waits for the cache', async () => {
      const process = shop.start({ cache: { deadlineMs: 5_000 } })
      const { row } = await process.products.insert({ price: 1 })
      await process.products.find(row.id)
      const looking = process.cache.pause('before read')
      const reading = process.products.find(row.id)
      await looking.reached
      const closing = process.corral.close()
      looking.resume()
      expect(await reading).toEqual(row)
      await closing
    })

    it('but not for ever', async () => {
      const process = shop.start({ load: { hardTimeoutMs: 200 } })
      const { row } = await process.products.insert({ price: 1 })
      const unlock = await shop.lockProducts()
      const writing = process.products.update(row.id, { price: 2 })
      await untilSomebodyWaits()
      const startedMs = performance.now()
      await process.corral.close()
      expect(performance.now() - startedMs).toBeGreaterThan(190)
      await unlock()
      expect((await writing)?.fence).toBe('pending')
    })
  })

  it('of pending fences: it tries them a last time', async () => {
    const [process, other] = [shop.start(), shop.start()]
    const { row } = await process.products.insert({ price: 1 })
    await other.products.find(row.id)
    process.cache.breakNext('fence', 'fail')
    expect((await process.products.update(row.id, { price: 2 }))?.fence).toBe('pending')
    await process.corral.close()
    expect((await other.products.find(row.id))?.price).toBe(2)
  })

  it('and refuses every call afterwards, except another close', async () => {
    const { corral, products } = shop.start()
    const { row } = await products.insert({ price: 1 })
    const closing = corral.close()
    await expect(products.find(row.id)).rejects.toMatchObject({ code: 'CLOSED' })
    await expect(products.update(row.id, { price: 2 })).rejects.toMatchObject({ code: 'CLOSED' })
    await expect(corral.transaction(async () => 1)).rejects.toMatchObject({ code: 'CLOSED' })
    expect(() => corral.repository('products', { key: 'id' })).toThrow('closed')
    await closing
    await corral.close()
  })

  it('also when it was never used', async () => {
    const { corral } = shop.start()
    await corral.close()
  })
})
