import { beforeAll, describe, expect, it } from 'vitest'
import { ShopLab, untilFilled } from '../../support/shop-lab.js'

describe('an old snapshot is never cached', () => {
  let shop: ShopLab
  beforeAll(async () => {
    shop = await ShopLab.open()
  })

  it('by a REPEATABLE READ transaction that goes on seeing what was', async () => {
    const [reader, writer] = [shop.start(), shop.start()]
    const { row } = await writer.products.insert({ slug: 'old', price: 1 })
    await reader.corral.transaction(
      async (tx) => {
        const inside = reader.products.in(tx)
        expect((await inside.find(row.id))?.price).toBe(1)
        await writer.products.update(row.id, { price: 2 })
        await writer.products.insert({ id: 1_000, price: 9 })

        expect((await inside.find(row.id))?.price, 'its snapshot').toBe(1)
        expect((await inside.findBy({ slug: 'old' }))?.price).toBe(1)
        expect(await inside.find(1_000)).toBeUndefined()
        for (const { products } of [reader, writer]) {
          expect((await products.find(row.id))?.price).toBe(2)
          expect((await products.find(1_000))?.price).toBe(9)
        }
        expect((await inside.find(row.id))?.price, 'still its snapshot').toBe(1)
      },
      { isolationLevel: 'repeatable read' },
    )
    for (const { products } of [reader, writer]) {
      expect((await products.find(row.id))?.price).toBe(2)
      expect((await products.find(1_000))?.price).toBe(9)
    }
  })

  it('nor does a write in one leave anything behind that the server then refuses', async () => {
    const [reader, writer] = [shop.start(), shop.start()]
    const { row } = await writer.products.insert({ price: 1 })
    await reader.products.find(row.id)
    await untilFilled(reader)
    const failing = reader.corral.transaction(
      async (tx) => {
        await reader.products.in(tx).find(row.id)
        await writer.products.update(row.id, { price: 2 })
        await reader.products.in(tx).update(row.id, { price: 3 })
      },
      { isolationLevel: 'repeatable read' },
    )
    await expect(failing).rejects.toMatchObject({ code: '40001' })
    for (const { products } of [reader, writer]) expect((await products.find(row.id))?.price).toBe(2)
  })
})
