import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { guardKey } from '../../../src/core/key.js'
import { redisUrl } from '../../support/services.js'
import { productKey, ShopLab, untilFilled } from '../../support/shop-lab.js'

type Put = (redis: Redis, key: string) => Promise<unknown>

const OTHER_TYPES: Record<string, Put> = {
  'a list': (redis, key) => redis.rpush(key, 'a'),
  'a set': (redis, key) => redis.sadd(key, 'a'),
  'a hash': (redis, key) => redis.hset(key, { a: '1' }),
  'a sorted set': (redis, key) => redis.zadd(key, 1, 'a'),
  'a stream': (redis, key) => redis.xadd(key, '*', 'a', '1'),
}
const STRINGS: Record<string, [Put, 'foreign' | 'format' | 'corrupt']> = {
  'an empty string': [(redis, key) => redis.set(key, ''), 'foreign'],
  'JSON of a hand-written cache': [(redis, key) => redis.set(key, '{"id":1,"price":666}'), 'foreign'],
  'an entry of a later format': [(redis, key) => redis.set(key, `C9${'0'.repeat(200)}`), 'format'],
  'an entry cut short': [(redis, key) => redis.set(key, 'C11795207238000'), 'corrupt'],
  '1 MB of noise': [(redis, key) => redis.set(key, Buffer.alloc(1_000_000, 0xff)), 'foreign'],
}

describe('foreign bytes are a miss and an event, on real servers', () => {
  let shop: ShopLab
  const redis = new Redis(redisUrl())
  beforeAll(async () => {
    shop = await ShopLab.open()
  })
  afterAll(() => redis.disconnect())

  const keyOf = (id: number) => productKey(shop.namespace, id)

  it.each(Object.keys(OTHER_TYPES))('%s where an entry should be', async (type) => {
    const process = shop.start()
    const { row } = await process.products.insert({ price: 1 })
    await OTHER_TYPES[type]?.(redis, keyOf(row.id))
    expect((await process.products.find(row.id))?.price).toBe(1)
    await untilFilled(process)
    expect(process.events.count('cache.unavailable')).toBe(0)
    expect((await process.products.find(row.id))?.price).toBe(1)
    expect(process.events.count('hit'), 'replaced by an entry').toBe(1)
  })

  it.each(Object.entries(STRINGS))('%s where an entry should be', async (_, [put, reason]) => {
    const process = shop.start()
    const { row } = await process.products.insert({ price: 1 })
    await put(redis, keyOf(row.id))
    expect((await process.products.find(row.id))?.price).toBe(1)
    expect(process.events.of('entry.unreadable')).toMatchObject([{ key: keyOf(row.id), reason }])
    await untilFilled(process)
    expect((await process.products.find(row.id))?.price).toBe(1)
    expect(process.events.count('hit'), 'replaced by an entry').toBe(1)
  })

  it('an entry of which one byte was changed', async () => {
    const process = shop.start()
    const { row } = await process.products.insert({ price: 1 })
    await process.products.find(row.id)
    await untilFilled(process)
    const length = await redis.strlen(keyOf(row.id))
    // Magic and format say what it is; the fill time is the store's own and bears no checksum.
    for (let at = 15; at < length; at += 7) {
      process.events.story()
      const byte = (await redis.getrangeBuffer(keyOf(row.id), at, at))[0] as number
      await redis.setrange(keyOf(row.id), at, Buffer.from([byte ^ 1]))
      expect((await process.products.find(row.id))?.price).toBe(1)
      expect(process.events.of('entry.unreadable').length, `byte ${at}`).toBe(1)
      await untilFilled(process)
    }
  })

  it.each(Object.keys(OTHER_TYPES))('%s where a guard should be: reads and writes go on', async (type) => {
    const process = shop.start()
    const { row } = await process.products.insert({ price: 1 })
    const put = OTHER_TYPES[type] as Put
    await put(redis, guardKey(keyOf(row.id)))
    expect((await process.products.find(row.id))?.price).toBe(1)
    await untilFilled(process)
    await redis.del(guardKey(keyOf(row.id)))
    await put(redis, guardKey(keyOf(row.id)))
    expect((await process.products.update(row.id, { price: 2 }))?.fence).toBe('fenced')
    expect((await process.products.find(row.id))?.price).toBe(2)
    expect(process.events.count('cache.unavailable')).toBe(0)
  })
})
