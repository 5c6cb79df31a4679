import { beforeAll, describe, expect, it } from 'vitest'
import { ShopLab, untilFilled } from '../../support/shop-lab.js'

describe('an absence never hides an insert, on real servers', () => {
  let shop: ShopLab
  beforeAll(async () => {
    shop = await ShopLab.open()
  })

  it.each(['insert', 'upsert'] as const)('by key and by unique column, made by %s', async (how) => {
    const [reader, writer] = [shop.start(), shop.start()]
    const id = how === 'insert' ? 5_001 : 5_002
    const slug = `by-${how}`
    for (const { products } of [reader, writer]) {
      expect(await products.find(id)).toBeUndefined()
      expect(await products.findBy({ slug })).toBeUndefined()
      expect(await products.findBy({ slug_key: slug })).toBeUndefined()
    }
    await untilFilled(reader, 3)
    await writer.products[how]({ id, slug, price: 1 })
    for (const { products } of [reader, writer]) {
      expect((await products.find(id))?.price).toBe(1)
      expect((await products.findBy({ slug }))?.id).toBe(id)
      expect((await products.findBy({ slug_key: slug }))?.id).toBe(id)
    }
  })

  it('whose fill of the absence is under way', async () => {
    const [reader, writer] = [shop.start(), shop.start()]
    const fill = reader.cache.pause('before fill')
    expect(await reader.products.findBy({ slug: 'late' })).toBeUndefined()
    await fill.reached
    const { row } = await writer.products.insert({ slug: 'late', price: 1 })
    fill.resume()
    await untilFilled(reader)
    for (const { products } of [reader, writer]) expect((await products.findBy({ slug: 'late' }))?.id).toBe(row.id)
  })
})
