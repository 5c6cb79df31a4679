import { setImmediate } from 'node:timers/promises'
import { Redis } from 'ioredis'
import pg from 'pg'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { guardKey } from '../../../src/core/key.js'
import { outboxTable, outboxTables } from '../../../src/migrations.js'
import { waitUntil } from '../../support/servers/wait.js'
import { redisUrl } from '../../support/services.js'
import { openShopDatabase, productKey } from '../../support/shop-lab.js'
import { type ReplicaReader, StandbyLab } from '../../support/standby-lab.js'

/** Fences are forgotten after a second; a standby may then lag half a second at most. */
const FORGETFUL = { cache: { fenceMs: 1_000, deadlineMs: 10_000, giveUpMs: 10_000 }, lease: { maxMs: 900 } }

let lab: StandbyLab
let redis: Redis
beforeAll(async () => {
  redis = new Redis(redisUrl())
  lab = await StandbyLab.open({
    prepare: async (db) => {
      await outboxTables().up(db)
      await outboxTable({ table: 'products', key: 'id', unique: ['slug', 'slug_key'] }).up(db)
    },
  })
})
afterAll(async () => {
  redis.disconnect()
  await lab.close()
})

const writer = (options = {}) => lab.shop.start({ replica: {}, ...options })
/** What it writes, nobody is told of on the bus. */
const muteWriter = (options = {}) => writer({ isMute: true, ...options })

function keyOf(id: number) {
  return productKey(lab.shop.namespace, id)
}

/** A row the standby shows at price 1, and that nothing is cached of. */
async function row(): Promise<number> {
  const id = await lab.insert(1)
  await lab.catchUp()
  return id
}

describe('a standby that has replayed everything', () => {
  it('gives what misses, and it is stored for everybody', async () => {
    const reader = await lab.reader()
    const id = await row()
    expect((await reader.products.find(id))?.price).toBe(1)
    expect(reader.origins()).toEqual(['replica'])
    const other = await lab.reader()
    expect((await other.products.find(id))?.price).toBe(1)
    expect(other.origins()).toEqual([])
    expect(await other.products.find(id + 1_000_000)).toBeUndefined()
    expect(other.origins()).toEqual(['replica'])
    expect(await reader.products.find(id + 1_000_000)).toBeUndefined()
    expect(reader.origins()).toEqual([])
  })

  it('is not asked where only the primary will do', async () => {
    const reader = await lab.reader()
    const id = await row()
    for (const consistency of ['primary', 'refresh'] as const) {
      expect((await reader.products.find(id, { consistency }))?.price).toBe(1)
    }
    expect(reader.origins()).toEqual(['primary', 'primary'])
  })

  it('warms', async () => {
    const reader = await lab.reader()
    const ids = [await lab.insert(), await row()]
    expect(await reader.products.warm(ids)).toMatchObject({ filled: 2, failed: 0 })
    expect(reader.origins()).toEqual(['replica'])
  })
})

describe('a standby that lags', () => {
  let reader: ReplicaReader
  beforeEach(async () => {
    reader = await lab.reader()
  })

  it('gives way to a fence, though nothing was cached when it came', async () => {
    const id = await row()
    await lab.pause()
    expect((await muteWriter().products.update(id, { price: 2 }))?.fence).toBe('fenced')
    expect((await reader.products.find(id))?.price).toBe(2)
    expect(reader.origins()).toEqual(['replica', 'fenced', 'primary'])
    expect((await reader.products.find(id))?.price).toBe(2)
    expect(reader.origins()).toEqual([])
  })

  it('gives nothing to who begins when its row was stored and fenced since, and the answer to that is on its way', async () => {
    const id = await row()
    const stored = reader.cache.pause('after fill')
    const early = reader.products.find(id)
    await stored.reached
    await lab.pause()
    expect((await muteWriter().products.update(id, { price: 2 }))?.fence).toBe('fenced')
    const look = reader.cache.pause('after read')
    const late = reader.products.find(id)
    await look.reached
    look.resume()
    // It has found nothing, and joins what is under way or asks for itself.
    await setImmediate()
    stored.resume()
    expect((await late)?.price).toBe(2)
    expect((await early)?.price, 'began before the write').toBe(1)
  })

  it('gives way to the fence of a row that was deleted, and of one that was made', async () => {
    const id = await row()
    await lab.pause()
    const { products } = muteWriter()
    await products.delete(id)
    const made = await products.insert({ price: 3 })
    expect(await reader.products.find(id)).toBeUndefined()
    expect((await reader.products.find(made.row.id))?.price).toBe(3)
    expect(reader.origins()).toEqual(['replica', 'fenced', 'primary', 'replica', 'fenced', 'primary'])
  })

  it('gives way to a fence that knows neither version nor transaction', async () => {
    const id = await row()
    await lab.pause()
    await lab.shop.run(`update products set price = 2 where id = ${id}`)
    const unknown = { version: null, xid: null, replacement: null }
    await muteWriter().cache.fence([{ ...unknown, key: keyOf(id), keepMs: 60_000, rememberAlways: true }])
    expect((await reader.products.find(id))?.price).toBe(2)
    expect(reader.origins()).toEqual(['replica', 'fenced', 'primary'])
  })

  it('gives way to what was heard on the bus, though Redis has lost the fence', async () => {
    const id = await row()
    await lab.pause()
    await writer().products.update(id, { price: 2 })
    await redis.del(guardKey(keyOf(id)))
    await waitUntil('it is heard', 5_000, async () => {
      reader.events.events.length = 0
      expect((await reader.products.find(id))?.price).toBe(2)
      return reader.origins().join() === 'replica,floor,primary'
    })
  })

  it('gives way to what this process wrote itself', async () => {
    const id = await row()
    await lab.pause()
    await reader.products.update(id, { price: 2 })
    await redis.del(keyOf(id), guardKey(keyOf(id)))
    expect((await reader.products.find(id))?.price).toBe(2)
    expect(reader.origins()).toEqual(['replica', 'floor', 'primary'])
  })

  it('gives way to a session that knows of more', async () => {
    const id = await row()
    await lab.pause()
    const { corral, products } = muteWriter()
    const session = corral.session()
    await products.update(id, { price: 2 }, { session })
    await redis.del(keyOf(id), guardKey(keyOf(id)))
    const here = reader.corral.session(session.token)
    expect((await reader.products.find(id, { session: here }))?.price).toBe(2)
    expect(reader.origins()).toEqual(['replica', 'floor', 'primary'])
  })

  it('gives way to what the relay carries of a write by SQL', async () => {
    const relay = lab.shop.start({ replica: {}, relay: { pollMs: 20 }, isMute: true })
    await waitUntil('it relays', 5_000, () => relay.corral.stats().relay === 'leader')
    const id = await row()
    await lab.pause()
    await lab.shop.run(`update products set price = 2 where id = ${id}`)
    await waitUntil('it is carried', 5_000, () => relay.events.of('relay.batch').length > 0)
    await waitUntil('it is shown', 1_000, async () => (await reader.products.find(id))?.price === 2)
    expect((await reader.products.find(id))?.price).toBe(2)
  })

  it('is not asked after TRUNCATE: there are no fences of all that is gone', async () => {
    const relay = writer({ relay: { pollMs: 20 } })
    await waitUntil('it relays', 5_000, () => relay.corral.stats().relay === 'leader')
    const id = await row()
    await lab.pause()
    await lab.shop.run('truncate products')
    await waitUntil('the epoch is known', 5_000, () => reader.events.of('epoch').length > 0)
    reader.events.events.length = 0
    expect(await reader.products.find(id)).toBeUndefined()
    expect(reader.origins().at(-1)).toBe('primary')
    expect(await reader.products.find(id)).toBeUndefined()
    expect(reader.origins()).toEqual([])
  })

  it('is left alone when it lags further than fences are remembered', async () => {
    const forgetful = await lab.reader(FORGETFUL)
    const id = await row()
    await lab.pause()
    await muteWriter(FORGETFUL).products.update(id, { price: 2 })
    await waitUntil('the fence is forgotten', 5_000, async () => (await redis.exists(guardKey(keyOf(id)))) === 0)
    expect((await forgetful.products.find(id))?.price).toBe(2)
    expect(forgetful.origins()).toEqual(['replica', 'behind', 'primary'])
    const second = await lab.insert()
    await forgetful.products.find(second)
    expect(forgetful.origins(), 'and not asked again at once').toEqual(['primary'])
  })

  it('cannot store what its process held back until the fences were forgotten', async () => {
    const forgetful = await lab.reader(FORGETFUL)
    const id = await row()
    await lab.pause()
    await muteWriter(FORGETFUL).products.update(id, { price: 2 })
    const paused = forgetful.cache.pause('before fill')
    const reading = forgetful.products.find(id)
    await paused.reached
    // The lease is kept for longer than the fence: a guard of its own keeps it, as a second fence would.
    await redis.pexpire(guardKey(keyOf(id)), 60_000)
    await waitUntil('the fence is forgotten', 5_000, async () => {
      const until = Number(await redis.hget(guardKey(keyOf(id)), 'fe'))
      const [seconds] = await redis.time()
      return Number(seconds) * 1_000 > until
    })
    paused.resume()
    expect((await reading)?.price).toBe(2)
    expect((await forgetful.products.find(id))?.price).toBe(2)
  })
})

describe('a standby that does not answer', () => {
  it('costs one reader a tenth of the time it has, and is left alone then', async () => {
    const reader = await lab.reader({ load: { hardTimeoutMs: 5_000 } })
    const ids = [await lab.insert(), await row()] as const
    await lab.standby.freeze()
    try {
      const startedMs = performance.now()
      expect((await reader.products.find(ids[0]))?.price).toBe(1)
      expect(performance.now() - startedMs).toBeLessThan(2_000)
      expect(reader.origins()).toEqual(['failed', 'primary'])
      expect((await reader.products.find(ids[1]))?.price).toBe(1)
      expect(reader.origins()).toEqual(['primary'])
    } finally {
      await lab.standby.thaw()
    }
  })
})

describe('a primary that was demoted', () => {
  /** An application whose pool still leads to what is a standby now. */
  const onDemoted = (options = {}) => lab.shop.start({ databaseUrl: lab.standbyUrl, ...options })

  it('is noticed by the load itself, and nothing of it is stored', async () => {
    const { products, events, corral } = onDemoted()
    const id = await row()
    expect((await products.find(id))?.price).toBe(1)
    const query = corral.query('dear', (db) => db.selectFrom('products').select('id').where('price', '>', 1_000_000))
    expect(await query()).toEqual([])
    expect(events.count('primary.recovering')).toBe(2)
    expect(events.count('fill')).toBe(0)
    expect(await redis.exists(keyOf(id))).toBe(0)
    expect((await products.find(id))?.price).toBe(1)
    expect(events.count('hit')).toBe(0)
  })

  it('does not pass for the primary', async () => {
    const { products, corral } = onDemoted()
    const id = await row()
    for (const consistency of ['primary', 'refresh', 'verified'] as const) {
      await expect(products.find(id, { consistency })).rejects.toMatchObject({
        code: 'SOURCE_FAILED',
        retryable: true,
        message: expect.stringContaining('in recovery'),
      })
    }
    const query = corral.query('all', (db) => db.selectFrom('products').select('id'))
    await expect(query(undefined, { consistency: 'primary' })).rejects.toMatchObject({ code: 'SOURCE_FAILED' })
  })

  it('takes nobody back in time', async () => {
    const { products, corral, events } = onDemoted()
    const id = await row()
    await lab.pause()
    const other = writer()
    const session = other.corral.session()
    await other.products.update(id, { price: 2 }, { session })
    const here = corral.session(session.token)
    await expect(products.find(id, { session: here })).rejects.toMatchObject({ code: 'SOURCE_FAILED' })
    expect(events.count('floor.reset')).toBe(0)
    await lab.resume()
    await waitUntil('it has caught up', 5_000, async () => (await products.find(id, { session: here }))?.price === 2)
  })
})

it('a snapshot of a standby claims to show a transaction that is still open on the primary', async () => {
  const id = await row()
  const client = new pg.Client({ connectionString: lab.shop.databaseUrl })
  await client.connect()
  await client.query(`begin; update products set price = 2 where id = ${id}`)
  const [open] = (await client.query('select pg_current_xact_id()::text as xid')).rows
  await lab.insert()
  await lab.catchUp()
  const [seen] = await lab.onStandby(`select pg_visible_in_snapshot('${open.xid}', pg_current_snapshot()) as claimed,
    pg_snapshot_xmin(pg_current_snapshot())::text as xmin, (select price from products where id = ${id}) as price`)
  await client.query('rollback')
  await client.end()
  expect(seen).toEqual({ claimed: true, xmin: open.xid, price: 1 })
})

it('the test servers have what these tests stand on: the paused standby does lag', async () => {
  const id = await row()
  await lab.pause()
  await lab.shop.run(`update products set price = 2 where id = ${id}`)
  const db = openShopDatabase(lab.standbyUrl, 1)
  const seen = await db.selectFrom('products').select('price').where('id', '=', id).executeTakeFirst()
  await db.destroy()
  expect(seen?.price).toBe(1)
})
