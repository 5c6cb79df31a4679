import { beforeAll, describe, expect, it } from 'vitest'
import { ShopLab, untilFilled } from '../../support/shop-lab.js'

describe('a paused fill never resurrects an old row, on real servers', () => {
  let shop: ShopLab
  beforeAll(async () => {
    shop = await ShopLab.open()
  })

  it('when it stores after the row was changed and fenced', async () => {
    const [reader, writer] = [shop.start(), shop.start()]
    const { row } = await writer.products.insert({ price: 1 })
    const fill = reader.cache.pause('before fill')
    expect((await reader.products.find(row.id))?.price).toBe(1)
    await fill.reached

    expect((await writer.products.update(row.id, { price: 2 }))?.fence).toBe('fenced')
    fill.resume()
    await untilFilled(reader)

    expect(reader.events.of('fill')).toMatchObject([{ outcome: expect.stringMatching(/lease-lost|unavailable/) }])
    expect((await writer.products.find(row.id))?.price).toBe(2)
    expect((await reader.products.find(row.id))?.price).toBe(2)
  })

  it('when it wakes after its lease has ended and another process has filled', async () => {
    const lease = { minMs: 20, maxMs: 40, waitMs: 1_000 }
    const [sleeper, other] = [shop.start({ lease }), shop.start({ lease })]
    const { row } = await other.products.insert({ price: 1 })
    const fill = sleeper.cache.pause('before fill')
    await sleeper.products.find(row.id)
    await fill.reached
    await shop.run(`update products set price = 2 where id = ${row.id}`)
    expect((await other.products.find(row.id))?.price, 'waits for the end of the lease and takes it over').toBe(2)
    await untilFilled(other)
    fill.resume()
    await untilFilled(sleeper)
    expect((await other.products.find(row.id))?.price).toBe(2)
    expect((await sleeper.products.find(row.id))?.price).toBe(2)
  })

  it('when two writers fence in the other order than they committed', async () => {
    const [first, second, reader] = [shop.start(), shop.start(), shop.start()]
    const { row } = await first.products.insert({ price: 1 })
    await reader.products.find(row.id)
    await untilFilled(reader)
    const fence = first.cache.pause('before fence')
    const writing = first.products.update(row.id, { price: 2 })
    await fence.reached
    await second.products.update(row.id, { price: 3 })
    expect((await reader.products.find(row.id))?.price).toBe(3)
    await untilFilled(reader, 2)
    fence.resume()
    await writing
    for (const { products } of [first, second, reader]) expect((await products.find(row.id))?.price).toBe(3)
  })
})
