import { Cluster, Redis } from 'ioredis'
import type { Generated } from 'kysely'
import { describe, expect, it, onTestFinished } from 'vitest'
import { envelope, stamp } from '../../src/adapters/codec/envelope.js'
import { type Corral, createCorral } from '../../src/client.js'
import type { Entry } from '../../src/core/entry.js'
import { type CacheKey, cacheKey, copyKey, guardKey, keyPrefix } from '../../src/core/key.js'
import { stampTable } from '../../src/migrations.js'
import type { AuditProgress } from '../../src/table/audit.js'
import { waitUntil } from '../support/servers/wait.js'
import { redisClusterNodes, redisUrl } from '../support/services.js'
import {
  openProducts,
  openShopDatabase,
  productKey,
  ShopLab,
  type ShopProcess,
  type ShopProcessOptions,
  untilFilled,
} from '../support/shop-lab.js'

const ROWS = 4_000
const lab = await ShopLab.open()
await lab.run(`insert into products (slug, price) select 'p' || n, n from generate_series(1, ${ROWS}) n`)

interface LessonsDatabase {
  lessons: { id: number; lasts: object; breaks: object[]; corral_version: Generated<string> }
}

const FAST = { ratePerSecond: 200_000, recheckMs: 20 }

let namespaces = 0

/** A process in a namespace of its own, which has these rows cached. */
async function start(ids: readonly number[], options: ShopProcessOptions = {}): Promise<ShopProcess> {
  const process = lab.start({ namespace: `${lab.namespace}-${++namespaces}`, cache: { deadlineMs: 2_000 }, ...options })
  await process.products.warm(ids, { ratePerSecond: 200_000, concurrency: 500 })
  return process
}

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from + 1 }, (_, at) => from + at)
}

function openRedis(): Redis {
  const redis = new Redis(redisUrl())
  onTestFinished(() => redis.disconnect())
  return redis
}

function namespaceOf(_: ShopProcess): string {
  return `${lab.namespace}-${namespaces}`
}

function rowKey(process: ShopProcess, id: number): CacheKey {
  return productKey(namespaceOf(process), id)
}

/** SQL that no trigger and no fence tells of. */
function silently(statement: string): Promise<unknown> {
  return lab.run(statement)
}

describe('audit', () => {
  it('finds planted drifts of every kind among many rows, repairs them, and then finds none', async () => {
    const ids = range(1, 2_000)
    const process = await start(ids)
    const { corral, products } = process
    const clean = await corral.audit(FAST)
    expect(clean).toMatchObject({ compared: 2_000, drifted: 0, transient: 0, unused: 0 })

    await products.findMany([900_001, 900_002])
    await silently(`update products set price = price + 1 where id between 1 and 60`)
    await silently(`delete from products where id between 61 and 90`)
    await silently(`insert into products (id, slug, price) values (900001, 'late', 1)`)
    const found = await corral.audit(FAST)
    expect(found).toMatchObject({ compared: 2_002, drifted: 91, repaired: 0 })
    expect(found.kinds).toEqual({ behind: 60, ahead: 0, gone: 30, hidden: 1, differs: 0 })
    expect(found.places).toEqual({ redis: 91, copy: 0, memory: 0 })
    expect(found.ages.upTo10s).toBe(91)
    expect(found.drifts).toHaveLength(91)

    const repaired = await corral.audit({ ...FAST, repair: true })
    expect(repaired).toMatchObject({ drifted: 91, repaired: 91 })
    expect((await corral.audit(FAST)).drifted).toBe(0)
    expect((await products.find(1))?.price).toBe(2)
    expect(await products.find(61)).toBeUndefined()
    expect((await products.find(900_001))?.slug).toBe('late')
  })

  it('does not take a write in flight for drift, however many there are', async () => {
    const process = await start(range(1, 20), { cache: { deadlineMs: 2_000, fenceDeadlineMs: 20_000 } })
    const { corral, products, cache, events } = process
    const fences = [cache.pause('before fence'), cache.pause('before fence')]
    const writes = [products.update(1, { price: 7 }), products.update(2, { price: 7 })]
    await Promise.all(fences.map(({ reached }) => reached))
    const auditing = corral.audit({ ...FAST, recheckMs: 1_500 })
    const compared = () => events.of('compared').reduce((sum, { rows }) => sum + rows, 0)
    await waitUntil('all copies have been looked at once', 5_000, async () => compared() === 20)
    for (const fence of fences) fence.resume()
    await Promise.all(writes)
    expect(await auditing).toMatchObject({ compared: 20, drifted: 0, transient: 2 })
    expect(events.of('drift.found')).toEqual([])
  })

  it('sees rows in the memory of its process, and drops them on repair', async () => {
    const process = await start([], { l1: { maxEntries: 100 } })
    const { corral, products, events } = process
    await products.findMany(range(101, 110))
    while (products.peek(110) === undefined) await new Promise((resolve) => setTimeout(resolve, 5))
    await silently('update products set price = price + 5 where id = 105')
    const report = await corral.audit(FAST)
    expect(report.places).toEqual({ redis: 1, copy: 0, memory: 1 })
    expect(report.kinds.behind).toBe(2)
    expect(products.peek(105)?.price, 'so far it is only told').toBe(105)
    // Memory is repaired before Redis is looked at: one fence is for both.
    await corral.audit({ ...FAST, recheckMs: 0, repair: true })
    expect(products.peek(105)).toBeUndefined()
    expect((await corral.audit(FAST)).drifted).toBe(0)
    expect((await products.find(105))?.price).toBe(110)
    expect(events.of('drift.found').map(({ place, kind, repair }) => [place, kind, repair])).toEqual([
      ['memory', 'behind', 'none'],
      ['redis', 'behind', 'none'],
      ['memory', 'behind', 'fenced'],
    ])
    expect(JSON.stringify(events.of('drift.found')), 'no value is told').not.toContain('p105')
  })

  it('sees the slot copies of hot keys, also where this process has declared none', async () => {
    const process = await start([201, 202])
    const { corral } = process
    const redis = openRedis()
    const key = rowKey(process, 201)
    const copy = copyKey(key, ':slot0.3')
    await redis.set(copy, (await redis.getBuffer(key)) as Buffer, 'PX', 60_000)
    expect((await corral.audit(FAST)).compared).toBe(3)
    await silently('update products set price = price + 5 where id = 201')
    expect(await corral.audit(FAST)).toMatchObject({ drifted: 2, places: { redis: 1, copy: 1, memory: 0 } })
    await corral.audit({ ...FAST, repair: true })
    expect(await redis.exists(key, copy)).toBe(0)
  })

  it('follows lookups: absences that hide a row, and pointers that lead astray', async () => {
    const process = await start([])
    const { corral, products } = process
    await products.findBy({ slug: 'p301' })
    await products.findBy({ slug: 'not yet' })
    await products.findBy({ slug: 'p303' })
    expect(await corral.audit(FAST)).toMatchObject({ drifted: 0 })
    await silently(`update products set slug = 'elsewhere' where id = 301`)
    await silently(`update products set slug = 'not yet' where id = 302`)
    const report = await corral.audit({ ...FAST, repair: true })
    expect(report).toMatchObject({ drifted: 1, repaired: 1, astray: 1, kinds: { hidden: 1 } })
    expect(await corral.audit(FAST)).toMatchObject({ drifted: 0, astray: 0 })
    expect((await products.findBy({ slug: 'not yet' }))?.id).toBe(302)
  })

  it('does not call it drift that an update leaves the lookup of the former value behind', async () => {
    const process = await start([])
    const { corral, products, events } = process
    await products.findBy({ slug: 'p304' })
    await untilFilled(process)
    await products.update(304, { slug: 'renamed' })
    expect(await products.findBy({ slug: 'renamed' })).toMatchObject({ id: 304 })
    const report = await corral.audit(FAST)
    expect(report).toMatchObject({ drifted: 0, astray: 1, drifts: [] })
    expect(events.of('drift.found')).toEqual([])
    const differing = events.of('compared').reduce((sum, each) => sum + each.differing, 0)
    expect(differing, 'and no metric counts it').toBe(0)
    expect(await products.findBy({ slug: 'p304' }), 'the row is checked for the value').toBeUndefined()
  })

  it('compares rows with intervals, also in a process that has met none', async () => {
    const { db } = await start([])
    await silently(`create table lessons (id int primary key, lasts interval, breaks interval[]);
      insert into lessons select n, '1 day 2 hours', '{10 minutes,-00:00:05.5}' from generate_series(1, 3) n`)
    await stampTable({ table: 'lessons', key: 'id' }).up(db)
    const namespace = `${lab.namespace}-${++namespaces}`
    const open = () => {
      const process = lab.start({ namespace, cache: { deadlineMs: 2_000 } })
      const lessons = (process.corral as unknown as Corral<LessonsDatabase>).repository('lessons', { key: 'id' })
      return { ...process, lessons }
    }
    const first = open()
    await first.lessons.findMany([1, 2, 3])
    await untilFilled(first, 3)
    await silently(`alter table lessons disable trigger user;
      update lessons set lasts = '3 days' where id = 2;
      alter table lessons enable always trigger zz_corral_rekey;
      alter table lessons enable always trigger zz_corral_stamp_restamp;
      alter table lessons enable always trigger zz_corral_stamp;
      alter table lessons enable always trigger zz_corral_tombstone`)
    expect(await open().corral.audit({ ...FAST, compare: 'rows' })).toMatchObject({
      ...{ compared: 3, skipped: 0, undecoded: 0, drifted: 1, kinds: { differs: 1 } },
    })
    const reader = open()
    const { lasts } = (await reader.lessons.find(1)) ?? {}
    expect(lasts).toMatchObject({ days: 1, hours: 2 })
    const events = [reader.events.count('load'), reader.events.count('entry.unreadable')]
    expect(events, 'the entry is one to this process, too').toEqual([0, 0])
  })

  it('says of what it cannot decode that it has not been compared', async () => {
    const process = await start([411, 412])
    const redis = openRedis()
    const key = rowKey(process, 411)
    const opened = envelope.open((await redis.getBuffer(key)) as Buffer, key) as Entry
    const odd = envelope.seal({ ...opened, payload: Buffer.from('["i"]') }, key)
    await redis.set(key, Buffer.from(stamp(odd, opened.filledAtMs)))
    expect(await process.corral.audit({ ...FAST, compare: 'rows' })).toMatchObject({
      ...{ compared: 1, undecoded: 1, skipped: 0, unused: 0, drifted: 0 },
    })
    expect(await process.corral.audit(FAST), 'by its stamp it can be').toMatchObject({ compared: 2, undecoded: 0 })
  })

  it('compares whole rows where there is no stamp, or where that is asked for', async () => {
    const process = await start([401, 402])
    const { corral, products } = process
    await silently(`alter table products disable trigger user;
      update products set details = '{"tags": ["odd"]}' where id = 401;
      alter table products enable always trigger zz_corral_rekey;
      alter table products enable always trigger zz_corral_stamp_restamp;
      alter table products enable always trigger zz_corral_stamp;
      alter table products enable always trigger zz_corral_tombstone`)
    expect((await corral.audit(FAST)).drifted, 'its stamp says nothing').toBe(0)
    const report = await corral.audit({ ...FAST, compare: 'rows', repair: true })
    expect(report).toMatchObject({ compared: 2, drifted: 1, repaired: 1, kinds: { differs: 1 } })
    expect((await products.find(401))?.details).toEqual({ tags: ['odd'] })

    const unstamped = lab.start({ namespace: `${lab.namespace}-${++namespaces}` })
    const plain = unstamped.corral.repository('products', { key: 'id', version: false })
    await plain.warm([403, 404])
    await silently('update products set price = 9 where id = 403')
    expect(await unstamped.corral.audit(FAST)).toMatchObject({ compared: 2, drifted: 1, kinds: { differs: 1 } })
  })

  it('leaves out what answers nobody, and says what it could not compare', async () => {
    const process = await start([501, 502, 503])
    const { corral } = process
    const redis = openRedis()
    await redis.set(rowKey(process, 504), 'scribble')
    await redis.set(guardKey(rowKey(process, 505)), 'no hash, no entry')
    await corral.query('cheap', (db) => db.selectFrom('products').selectAll().where('price', '<', 3))()
    const entry = (await redis.getBuffer(rowKey(process, 501))) as Buffer
    await redis.set(cacheKey(keyPrefix(namespaceOf(process), 'row', 'public.stranger'), ['1']), entry)
    const other = rowKey(process, 506)
    const opened = envelope.open(entry, rowKey(process, 501)) as Entry
    await redis.set(
      other,
      Buffer.from(stamp(envelope.seal({ ...opened, epoch: '0000000z' }, other), opened.filledAtMs)),
    )
    const isQueried = async () => (await redis.keys(`${namespaceOf(process)}:{cheap*`)).length > 0
    await waitUntil('the result is stored', 5_000, isQueried)
    expect(await corral.audit(FAST)).toMatchObject({ compared: 3, unused: 2, skipped: 2, drifted: 0 })
  })

  it('goes on in another process from where one was stopped, with its figures', async () => {
    const ids = range(1_001, 2_000)
    const process = await start(ids)
    await silently('update products set price = price + 1 where id between 1001 and 1030')
    const abort = new AbortController()
    let last: AuditProgress | undefined
    const first = process.corral.audit({
      ratePerSecond: 1_000,
      recheckMs: 20,
      signal: abort.signal,
      onProgress(progress) {
        last = progress
        if (progress.compared >= 300) abort.abort(new Error('enough'))
      },
    })
    await expect(first).rejects.toThrow('enough')
    expect(last?.compared).toBeLessThan(700)
    const other = lab.start({ namespace: namespaceOf(process) })
    const rest = await other.corral.audit({ ...FAST, repair: true, after: last?.cursor as string })
    expect(rest.drifted, 'found by one or the other').toBe(30)
    expect(rest.compared, 'SCAN may tell of a key twice').toBeGreaterThanOrEqual(1_000)
    expect(rest.compared).toBeLessThan(1_100)
    await expect(other.corral.audit({ compare: 'rows', after: last?.cursor as string })).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
    })
  })

  it('compares a sample', async () => {
    const process = await start(range(1_001, 1_900))
    await silently('update products set price = price + 1 where id between 1001 and 1900')
    const { compared, drifted } = await process.corral.audit({ ...FAST, sample: 100 })
    expect(compared).toBeGreaterThan(80)
    expect(compared).toBeLessThanOrEqual(100)
    expect(drifted).toBe(compared)
  })

  it('walks every primary of a cluster', async () => {
    const redis = new Cluster(redisClusterNodes(), { keyPrefix: 'app*:' })
    const db = openShopDatabase(lab.databaseUrl)
    const namespace = `${lab.namespace}-cluster`
    const corral = createCorral({ db, redis, namespace, l1: { maxEntries: 0 }, cache: { deadlineMs: 2_000 } })
    onTestFinished(async () => {
      await corral.close()
      redis.disconnect()
      await db.destroy()
    })
    await openProducts(corral).warm(range(2_001, 2_600), { ratePerSecond: 100_000, concurrency: 300 })
    await silently('update products set price = price + 1 where id between 2001 and 2025')
    const report = await corral.audit({ ...FAST, repair: true })
    expect(report).toMatchObject({ compared: 600, drifted: 25, repaired: 25 })
    expect(await corral.audit(FAST)).toMatchObject({ compared: 575, drifted: 0 })
  })

  it('works on a store in this process too', async () => {
    const db = openShopDatabase(lab.databaseUrl)
    const corral = createCorral({ db, namespace: 'alone' })
    onTestFinished(async () => {
      await corral.close()
      await db.destroy()
    })
    const products = openProducts(corral)
    await products.findMany(range(2_701, 2_710))
    await silently('update products set price = price + 1 where id = 2701')
    expect(await corral.audit(FAST)).toMatchObject({ drifted: 2, places: { memory: 1, redis: 1 } })
    await corral.audit({ ...FAST, repair: true })
    expect((await products.find(2_701))?.price).toBe(2_702)
  })

  it.each([
    [{ repositories: ['orders'] }],
    [{ repositories: [] }],
    [{ sample: 0 }],
    [{ sample: 5, after: 'x' }],
    [{ ratePerSecond: 0 }],
    [{ recheckMs: -1 }],
    [{ compare: 'all' }],
    [{ repair: 'yes' }],
    [{ after: 'audit.bm9uc2Vuc2U' }],
    [{ rate: 5 }],
  ])('refuses the options %o', async (options) => {
    const { corral } = await start([])
    await expect(corral.audit(options as never)).rejects.toMatchObject({ code: 'CONFIG_INVALID' })
  })
})
