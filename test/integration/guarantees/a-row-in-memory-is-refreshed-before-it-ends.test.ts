import { beforeAll, describe, expect, it } from 'vitest'
import { ShopLab } from '../../support/shop-lab.js'

/** A quarter of it is what a refresh has, on a busy machine too. */
const TTL_MS = 2_000

describe('a row in memory is refreshed before it ends', () => {
  let shop: ShopLab
  beforeAll(async () => {
    shop = await ShopLab.open()
  })

  it('behind the readers whom this process answers by itself', async () => {
    const { products, events } = shop.start({
      l1: { maxEntries: 10 },
      ttl: { freshMs: TTL_MS, jitter: 0 },
      // As early as a quarter of the TTL, so that a busy machine has its time for it.
      refresh: { beta: 10, maxLoads: 100 },
    })
    const { row } = await products.insert({ slug: 'near', price: 1 })
    const untilMs = Date.now() + 3 * TTL_MS
    let reads = 0
    for (; Date.now() < untilMs; reads++) {
      expect((await products.find(row.id))?.price).toBe(1)
      await new Promise((resolve) => setTimeout(resolve, 2))
    }
    const near = events.of('hit').filter(({ tier }) => tier === 'l1').length
    expect(near, 'nearly all of them').toBeGreaterThan(0.9 * reads)
    const refreshes = events.of('fill').filter(({ reason }) => reason === 'refresh').length
    expect(refreshes).toBeGreaterThanOrEqual(2)
    expect(events.of('load').length, 'nobody had to wait for a load but the first').toBe(1 + refreshes)
  })
})
