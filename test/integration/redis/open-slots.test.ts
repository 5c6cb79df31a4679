import { Cluster } from 'ioredis'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import type { RedisClient } from '../../../src/adapters/redis/connection.js'
import { RedisStore } from '../../../src/adapters/redis/redis-store.js'
import { type CorralOptions, createCorral } from '../../../src/client.js'
import { systemClock } from '../../../src/core/clock.js'
import { type CacheKey, cacheKey, guardKey, keyPrefix } from '../../../src/core/key.js'
import { outboxTable, outboxTables } from '../../../src/migrations.js'
import { keySlot } from '../../../src/policy/slot-copies.js'
import { KeyLab, snapshotFrom } from '../../contract/store-lab.js'
import { Recorder } from '../../support/recorder.js'
import { type RedisCluster, startRedisCluster } from '../../support/servers/redis-cluster.js'
import { redisCommand } from '../../support/servers/redis-command.js'
import { type OpenSlot, openSlot } from '../../support/servers/reshard.js'
import { waitUntil } from '../../support/servers/wait.js'
import { freshNamespace } from '../../support/services.js'
import { openProducts, openShopDatabase, productKey, type ShopDatabase, ShopLab } from '../../support/shop-lab.js'

const SLOTS = 16_384
const MASTERS = 3

let cluster: RedisCluster
beforeAll(async () => {
  cluster = await startRedisCluster({ masters: MASTERS })
})
afterAll(() => cluster.stop())

/** As the cluster was set up: each of its masters has a third of the slots. */
const masterOf = (key: string) => Math.floor((keySlot(key) * MASTERS) / SLOTS)
const portOf = (master: number) => cluster.masters[master % MASTERS]?.port as number

function connect(): Cluster {
  const client = new Cluster([...cluster.startNodes], { lazyConnect: true })
  client.on('error', () => {})
  onTestFinished(() => client.disconnect())
  return client
}

/** How many GETs the nodes were sent, answered or refused. */
async function asked(): Promise<number> {
  const texts = await Promise.all(cluster.masters.map(({ port }) => redisCommand(port, 'INFO', 'commandstats')))
  const counts = texts.map((text) => /cmdstat_get:calls=(\d+),.*rejected_calls=(\d+)/.exec(text)?.slice(1) ?? [])
  return counts.flat().reduce((sum, count) => sum + Number(count), 0)
}

/** Leaves the slot of a key on its way to the next master. */
async function leaveOpen(key: string): Promise<OpenSlot> {
  const open = await openSlot({ from: portOf(masterOf(key)), to: portOf(masterOf(key) + 1), slot: keySlot(key) })
  onTestFinished(() => open.close())
  return open
}

describe('a store, while a slot is on its way', () => {
  /** One key whose slot will be, and others of the same node. Slots go by ids, of which the first is given. */
  async function start(first = 0) {
    const namespace = freshNamespace()
    const client = connect()
    const store = new RedisStore({ client: client as RedisClient, namespace, clock: systemClock })
    onTestFinished(() => store.close())
    const prefix = keyPrefix(namespace, 'row', 'public.products')
    const keys = Array.from({ length: 60 }, (_, at) => cacheKey(prefix, [String(first + at)]))
    const [key, ...others] = keys.filter((each) => masterOf(each) === masterOf(keys[0] as string))
    await waitUntil('it is connected', 5_000, () => store.read(keys).then(() => true))
    const evict = async (evicted: string) => void (await client.del(evicted))
    const under = { store, pass: () => Promise.resolve(), evictEntry: evict, evictGuard: evict }
    const lab = new KeyLab({ ...under, newKey: () => key as CacheKey })
    const beside = new KeyLab({
      ...under,
      newKey: () => others.find((each) => keySlot(each) !== keySlot(lab.key)) as CacheKey,
    })
    const third = others.find((each) => ![lab, beside].some((one) => keySlot(one.key) === keySlot(each))) as CacheKey
    return { store, client, lab, beside, third }
  }

  it('reads every key of a tick, wherever it lies by now', async () => {
    const { store, client, lab, beside, third } = await start()
    const keys = [beside.key, lab.key, third]
    for (const key of keys) await client.set(key, `value of ${key}`)
    const slot = await leaveOpen(lab.key)
    const read = async () => (await store.read(keys)).map(String)
    expect(await read()).toEqual(keys.map((key) => `value of ${key}`))
    await slot.move([lab.key])
    const askedBefore = await asked()
    expect(await read()).toEqual(keys.map((key) => `value of ${key}`))
    expect((await asked()) - askedBefore, 'once each, and twice where one has gone').toBeLessThanOrEqual(
      keys.length + 2,
    )
    await client.hset(third, 'a', '1').catch(() => client.del(third).then(() => client.hset(third, 'a', '1')))
    expect((await store.read(keys)).map(String), 'and what is none of ours is a miss').toEqual([
      ...keys.slice(0, 2).map((key) => `value of ${key}`),
      'null',
    ])
  })

  describe.each([
    ['its entry has no guard', false, []],
    ['its entry has gone ahead', true, ['entry']],
    ['its guard has gone ahead', true, ['guard']],
    ['both have gone ahead', true, ['entry', 'guard']],
    ['neither has gone ahead', true, []],
  ] as const)('a fence of a key, when %s,', (_, hasGuard, gone) => {
    it('drops what is there, at once, and so do those beside it', async () => {
      const { store, client, lab, beside } = await start()
      await lab.put('4')
      await beside.put('4')
      if (hasGuard) await lab.lease('a', { seen: await lab.read() })
      else await client.del(guardKey(lab.key))
      const slot = await leaveOpen(lab.key)
      const moved = gone.map((part) => (part === 'entry' ? lab.key : guardKey(lab.key)))
      if (moved.length > 0) await slot.move(moved)
      const common = { version: '5' as never, xid: null, keepMs: 10_000, rememberAlways: false, replacement: null }
      const startedMs = performance.now()
      const outcomes = await store.fence([lab.key, beside.key].map((key) => ({ key, ...common })))
      expect(outcomes).toEqual(['dropped', 'dropped'])
      expect(performance.now() - startedMs, 'milliseconds').toBeLessThan(500)
      expect(await store.read([lab.key, beside.key])).toEqual([null, null])
    })
  })

  it('a fence finds nothing to do where nothing is, and remembers all the same when asked to', async () => {
    const { lab, client } = await start()
    await leaveOpen(lab.key)
    expect(await lab.fence('5')).toBe('absent')
    expect(await client.exists(guardKey(lab.key))).toBe(0)
    expect(await lab.fence('5', { xid: '800', rememberAlways: true })).toBe('dropped')
    expect(await client.hmget(guardKey(lab.key), 'f', 'x')).toEqual([
      '5'.padStart(20, '0'),
      `${'800'.padStart(20, '0')} `,
    ])
  })

  it('a fence revokes a fill under way, also when the slot has arrived before it lands', async () => {
    const { lab } = await start(1_000)
    await lab.put('4')
    expect(await lab.leaseOver('a')).toEqual({ outcome: 'leased' })
    const slot = await leaveOpen(lab.key)
    // Torn apart: no script can run on both.
    await slot.move([lab.key])
    expect(await lab.fence('5', { rememberAlways: true })).toBe('dropped')
    await slot.move([guardKey(lab.key)])
    await slot.finish()
    expect(await lab.fill('a', '4')).toBe('lease-lost')
    expect(await lab.read()).toBeNull()
    await lab.lease('standby')
    const standby = { loadedFrom: 'standby', snapshot: snapshotFrom(1) } as const
    expect(await lab.fill('standby', '4', standby), 'and is remembered').toBe('fenced')
  })

  it('a fence in two steps leaves nothing of a fill that lands between them', async () => {
    const { store, lab } = await start(2_000)
    await lab.put('4')
    await lab.leaseOver('a')
    const slot = await leaveOpen(lab.key)
    await slot.move([lab.key])
    let landed: unknown
    // Between the two steps the slot arrives, so that the fill can be carried out.
    const connection = store.connection as unknown as Record<string, (...values: unknown[]) => Promise<unknown>>
    for (const step of ['corralFenceGuardBuffer', 'del']) {
      const original = connection[step]?.bind(connection)
      connection[step] = async (...values) => {
        const reply = await original?.(...values)
        if (landed === undefined) {
          await slot.move([guardKey(lab.key)])
          await slot.finish()
          landed = await lab.fill('a', '4')
        }
        return reply
      }
    }
    expect(await lab.fence('5', { rememberAlways: true })).toBe('dropped')
    expect(landed).toBe('lease-lost')
    expect(await lab.read()).toBeNull()
  })

  it('a mark is kept, made and removed, and a lease given back', async () => {
    const { store, client, lab } = await start()
    const ask = (fresh: string) => store.mark([{ key: lab.key, fresh, keepMs: 10_000 }])
    expect(await ask('before')).toEqual(['before'])
    await leaveOpen(lab.key)
    expect(await ask('meanwhile')).toEqual(['before'])
    expect(await lab.fence(null, { xid: '800' })).toBe('dropped')
    expect(await ask('after')).toEqual(['after'])
    await client.hset(guardKey(lab.key), 'l', 'token', 'le', '1')
    expect(await client.exists(lab.key), 'entry without its guard').toBe(1)
    await store.release([{ key: lab.key, token: 'token', failure: null }])
    expect(await client.hget(guardKey(lab.key), 'l')).toBeNull()
  })
})

describe('rows beside one whose slot is on its way', () => {
  const ROWS = 30

  async function start(options: Partial<CorralOptions<ShopDatabase>> = {}) {
    const shop = await ShopLab.open()
    const db = openShopDatabase(shop.databaseUrl, 6)
    const events = new Recorder()
    const { namespace } = shop
    const cache = { deadlineMs: 1_000, fenceDeadlineMs: 1_000 }
    const common = { db, redis: connect(), namespace, cache, onEvent: events.emit, l1: { maxEntries: 0 } }
    onTestFinished(() => db.destroy())
    const corral = createCorral({ ...common, ...options })
    onTestFinished(() => corral.close())
    const products = openProducts(corral)
    const inserted = await shop.run(
      `insert into products (price) select 1 from generate_series(1, ${ROWS}) returning id`,
    )
    const ids = inserted.map(({ id }) => Number(id))
    const hitsOf = async (of: readonly number[]) => {
      const before = events.count('hit')
      await products.findMany(of)
      return events.count('hit') - before
    }
    const keyOf = (id: number) => productKey(namespace, id)
    const first = ids[0] as number
    const beside = ids.filter((id) => id !== first && masterOf(keyOf(id)) === masterOf(keyOf(first)))
    const untilHeld = (of = ids) => waitUntil('the rows are held', 10_000, async () => (await hitsOf(of)) === of.length)
    return { shop, db, corral, products, events, ids, first, beside, hitsOf, keyOf, untilHeld }
  }

  it('are hits as ever, and no breaker opens', async () => {
    const { ids, first, hitsOf, keyOf, untilHeld, events } = await start()
    await untilHeld()
    const slot = await leaveOpen(keyOf(first))
    await slot.move([keyOf(first)])
    events.events.length = 0
    for (let round = 0; round < 8; round++) expect(await hitsOf(ids)).toBe(ROWS)
    expect(events.of('breaker')).toEqual([])
    expect(events.of('cache.unavailable')).toEqual([])
  })

  it('are filled and written as ever, while that one comes from the database', async () => {
    const { products, first, beside, keyOf, untilHeld, hitsOf, events } = await start()
    await untilHeld([beside[0] as number])
    await leaveOpen(keyOf(first))
    for (let round = 0; round < 8; round++) expect((await products.findMany([first, ...beside]))[0]?.price).toBe(1)
    await untilHeld(beside)
    expect((await products.update(first, { price: 2 }))?.fence).toBe('fenced')
    expect((await products.find(first))?.price).toBe(2)
    expect(await hitsOf([first, ...beside])).toBeGreaterThanOrEqual(beside.length)
    expect(events.of('breaker')).toEqual([])
    const said = events.of('cache.unavailable').map(({ operation, error }) => `${operation}: ${error}`)
    for (const words of said) expect(words, 'somebody is told why').toMatch(/^lease: .*(MOVED|ASK|TRYAGAIN)/)
    expect(said.length).toBeGreaterThan(0)
  })

  it('are hits as ever also where that one leads nowhere: the other node has forgotten that it was to come', async () => {
    const { ids, first, beside, hitsOf, keyOf, untilHeld, events } = await start()
    await untilHeld(beside)
    await leaveOpen(keyOf(first))
    await redisCommand(portOf(masterOf(keyOf(first)) + 1), 'CLUSTER', 'SETSLOT', keySlot(keyOf(first)), 'STABLE')
    await untilHeld(ids.slice(1))
    events.events.length = 0
    for (let round = 0; round < 8; round++) expect(await hitsOf(ids)).toBe(ROWS - 1)
    expect(events.of('breaker')).toEqual([])
    const said = events.of('cache.unavailable').map(({ error }) => String(error))
    for (const words of said) expect(words).toMatch(/of \d+ were refused: .*(MOVED|ASK)/)
  })

  it('are fenced by the relay as ever, and so is that one', { timeout: 60_000 }, async () => {
    const { shop, db, corral, products, first, beside, keyOf, events } = await start({ relay: true })
    await outboxTables().up(db as never)
    await outboxTable({ table: 'products', key: 'id', unique: ['slug', 'slug_key'] }).up(db as never)
    await waitUntil('the relay leads', 10_000, () => corral.stats().relay === 'leader')
    const pair = [first, beside[0] as number]
    await waitUntil('both are cached', 20_000, async () => {
      const before = events.count('hit')
      await products.findMany(pair)
      return events.count('hit') - before === 2
    })
    await leaveOpen(keyOf(first))
    for (const id of pair) {
      await shop.run(`update products set price = 2 where id = ${id}`)
      await waitUntil('the other price is read', 3_000, async () => (await products.find(id))?.price === 2)
    }
  })
})
