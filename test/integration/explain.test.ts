import { Redis } from 'ioredis'
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { envelope, stamp } from '../../src/adapters/codec/envelope.js'
import type { Entry } from '../../src/core/entry.js'
import { waitUntil } from '../support/servers/wait.js'
import { freshNamespace, redisUrl } from '../support/services.js'
import { productKey, ShopLab, type ShopProcess, untilFilled } from '../support/shop-lab.js'

const NOTHING = { fence: null, lease: null, failure: null, floor: null, pending: false, copies: [] }

describe('explain', () => {
  let shop: ShopLab
  beforeAll(async () => {
    shop = await ShopLab.open()
  })

  function start(): ShopProcess & { readonly namespace: string } {
    const namespace = freshNamespace()
    const ttl = { freshMs: 100_000, graceMs: 50_000, jitter: 0 }
    const process = shop.start({ namespace, ttl, l1: { maxEntries: 10, maxAgeMs: 20_000 }, refresh: { beta: 0 } })
    return { ...process, namespace }
  }

  async function row(): Promise<{ id: number; version: string }> {
    const [made] = await shop.run('insert into products (price) values (1) returning id, corral_version')
    return { id: Number(made?.id), version: String(made?.corral_version) }
  }

  /** In Redis and in memory. */
  async function warmed() {
    const process = start()
    const { id, version } = await row()
    await waitUntil('it is held', 5_000, async () => {
      await process.products.find(id)
      return process.products.peek(id) !== undefined
    })
    return { ...process, id, version }
  }

  it('says of a row nobody has asked for that nobody holds it', async () => {
    const { products } = start()
    const { id, version } = await row()
    const explained = await products.explain(id)
    expect(explained).toMatchObject({ database: { exists: true, version }, l2: { state: 'nothing' }, ...NOTHING })
    expect(explained.l1).toMatchObject({ held: false, version: undefined, freshForMs: undefined, drift: false })
    await expect(products.explain('nine' as never)).rejects.toMatchObject({ code: 'KEY_INVALID' })
  })

  it('says of each tier what it holds: version, age, expiry, and that it does not differ', async () => {
    const { products, id, version, namespace } = await warmed()
    const explained = await products.explain(id)
    expect(explained).toMatchObject({
      ...NOTHING,
      key: `${namespace}:{public.products/${id}}`,
      database: { exists: true, version },
      l1: { trusted: true, held: true, version, drift: false },
      l2: { state: 'held', kind: 'row', version, verdict: 'fresh', drift: false },
      floor: { version, absent: false },
    })
    const { l1, l2 } = explained
    if (l2.state !== 'held') throw new Error(l2.state)
    expect(l1.freshForMs).toBeGreaterThan(0)
    expect(l1.freshForMs, 'l1.maxAgeMs').toBeLessThanOrEqual(20_000)
    expect(l2.ageMs).toBeGreaterThanOrEqual(0)
    expect(Math.abs(l2.ageMs + l2.freshForMs - 100_000), 'ttl.freshMs, but for what the load took').toBeLessThan(1_000)
    expect(l2.storedForMs - l2.freshForMs, 'ttl.graceMs, but for the time between two looks').toBeGreaterThan(49_000)
    expect(JSON.stringify(explained), 'and shows no value').not.toContain('price')
  })

  it('says which of them differ from the row', async () => {
    const { products, id, version } = await warmed()
    const [changed] = await shop.run(`update products set price = 2 where id = ${id} returning corral_version`)
    expect(await products.explain(id)).toMatchObject({
      database: { version: changed?.corral_version },
      l1: { held: true, version, drift: true },
      l2: { state: 'held', version, drift: true },
    })
    await shop.run(`delete from products where id = ${id}`)
    expect(await products.explain(id)).toMatchObject({
      database: { exists: false, version: undefined },
      l1: { drift: true },
      l2: { drift: true },
    })
    await products.find(id, { consistency: 'refresh' })
    await waitUntil('the absence is stored', 5_000, async () => {
      const { l2 } = await products.explain(id)
      return l2.state === 'held' && l2.kind === 'absent'
    })
    expect(await products.explain(id)).toMatchObject({
      l2: { drift: false, version: undefined },
      floor: { absent: true },
    })
  })

  it('says what was fenced, and what could not be yet', async () => {
    const { products, cache, id } = await warmed()
    const first = await products.update(id, { price: 2 })
    expect(await products.explain(id)).toMatchObject({
      l1: { held: false },
      l2: { state: 'nothing' },
      fence: first?.version,
      floor: { version: first?.version, absent: false },
      pending: false,
    })
    cache.breakAlways('fail', ['fence'])
    const second = await products.update(id, { price: 3 })
    expect(await products.explain(id)).toMatchObject({
      fence: first?.version,
      floor: { version: second?.version },
      pending: true,
    })
  })

  it('says who fills, and that a load has failed', async () => {
    const { products, cache } = start()
    const { id } = await row()
    const fill = cache.pause('before fill')
    const reading = products.find(id)
    await fill.reached
    const { lease } = await products.explain(id)
    expect(lease?.remainingMs).toBeGreaterThan(0)
    fill.resume()
    await reading
    await waitUntil('the lease is gone', 5_000, async () => (await products.explain(id)).lease === null)
    const other = await row()
    await shop.run('alter table products rename to elsewhere')
    await expect(products.find(other.id)).rejects.toMatchObject({ code: 'SOURCE_FAILED' })
    await shop.run('alter table elsewhere rename to products')
    await waitUntil('it is told', 3_000, async () => (await products.explain(other.id)).failure === '42P01')
  })

  it('says what the copies of a key that may be hot hold', async () => {
    const { corral } = start()
    const hot = corral.repository('products', { key: 'id', hotKeys: { copies: 3 } })
    const { id } = await row()
    const { copies } = await hot.explain(id)
    expect(copies).toHaveLength(3)
    expect(new Set(copies.map(({ key }) => key)).size).toBe(3)
    for (const copy of copies) expect(copy).toMatchObject({ entry: { state: 'nothing' }, fence: null, pending: false })
  })

  it('does not call it drift that an entry cannot be decoded, and knows intervals that it has not met', async () => {
    const { products, id, namespace } = await warmed()
    const redis = new Redis(redisUrl())
    onTestFinished(() => redis.disconnect())
    const key = productKey(namespace, id)
    const opened = envelope.open((await redis.getBuffer(key)) as Buffer, key) as Entry
    const put = (entry: Entry) => redis.set(key, Buffer.from(stamp(envelope.seal(entry, key), entry.filledAtMs)))
    await put({ ...opened, payload: Buffer.from('["i"]') })
    expect((await products.explain(id)).l2).toEqual({ state: 'unreadable', reason: 'payload' })
    await put({ ...opened, shape: '01234567' })
    expect((await products.explain(id)).l2).toMatchObject({ state: 'held', verdict: 'other-shape', drift: false })

    await shop.run(`create table lessons (id int primary key, lasts interval);
      insert into lessons values (1, '1 day')`)
    const open = (options: { namespace: string }) => {
      const process = shop.start(options)
      return { ...process, lessons: process.corral.repository('lessons' as 'products', { key: 'id', version: false }) }
    }
    const filler = open({ namespace })
    await filler.lessons.find(1)
    await untilFilled(filler)
    expect((await open({ namespace }).lessons.explain(1)).l2).toMatchObject({ state: 'held', drift: false })
  })

  it('says what is no entry of ours, and when the cache does not say anything', async () => {
    const { products, cache, id, namespace, corral } = await warmed()
    const redis = new Redis(redisUrl())
    await redis.set(`${namespace}:{public.products/${id}}`, 'something else')
    redis.disconnect()
    expect((await products.explain(id)).l2).toEqual({ state: 'unreadable', reason: 'foreign' })
    cache.breakAlways('fail')
    for (let at = 1_000; corral.stats().breaker === 'closed'; at++) await products.find(at)
    expect(await products.explain(id)).toMatchObject({ l2: { state: 'unavailable' }, database: { exists: true } })
  })
})
