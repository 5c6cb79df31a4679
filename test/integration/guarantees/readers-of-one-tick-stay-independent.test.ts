import { Buffer } from 'node:buffer'
import { Redis } from 'ioredis'
import { beforeAll, describe, expect, it } from 'vitest'
import { createCorral } from '../../../src/index.js'
import { freshNamespace, redisUrl } from '../../support/services.js'
import { openShopDatabase, ShopLab, untilFilled } from '../../support/shop-lab.js'

/** They share a look and a load (`engine/looks`), and nothing else. */
describe('readers of one tick stay independent', () => {
  let shop: ShopLab
  beforeAll(async () => {
    shop = await ShopLab.open()
    await shop.run(`create table photos (id int primary key, bytes bytea); insert into photos values (1, '\\x0102')`)
  })

  it('in the bytes they are given, loaded and cached', async () => {
    const db = openShopDatabase(shop.databaseUrl).withTables<{ photos: { id: number; bytes: Buffer } }>()
    const redis = new Redis(redisUrl())
    let fills = 0
    const onEvent = ({ type }: { type: string }) => type === 'fill' && fills++
    const corral = createCorral({ db, redis, namespace: freshNamespace(), cache: { deadlineMs: 1_000 }, onEvent })
    // Without memory, an entry that has not changed is recognized; what is in it must not be handed out twice even so.
    const photos = corral.repository('photos', { key: 'id', version: false, l1: false })
    for (const round of ['loaded', 'cached', 'cached still']) {
      const readings = Array.from({ length: 3 }, () => photos.find(1))
      for (const reading of readings) {
        const bytes = (await reading)?.bytes
        expect(bytes, `${round}: as nobody has changed it`).toEqual(Buffer.from([1, 2]))
        bytes?.fill(0)
      }
      await expect.poll(() => fills).toBe(1)
    }
    await corral.close()
    redis.disconnect()
    await db.destroy()
  })

  it('in how long they wait: a signal ends the read it was given to, and no other', async () => {
    const { products, cache, events } = shop.start()
    const { row } = await products.insert({ slug: 'signal', price: 1 })
    const look = cache.pause('before read')
    const controller = new AbortController()
    const aborted = products.find(row.id, { signal: controller.signal })
    const [other, free] = [products.find(row.id, { signal: new AbortController().signal }), products.find(row.id)]
    await look.reached
    controller.abort(new Error('enough'))
    await expect(aborted).rejects.toThrow('enough')
    look.resume()
    expect([(await other)?.price, (await free)?.price]).toEqual([1, 1])
    expect(events.count('load'), 'the load was shared and has gone on').toBe(1)
  })

  it('also one whose signal has been aborted before', async () => {
    const { products, cache } = shop.start()
    const { row } = await products.insert({ slug: 'aborted', price: 1 })
    cache.breakAlways('hang', ['read'])
    const signal = AbortSignal.abort(new Error('enough of this'))
    await expect(products.find(row.id, { signal })).rejects.toThrow('enough of this')
    await expect(products.findMany([row.id], { signal })).rejects.toThrow('enough of this')
    cache.heal()
  })

  it('in what they have to be shown: a session is never behind what it wrote elsewhere', async () => {
    const [here, there] = [shop.start(), shop.start({ isMute: true })]
    const { row } = await here.products.insert({ slug: 'session', price: 1 })
    await here.products.find(row.id)
    await untilFilled(here)
    const session = there.corral.session()
    there.cache.breakAlways('fail', ['fence'])
    expect((await there.products.update(row.id, { price: 2 }, { session }))?.fence).toBe('pending')
    const [plain, mine] = [
      here.products.find(row.id),
      here.products.find(row.id, { session: here.corral.session(session.token) }),
    ]
    expect((await mine)?.price).toBe(2)
    expect((await plain)?.price, 'this process knows of it now').toBe(2)
    there.cache.heal()
  })
})
