import { Redis } from 'ioredis'
import { describe, expect, it, onTestFinished } from 'vitest'
import { copyKey } from '../../src/core/key.js'
import { rebuildUntilKilled } from '../support/rebuild-until-killed.js'
import { waitUntil } from '../support/servers/wait.js'
import { redisUrl } from '../support/services.js'
import { productKey, ShopLab, type ShopProcess, type ShopProcessOptions } from '../support/shop-lab.js'

const ROWS = 1_000
const lab = await ShopLab.open()
await lab.run(`insert into products (slug, price) select 'p' || n, n from generate_series(1, ${ROWS}) n`)

const FAST = { ratePerSecond: 100_000 }
let namespaces = 0

function start(options: ShopProcessOptions = {}): ShopProcess {
  return lab.start({ namespace: `${lab.namespace}-${++namespaces}`, cache: { deadlineMs: 2_000 }, ...options })
}

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from + 1 }, (_, at) => from + at)
}

function loadedIds({ events }: ShopProcess): number {
  return events.of('load').reduce((sum, { ids }) => sum + ids, 0)
}

describe('rebuild', () => {
  it('refills what is cached from the database, without a moment in which it is not, and drops what has no row', async () => {
    const process = start()
    const { corral, products } = process
    await products.warm(range(1, 500), { ratePerSecond: 100_000, concurrency: 500 })
    await products.findBy({ slug: 'p1' })
    await products.find(900_000)
    await lab.run('update products set price = price + 1000 where id between 1 and 300')
    await lab.run('delete from products where id between 301 and 310')
    const before = loadedIds(process)
    const done = await corral.rebuild({ ...FAST, mode: 'refill' })
    expect(done).toMatchObject({ done: 502, refilled: 500, evicted: 2, skipped: 0 })
    expect(loadedIds(process) - before).toBe(500)
    expect((await products.find(1))?.price).toBe(1_001)
    expect(await products.find(301)).toBeUndefined()
    expect((await corral.audit({ ...FAST, recheckMs: 0 })).drifted).toBe(0)
    expect(loadedIds(process) - before, 'all of it was cached').toBe(500)
  })

  it('survives kill -9: the next process goes on, and loads nothing again that was refilled', async () => {
    const namespace = `${lab.namespace}-killed`
    const process = lab.start({ namespace, cache: { deadlineMs: 2_000 } })
    await process.products.warm(range(1, 1_000), { ratePerSecond: 100_000, concurrency: 500 })
    await lab.run('update products set price = price + 1 where id between 1 and 1000')
    const { databaseUrl } = lab
    const killed = await rebuildUntilKilled({
      ...{ databaseUrl, redisUrl: redisUrl(), namespace },
      ratePerSecond: 2_000,
      killAfter: 300,
    })
    const before = loadedIds(process)
    const rest = await process.corral.rebuild({ ...FAST, mode: 'refill', after: killed.cursor })
    const loaded = loadedIds(process) - before
    expect(rest.cursor).toBeDefined()
    expect(loaded, 'a page may have been refilled and not been told').toBeLessThanOrEqual(1_000 - killed.refilled)
    expect(rest.refilled).toBe(killed.refilled + loaded)
    expect(await process.corral.audit({ ratePerSecond: 100_000, recheckMs: 0 })).toMatchObject({ drifted: 0 })
    // A process of its own takes its time to start on a busy machine.
  }, 60_000)

  it('loads no key twice when several processes rebuild at once from the same moment on', async () => {
    const namespace = `${lab.namespace}-fleet`
    const fleet = [1, 2, 3].map(() => start({ namespace }))
    await fleet[0]?.products.warm(range(401, 1_000), { ratePerSecond: 100_000, concurrency: 500 })
    const before = fleet.reduce((sum, process) => sum + loadedIds(process), 0)
    // What was filled in the very millisecond counts as filled since.
    await new Promise((resolve) => setTimeout(resolve, 50))
    const since = new Date()
    const all = await Promise.all(
      fleet.map(({ corral }) => corral.rebuild({ mode: 'refill', ratePerSecond: 3_000, since })),
    )
    expect(all.reduce((sum, { refilled }) => sum + refilled, 0)).toBe(600)
    expect(all.reduce((sum, { evicted }) => sum + evicted, 0)).toBe(0)
    expect(fleet.reduce((sum, process) => sum + loadedIds(process), 0) - before).toBe(600)
  })

  it('drops everything old, results of queries and the memory of other processes included, and leaves what is new', async () => {
    const namespace = `${lab.namespace}-evicted`
    const [first, second] = [
      start({ namespace, l1: { maxEntries: 100 } }),
      start({ namespace, l1: { maxEntries: 100 } }),
    ]
    const query = first.corral.query('cheap', (db) => db.selectFrom('products').selectAll().where('id', '<', 4))
    const isNear = async () => second.products.peek(20) !== undefined
    await waitUntil('rows stay in memory', 5_000, async () => {
      await second.products.findMany(range(11, 20))
      return isNear()
    })
    await query()
    await lab.run('update products set price = 77 where id in (1, 11)')
    expect((await second.products.find(11))?.price, 'from memory').not.toBe(77)
    const done = await first.corral.rebuild({ ...FAST, mode: 'evict' })
    expect(done.evicted).toBeGreaterThanOrEqual(11)
    await waitUntil('the other process has heard of it', 2_000, async () => second.products.peek(11) === undefined)
    expect((await second.products.find(11))?.price).toBe(77)
    expect((await query()).find(({ id }) => id === 1)?.price).toBe(77)
    const again = await first.corral.rebuild({ ...FAST, mode: 'evict', repositories: ['products'], since: new Date(0) })
    expect(again, 'nothing is that old').toMatchObject({ evicted: 0 })
  })

  it('rebuilds single rows, cached or not, with the copies of their entries', async () => {
    const namespace = `${lab.namespace}-ids`
    const process = lab.start({ namespace, hotKeys: { copyTtlMs: 60_000 }, cache: { deadlineMs: 2_000 } })
    const hot = process.corral.repository('products', { key: 'id', hotKeys: { copies: 2 } })
    await hot.warm([31])
    const redis = new Redis(redisUrl())
    onTestFinished(() => redis.disconnect())
    const key = productKey(namespace, 31)
    const { copySuffixes } = await import('../../src/policy/slot-copies.js')
    const copy = copyKey(key, copySuffixes(key, 2)[1] as string)
    await redis.set(copy, (await redis.getBuffer(key)) as Buffer)
    await lab.run('update products set price = 78 where id in (31, 32)')
    const options = { ...FAST, repositories: ['products'], ids: [31, 32, 31] } as const
    const done = await process.corral.rebuild({ ...options, mode: 'refill' })
    expect(done).toMatchObject({ done: 3, refilled: 2, skipped: 1, total: 3 })
    expect(await redis.exists(copy)).toBe(0)
    expect((await hot.findMany([31, 32])).map((row) => row?.price)).toEqual([78, 78])
    expect(await process.corral.rebuild({ ...options, mode: 'evict' })).toMatchObject({ done: 3, evicted: 3 })
    expect(await redis.exists(key)).toBe(0)
  })

  it('ends when it is aborted, and when the instance is closed', async () => {
    const { corral, products } = start()
    await products.warm(range(1, 200), { ratePerSecond: 100_000, concurrency: 200 })
    const since = new Date(Date.now() + 1)
    const slow = { mode: 'refill', ratePerSecond: 50, since } as const
    const abort = new AbortController()
    const aborted = corral.rebuild({
      ...slow,
      signal: abort.signal,
      onProgress: () => abort.abort(new Error('enough')),
    })
    await expect(aborted).rejects.toThrow('enough')
    await expect(corral.rebuild({ ...slow, onProgress: () => void corral.close() })).rejects.toMatchObject({
      code: 'CLOSED',
    })
  })

  it.each([
    [{}],
    [{ mode: 'drop' }],
    [{ mode: 'evict', repositories: ['orders'] }],
    [{ mode: 'evict', ids: [1] }],
    [{ mode: 'evict', ids: 1, repositories: ['products'] }],
    [{ mode: 'evict', since: 5 }],
    [{ mode: 'evict', ratePerSecond: 0 }],
    [{ mode: 'evict', after: 'rebuild.bm9uc2Vuc2U' }],
    [{ mode: 'evict', rate: 5 }],
  ])('refuses the options %o', async (options) => {
    await expect(start().corral.rebuild(options as never)).rejects.toMatchObject({ code: 'CONFIG_INVALID' })
  })
})
