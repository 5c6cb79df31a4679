import { beforeAll, describe, expect, it } from 'vitest'
import { waitUntil } from '../../support/servers/wait.js'
import { openProducts, ShopLab, untilFilled } from '../../support/shop-lab.js'

describe('reads never go back in time, on real servers', () => {
  let shop: ShopLab
  beforeAll(async () => {
    shop = await ShopLab.open()
  })

  /** Another process has committed, but its fence is still on its way: the cache holds the old row. */
  async function fenceOnItsWay() {
    const [writer, reader] = [shop.start({ cache: { deadlineMs: 5_000 } }), shop.start()]
    const { row } = await writer.products.insert({ slug: `walk-${performance.now()}`, price: 1 })
    await reader.products.find(row.id)
    await untilFilled(reader)
    const fence = writer.cache.pause('before fence')
    const writing = writer.products.update(row.id, { price: 2 })
    await fence.reached
    const arrive = async () => {
      fence.resume()
      await writing
    }
    return { reader, id: row.id, slug: row.slug as string, arrive }
  }

  it.each(['find', 'findBy', 'findMany', 'findBy from the database'] as const)(
    'after %s has shown a row, whatever the cache still holds',
    async (how) => {
      const { reader, id, slug, arrive } = await fenceOnItsWay()
      const { products } = reader
      const shown =
        how === 'find'
          ? await products.find(id, { consistency: 'primary' })
          : how === 'findMany'
            ? (await products.findMany([id], { consistency: 'primary' }))[0]
            : await products.findBy({ slug }, how === 'findBy' ? {} : { consistency: 'primary' })
      expect(shown?.price).toBe(2)
      expect((await products.find(id))?.price).toBe(2)
      expect((await products.findBy({ slug }))?.price).toBe(2)
      await arrive()
    },
  )

  it.each(['find from the database', 'findBy', 'findBy from the database', 'find verified'] as const)(
    'after %s has shown a row, whatever this process holds in memory',
    async (how) => {
      const [writer, reader] = [shop.start({ isMute: true }), shop.start({ l1: { maxEntries: 100 } })]
      const { products } = reader
      const { row } = await writer.products.insert({ slug: `held-${performance.now()}`, price: 1 })
      const lookup = { slug: row.slug as string }
      await waitUntil('the row is held in memory', 5_000, async () => {
        await products.find(row.id)
        return reader.events.of('hit').some(({ tier }) => tier === 'l1')
      })
      await writer.products.update(row.id, { price: 2 })
      expect((await products.find(row.id))?.price, 'the message has not arrived').toBe(1)
      const shown =
        how === 'find from the database'
          ? await products.find(row.id, { consistency: 'primary' })
          : how === 'find verified'
            ? await products.find(row.id, { consistency: 'verified' })
            : await products.findBy(lookup, how === 'findBy' ? {} : { consistency: 'primary' })
      expect(shown?.price).toBe(2)
      expect((await products.find(row.id))?.price).toBe(2)
    },
  )

  it('after a read from the database has shown that a row is gone', async () => {
    const [writer, reader] = [shop.start({ isMute: true }), shop.start({ l1: { maxEntries: 100 } })]
    const { products } = reader
    const { row } = await writer.products.insert({ price: 1 })
    await waitUntil('the row is held in memory', 5_000, async () => {
      await products.find(row.id)
      return reader.events.of('hit').some(({ tier }) => tier === 'l1')
    })
    await writer.products.delete(row.id)
    expect(await products.find(row.id, { consistency: 'primary' })).toBeUndefined()
    expect(await products.find(row.id)).toBeUndefined()
  })

  it('after another repository of the table has shown a row', async () => {
    const [writer, reader] = [shop.start({ isMute: true }), shop.start({ l1: { maxEntries: 100 } })]
    const [one, other] = [openProducts(reader.corral), openProducts(reader.corral)]
    const { row } = await writer.products.insert({ price: 1 })
    await waitUntil('the row is held in memory', 5_000, async () => {
      await one.find(row.id)
      return reader.events.of('hit').some(({ tier }) => tier === 'l1')
    })
    await writer.products.update(row.id, { price: 2 })
    expect((await one.find(row.id))?.price, 'the message has not arrived').toBe(1)
    expect((await other.find(row.id))?.price).toBe(2)
    expect((await one.find(row.id))?.price).toBe(2)
  })

  it('after findBy has shown a row of which a refresh knew already', async () => {
    const refresh = { beta: 10, maxEarliness: 0.25, maxLoads: 100 }
    const writer = shop.start({ isMute: true })
    const reader = shop.start({ l1: { maxEntries: 100 }, refresh, ttl: { jitter: 0 } })
    const other = shop.start({ refresh: { beta: 0 } })
    // The newer row ends sooner, so that the refresh does not take it over.
    const freshMs = (found: { readonly price: number }) => (found.price === 1 ? 1_000 : 100)
    const [products, others] = [reader, other].map(({ corral }) =>
      corral.repository('products', { key: 'id', unique: ['slug'], ttl: { freshMs } }),
    ) as [ReturnType<typeof openProducts>, ReturnType<typeof openProducts>]
    const { row } = await writer.products.insert({ slug: `refreshed-${performance.now()}`, price: 1 })
    const lookup = { slug: row.slug as string }
    await products.findBy(lookup, { consistency: 'primary' })
    await waitUntil('the row is held in memory', 5_000, async () => {
      await products.find(row.id)
      return reader.events.of('hit').some(({ tier }) => tier === 'l1')
    })
    await writer.products.update(row.id, { price: 2 })
    const lease = reader.cache.pause('before lease')
    let hasLooked = false
    void lease.reached.then(() => {
      hasLooked = true
    })
    await waitUntil('a refresh of the copy in memory has seen the new row in the cache', 5_000, async () => {
      await others.find(row.id)
      if (!hasLooked) expect((await products.find(row.id))?.price).toBe(1)
      return hasLooked
    })
    expect((await products.findBy(lookup, { consistency: 'primary' }))?.price).toBe(2)
    const then = await products.find(row.id)
    lease.resume()
    expect(then?.price).toBe(2)
  })
})
