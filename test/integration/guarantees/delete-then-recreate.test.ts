import { beforeAll, describe, expect, it } from 'vitest'
import { ShopLab, untilFilled } from '../../support/shop-lab.js'

describe('delete, then re-create, on real servers', () => {
  let shop: ShopLab
  beforeAll(async () => {
    shop = await ShopLab.open()
  })

  it('shows each state as soon as it was fenced, in every process', async () => {
    const [writer, reader] = [shop.start(), shop.start()]
    const { row } = await writer.products.insert({ slug: 'phoenix', price: 1 })
    const everywhere = async () =>
      Promise.all(
        [writer, reader].flatMap(({ products }) => [products.find(row.id), products.findBy({ slug: 'phoenix' })]),
      )
    for (let price = 2; price < 8; price++) {
      expect((await everywhere()).map((each) => each?.price)).toEqual([price - 1, price - 1, price - 1, price - 1])
      expect((await writer.products.delete(row.id))?.fence).toBe('fenced')
      expect(await everywhere()).toEqual([undefined, undefined, undefined, undefined])
      const again = await writer.products.insert({ id: row.id, slug: 'phoenix', price })
      expect(BigInt(again.version as string)).toBeGreaterThan(BigInt(row.corral_version))
    }
  })

  it.each(['row', 'absence'])('leaves nothing of the %s that a paused fill brings late', async (late) => {
    const [writer, reader] = [shop.start(), shop.start()]
    const { row } = await writer.products.insert({ price: 1 })
    if (late === 'absence') await writer.products.delete(row.id)
    const fill = reader.cache.pause('before fill')
    await reader.products.find(row.id)
    await fill.reached
    if (late === 'row') await writer.products.delete(row.id)
    await writer.products.insert({ id: row.id, price: 2 })
    fill.resume()
    await untilFilled(reader)
    for (const { products } of [writer, reader]) expect((await products.find(row.id))?.price).toBe(2)
  })

  it('caches the new row: its stamp is not below the fence of the delete', async () => {
    const [writer, reader] = [shop.start(), shop.start()]
    const { row } = await writer.products.insert({ price: 1 })
    await reader.products.find(row.id)
    await writer.products.delete(row.id)
    await writer.products.insert({ id: row.id, price: 2 })
    await reader.products.find(row.id)
    await untilFilled(reader, 2)
    expect(reader.events.of('fill').at(-1)).toMatchObject({ outcome: 'filled' })
  })
})
