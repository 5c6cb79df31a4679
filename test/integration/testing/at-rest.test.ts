import { Cluster, Redis } from 'ioredis'
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { createCorral } from '../../../src/client.js'
import { copyKey } from '../../../src/core/key.js'
import { copySuffix } from '../../../src/policy/slot-copies.js'
import { compareAtRest } from '../../../src/testing/at-rest.js'
import { checkHistory } from '../../../src/testing/check-history.js'
import { History } from '../../../src/testing/history.js'
import { Observer } from '../../../src/testing/observer.js'
import { freshNamespace, redisClusterNodes, redisUrl } from '../../support/services.js'
import { openShopDatabase, ShopLab, type ShopProcess, untilFilled } from '../../support/shop-lab.js'

const TABLES = [{ table: 'products', key: 'id', unique: ['slug', 'slug_key'] }]

describe('what is at rest', () => {
  let shop: ShopLab
  beforeAll(async () => {
    shop = await ShopLab.open()
  })

  /** A process that has three rows, one absence and one absent lookup cached. */
  async function filled() {
    const namespace = freshNamespace()
    const process = shop.start({ namespace })
    const ids: number[] = []
    for (const name of ['tea', 'mate', 'cocoa']) {
      const { row } = await process.products.insert({ slug: `${name}-${namespace}`, price: 1 })
      ids.push(row.id)
    }
    await process.products.findMany(ids)
    await process.products.find(-1)
    await process.products.findBy({ slug: 'nothing' })
    await untilFilled(process, 5)
    const redis = new Redis(redisUrl())
    onTestFinished(() => redis.disconnect())
    return { namespace, process, ids, redis, key: (id: number) => `${namespace}:{public.products/${id}}` }
  }

  const found = async (process: ShopProcess, redis: Redis, namespace: string) => {
    const { records, skipped } = await compareAtRest({ db: process.db, redis, namespace, tables: TABLES })
    const { counts, violations } = checkHistory({ reads: [], writes: [], loads: [], atRest: records })
    const wrong = violations.map((violation) => (violation.check === 'at-rest' ? violation.found.key : ''))
    return { compared: records.length, wrong, count: counts['at-rest'], skipped }
  }

  it('agrees with the database when nothing is wrong, and says how much was compared', async () => {
    const { process, redis, namespace } = await filled()
    expect(await found(process, redis, namespace)).toEqual({ compared: 5, wrong: [], count: 0, skipped: 0 })
  })

  it('is found out when it is older or newer than its row, or its row is gone', async () => {
    const { process, redis, namespace, ids, key } = await filled()
    await shop.run(`update products set price = 2 where id = ${ids[0]}`)
    await shop.run(`delete from products where id = ${ids[1]}`)
    const { wrong } = await found(process, redis, namespace)
    expect(wrong.sort()).toEqual([key(ids[0]!), key(ids[1]!)].sort())
  })

  it('is found out when it is an absence, of a row or a looked-up value, that is none any more', async () => {
    const { process, redis, namespace, key } = await filled()
    await shop.run(`insert into products (id, slug) values (-1, 'nothing')`)
    onTestFinished(async () => void (await shop.run('delete from products where id = -1')))
    const { wrong } = await found(process, redis, namespace)
    expect(wrong.sort()).toEqual([key(-1), `${namespace}:{public.products@slug=nothing}`].sort())
  })

  it('is found out when it is one of the copies', async () => {
    const { process, redis, namespace, ids, key } = await filled()
    const copy = copyKey(key(ids[0]!) as never, copySuffix(key(ids[0]!) as never, 3, 0))
    await redis.set(copy, (await redis.getBuffer(key(ids[0]!)))!)
    await process.products.update(ids[0]!, { price: 2 })
    expect(await found(process, redis, namespace)).toMatchObject({ wrong: [copy], compared: 5 })
  })

  it('is found out when it is in memory', async () => {
    const redis = new Redis(redisUrl(), { lazyConnect: true })
    const db = openShopDatabase(shop.databaseUrl, 2)
    const history = new History()
    const observer = new Observer({ process: 'web-1', history })
    const corral = createCorral({ db, redis, namespace: freshNamespace(), onEvent: observer.onEvent })
    onTestFinished(async () => {
      await corral.close()
      redis.disconnect()
      await db.destroy()
    })
    const table = { name: 'products', key: 'id' }
    const products = observer.watch(corral.repository('products', { key: 'id' }), table)
    const { row } = await products.insert({ price: 1 })
    for (let wait = 0; products.peek(row.id) === undefined; wait++) {
      expect(wait, 'it is kept soon').toBeLessThan(200)
      await products.find(row.id)
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
    await products.find(row.id)
    expect(history.reads.at(-1)).toMatchObject({ from: 'memory', version: row.corral_version })
    const compare = async () => {
      const memory = { repository: products, ids: [row.id, -1] }
      const tables = [{ table: 'products', key: 'id', memory }]
      return (await compareAtRest({ db, namespace: 'any', tables, process: 'web-1' })).records
    }
    const place = { place: 'memory of web-1', key: `products/${row.id}` }
    expect(await compare()).toEqual([{ ...place, version: row.corral_version, stored: row.corral_version }])
    await shop.run(`delete from products where id = ${row.id}`)
    expect(await compare()).toEqual([{ ...place, version: row.corral_version, stored: null }])
    expect(checkHistory(history, { allWritesAreRecorded: true, memoryLagMs: 0 }).violations).toEqual([])
  })

  it.each([
    [{ namespace: 'te st' }],
    [{ namespace: undefined }],
    [{ db: {} }],
    [{ redis: 'redis://localhost' }],
    [{ reids: {} }],
    [{ tables: undefined }],
    [{ tables: [] }],
    [{ tables: ['products'] }],
    [{ tables: [{ table: 'products' }] }],
    [{ tables: [{ key: 'id' }] }],
    [{ tables: [{ table: 'products', key: 'id', unique: 'slug' }] }],
    [{ tables: [{ table: 'products', key: 'id', uniqe: ['slug'] }] }],
    [{ tables: [{ table: 'products', key: 'id', memory: { repository: {}, ids: [] } }] }],
    [{ process: 5 }],
  ])('is not looked for with the options %o', async (options) => {
    const { db } = shop.start()
    const given = { db, namespace: 'any', tables: TABLES, ...options }
    await expect(compareAtRest(given as never)).rejects.toMatchObject({ code: 'CONFIG_INVALID' })
  })

  it('is found on every node of a cluster', async () => {
    const cluster = new Cluster(redisClusterNodes())
    const db = openShopDatabase(shop.databaseUrl, 2)
    const namespace = freshNamespace()
    const corral = createCorral({ db, redis: cluster, namespace, l1: { maxEntries: 0 }, cache: { deadlineMs: 1_000 } })
    onTestFinished(async () => {
      await corral.close()
      cluster.disconnect()
      await db.destroy()
    })
    const products = corral.repository('products', { key: 'id' })
    const written = await Promise.all(Array.from({ length: 12 }, () => products.insert({ price: 1 })))
    const ids = written.map(({ row }) => row.id)
    for (let wait = 0; ; wait++) {
      expect(wait, 'all are cached soon').toBeLessThan(200)
      await products.findMany(ids)
      const { records } = await compareAtRest({ db, redis: cluster, namespace, tables: TABLES })
      expect(records.filter(({ version, stored }) => version !== stored)).toEqual([])
      if (records.length === ids.length) return
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
  })
})
