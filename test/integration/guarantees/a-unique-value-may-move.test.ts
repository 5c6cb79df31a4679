import { beforeAll, describe, expect, it } from 'vitest'
import { ShopLab, untilFilled } from '../../support/shop-lab.js'

describe('a unique value may move between rows', () => {
  let shop: ShopLab
  beforeAll(async () => {
    shop = await ShopLab.open()
  })

  it('and is found at the new one, in every process', async () => {
    const [writer, reader] = [shop.start(), shop.start()]
    const [a, b] = [await writer.products.insert({ slug: 'wanderer' }), await writer.products.insert({ slug: 'other' })]
    for (const { products } of [writer, reader])
      expect((await products.findBy({ slug: 'wanderer' }))?.id).toBe(a.row.id)
    await writer.products.update(a.row.id, { slug: null })
    for (const { products } of [writer, reader]) expect(await products.findBy({ slug: 'wanderer' })).toBeUndefined()
    await writer.products.update(b.row.id, { slug: 'wanderer' })
    for (const { products } of [writer, reader]) {
      expect((await products.findBy({ slug: 'wanderer' }))?.id).toBe(b.row.id)
      expect(await products.findBy({ slug: 'other' })).toBeUndefined()
    }
  })

  it('also when both rows change places in one transaction', async () => {
    const [writer, reader] = [shop.start(), shop.start()]
    const [a, b] = [await writer.products.insert({ slug: 'left' }), await writer.products.insert({ slug: 'right' })]
    await reader.products.findBy({ slug: 'left' })
    await reader.products.findBy({ slug: 'right' })
    await writer.corral.transaction(async (tx) => {
      const inside = writer.products.in(tx)
      await inside.update(a.row.id, { slug: null })
      await inside.update(b.row.id, { slug: 'left' })
      await inside.update(a.row.id, { slug: 'right' })
    })
    for (const { products } of [writer, reader]) {
      expect((await products.findBy({ slug: 'left' }))?.id).toBe(b.row.id)
      expect((await products.findBy({ slug: 'right' }))?.id).toBe(a.row.id)
    }
  })

  it('also when SQL outside moved it: the pointer is checked against the row it leads to', async () => {
    const [writer, reader] = [shop.start(), shop.start()]
    const [a, b] = [await writer.products.insert({ slug: 'moved' }), await writer.products.insert({ price: 1 })]
    await reader.products.findBy({ slug: 'moved' })
    await untilFilled(reader)
    await shop.run(`update products set slug = null where id = ${a.row.id}`)
    await shop.run(`update products set slug = 'moved' where id = ${b.row.id}`)
    // As the relay would, once the row itself is known to have changed.
    await reader.products.find(a.row.id, { consistency: 'refresh' })
    expect((await reader.products.findBy({ slug: 'moved' }))?.id).toBe(b.row.id)
  })

  it('with a column that the database computes from it', async () => {
    const [writer, reader] = [shop.start(), shop.start()]
    const { row } = await writer.products.insert({ slug: 'First' })
    expect(await reader.products.findBy({ slug_key: 'second' })).toBeUndefined()
    expect((await reader.products.findBy({ slug_key: 'first' }))?.id).toBe(row.id)
    await untilFilled(reader, 2)
    await writer.products.update(row.id, { slug: 'Second' })
    for (const { products } of [writer, reader]) {
      expect((await products.findBy({ slug_key: 'second' }))?.id).toBe(row.id)
      expect(await products.findBy({ slug_key: 'first' })).toBeUndefined()
    }
  })
})
