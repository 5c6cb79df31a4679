import { Redis } from 'ioredis'
import { beforeAll, describe, expect, it } from 'vitest'
import { redisUrl } from '../../support/services.js'
import { ShopLab } from '../../support/shop-lab.js'

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
