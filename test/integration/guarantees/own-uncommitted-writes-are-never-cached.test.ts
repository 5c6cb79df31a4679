import { beforeAll, describe, expect, it } from 'vitest'
import { ShopLab } from '../../support/shop-lab.js'

describe('own uncommitted writes are never cached', () => {
  let shop: ShopLab
  beforeAll(async () => {
    shop = await ShopLab.open()
  })

  it('by reads inside the transaction: they ask the database and leave the cache alone', async () => {
    const [writer, reader] = [shop.start(), shop.start()]
    const { row } = await writer.products.insert({ slug: 'tea', price: 1 })
    writer.cache.calls.length = 0
    await writer.corral
      .transaction(async (tx) => {
        const inside = writer.products.in(tx)
        await inside.update(row.id, { price: 2 })
        expect((await inside.find(row.id))?.price).toBe(2)
        expect((await inside.findMany([row.id, -1])).map((each) => each?.price)).toEqual([2, undefined])
        expect((await inside.findBy({ slug: 'tea' }))?.price).toBe(2)
        expect((await inside.lock(row.id))?.price).toBe(2)
        expect(writer.cache.calls, 'nothing was asked of the cache').toEqual([])
        expect((await reader.products.find(row.id))?.price).toBe(1)
        throw new Error('roll back')
      })
      .catch(() => {})
    expect(writer.cache.calls).toEqual([])
    expect((await writer.products.find(row.id))?.price).toBe(1)
    expect((await reader.products.find(row.id))?.price).toBe(1)
  })

  it('by reads beside the transaction, which see what is committed', async () => {
    const process = shop.start()
    const { row } = await process.products.insert({ price: 1 })
    await process.corral.transaction(async (tx) => {
      await process.products.in(tx).update(row.id, { price: 2 })
      expect((await process.products.find(row.id))?.price).toBe(1)
    })
    expect((await process.products.find(row.id))?.price).toBe(2)
  })

  it('and rows inside are frozen like all others', async () => {
    const process = shop.start()
    const { row } = await process.products.insert({ price: 1 })
    await process.corral.transaction(async (tx) => {
      const found = await process.products.in(tx).find(row.id)
      expect(Object.isFrozen(found)).toBe(true)
      expect(Object.isFrozen(found?.details)).toBe(true)
    })
  })

  it('and a transaction that has ended, or is not ours, is refused', async () => {
    const process = shop.start()
    const ended = await process.corral.transaction(async (tx) => tx)
    expect(() => process.products.in(ended.value)).toThrow('a transaction that is still running')
    await process.db.transaction().execute(async (tx) => {
      expect(() => process.products.in(tx as never)).toThrow('corral.transaction()')
    })
  })
})
