import { beforeAll, describe, expect, it } from 'vitest'
import { ShopLab, untilFilled } from '../../support/shop-lab.js'

describe('rows are frozen', () => {
  let shop: ShopLab
  beforeAll(async () => {
    shop = await ShopLab.open()
  })

  it.each([0, 100])('whoever hands them out, with %i rows held in memory', async (maxEntries) => {
    const process = shop.start({ l1: { maxEntries } })
    const { products, corral } = process
    const inserted = await products.insert({ slug: `frozen-${maxEntries}`, price: 1 })
    const { id } = inserted.row
    const loaded = await products.find(id)
    await untilFilled(process)
    const cached = await products.find(id)
    const held = await products.find(id)
    const [many] = await products.findMany([id])
    const looked = await products.findBy({ slug: `frozen-${maxEntries}` })
    const primary = await products.find(id, { consistency: 'primary' })
    const updated = await products.update(id, { price: 2 })
    const upserted = await products.upsert({ id, price: 3 })
    const mutated = await products.mutate(id, (row) => {
      expect(Object.isFrozen(row)).toBe(true)
      return { price: row.price + 1 }
    })
    const { value: inside } = await corral.transaction((tx) => products.in(tx).find(id))
    const deleted = await products.delete(id)
    const rows = { loaded, cached, held, many, looked, primary, inside, inserted: inserted.row }
    for (const [where, row] of Object.entries({
      ...rows,
      updated: updated?.row,
      upserted: upserted.row,
      mutated: mutated?.row,
      deleted: deleted?.row,
    })) {
      expect(row, where).toBeDefined()
      expect(Object.isFrozen(row), where).toBe(true)
      const details = row?.details as { tags: string[] }
      expect(Object.isFrozen(details) && Object.isFrozen(details.tags), `${where}: all the way down`).toBe(true)
    }
  })
})
