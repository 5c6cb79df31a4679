import { Redis } from 'ioredis'
import { Kysely, PostgresDialect, sql } from 'kysely'
import pg from 'pg'
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { pruneTombstones } from '../../../src/adapters/postgres/prune-tombstones.js'
import { createCorral } from '../../../src/client.js'
import { isCorralError } from '../../../src/core/errors.js'
import { guardKey } from '../../../src/core/key.js'
import { outboxTable } from '../../../src/migrations.js'
import { startRelay } from '../../../src/relay-process.js'
import { startRedis } from '../../support/servers/redis.js'
import { waitUntil } from '../../support/servers/wait.js'
import { freshNamespace, redisUrl } from '../../support/services.js'
import { openShopDatabase, productKey, ShopLab, untilCached } from '../../support/shop-lab.js'
import { TelemetryLab } from '../../support/telemetry-lab.js'
import { insertProduct, openRelayedShop, untilCaughtUp, untilLeads } from './relay-lab.js'

const BOUND = { consistency: { maxStaleMs: 2_000 } } as const

let shop: ShopLab
beforeAll(async () => {
  shop = await openRelayedShop()
})

describe('bounded reads', () => {
  it('of rows, lookups and queries are answered by the cache while a relay is at work, and by the database when it is gone', async () => {
    const relay = shop.start({ relay: true })
    await untilLeads(relay)
    const reader = shop.start({ l1: {} })
    const id = await insertProduct(shop)
    await shop.run(`update products set slug = 'bound-${id}' where id = ${id}`)
    await untilCaughtUp(shop)
    const dear = reader.corral.query('dear', (db) => db.selectFrom('products').select('id').where('price', '>', 100))
    const read = async () => {
      reader.events.events.length = 0
      await reader.products.find(id, BOUND)
      await reader.products.findMany([id], BOUND)
      await reader.products.findBy({ slug: `bound-${id}` }, BOUND)
      await dear(undefined, BOUND)
      return reader.events.count('load')
    }
    await waitUntil('no read needs the database', 10_000, async () => (await read()) === 0)
    expect(reader.corral.stats().watermarkAgeMs).toBeLessThan(2_000)
    await relay.corral.close()
    await waitUntil('all do', 10_000, async () => (await read()) >= 4)
    expect(reader.events.of('miss').map(({ reason }) => reason)).toContain('unproven')
    expect(reader.corral.stats().watermarkAgeMs).toBeGreaterThan(2_000)
  })

  it('of a table without outbox triggers are answered by the database', async () => {
    const other = await ShopLab.open()
    const reader = other.start()
    await other.run('insert into products (price) values (1)')
    for (let reads = 0; reads < 3; reads++) await reader.products.find(1, BOUND)
    const cheap = reader.corral.query('cheap', (db) => db.selectFrom('products').select('id').where('price', '<', 100))
    for (let reads = 0; reads < 3; reads++) await cheap(undefined, BOUND)
    expect(reader.events.count('load')).toBe(6)
    expect(reader.events.count('hit')).toBe(0)
  })

  it('of a table whose triggers do not tell of its lookups are answered by the database', async () => {
    const other = await openRelayedShop()
    const db = openShopDatabase(other.databaseUrl, 1)
    onTestFinished(() => db.destroy())
    await outboxTable({ table: 'products', key: 'id', unique: ['slug'] }).up(db)
    await untilLeads(other.start({ relay: { pollMs: 20 } }))
    await untilCaughtUp(other)
    const reader = other.start()
    for (let reads = 0; reads < 3; reads++) {
      await reader.products.findBy({ slug_key: 'nobody' }, BOUND)
      await reader.products.findBy({ slug_key: 'nobody' })
    }
    expect(reader.corral.stats().durability).toBe('ttl-only')
    expect(reader.events.of('miss').filter(({ reason }) => reason === 'unproven').length).toBeGreaterThanOrEqual(2)
  })

  it.each([
    [{ maxStaleMs: 0 }, 'consistency.maxStaleMs', '1 to 86400000'],
    [{ maxStaleMs: '5s' }, 'consistency.maxStaleMs', '"5s"'],
    [{ maxStaleMs: Number.NaN }, 'consistency.maxStaleMs', 'NaN'],
    [{ maxAgeMs: 5 }, 'consistency.maxAgeMs', '`maxStaleMs`'],
    ['fresh', 'consistency', '{ maxStaleMs }'],
    [null, 'consistency', 'null'],
  ])('refuse %j', async (consistency, option, said) => {
    const { products, corral } = shop.start()
    const query = corral.query('all', (db) => db.selectFrom('products').select('id').limit(1))
    const options = { consistency: consistency as never }
    const reads = [
      () => products.find(1, options),
      () => products.findMany([1], options),
      () => query(undefined, options),
    ]
    for (const read of reads) {
      const error = await read().catch((refused: unknown) => refused)
      expect(isCorralError(error, 'CONFIG_INVALID')).toBe(true)
      expect(String(error)).toContain(`option \`${option}\``)
      expect(String(error)).toContain(said)
    }
  })

  it('follow SQL from outside within the relay’s lag', async () => {
    const relay = shop.start({ relay: { pollMs: 20 } })
    await untilLeads(relay)
    const reader = shop.start({ l1: {} })
    const id = await insertProduct(shop)
    for (let price = 2; price < 12; price++) {
      await shop.run(`update products set price = ${price} where id = ${id}`)
      const committedMs = performance.now()
      await waitUntil('it is shown', 2_000, async () => (await reader.products.find(id, BOUND))?.price === price)
      expect(performance.now() - committedMs).toBeLessThan(2_000)
    }
  })
})

describe('bumpEpoch', () => {
  it('makes a miss of everything, everywhere, within a heartbeat', async () => {
    const [one, other] = [shop.start(), shop.start({ l1: {}, isMute: true })]
    const id = await insertProduct(shop)
    await untilCached(one, id)
    await other.products.find(id)
    await shop.run(`begin; alter table products disable trigger user; update products set price = 9 where id = ${id};
      do $$ declare each name; begin
        for each in select tgname from pg_trigger where tgrelid = 'products'::regclass and not tgisinternal loop
          execute format('alter table products enable always trigger %I', each);
        end loop;
      end $$; commit`)
    expect((await one.products.find(id))?.price, 'nobody was told').toBe(1)
    expect(await one.corral.bumpEpoch()).toBe('fenced')
    const bumpedMs = performance.now()
    expect((await one.products.find(id))?.price).toBe(9)
    await waitUntil('the other has seen it', 3_000, async () => (await other.products.find(id))?.price === 9)
    expect(performance.now() - bumpedMs).toBeLessThan(1_500)
  })

  it('with the cache away is in the database, and everybody is told when it is back', async () => {
    const redis = await startRedis({ own: true })
    onTestFinished(() => redis.stop())
    const options = { namespace: freshNamespace(), redisUrl: redis.url, cache: { deadlineMs: 50 } }
    const [one, other] = [shop.start(options), shop.start({ ...options, isMute: true })]
    const id = await insertProduct(shop)
    await untilCached(one, id)
    await other.products.find(id)
    await redis.freeze()
    expect(await one.corral.bumpEpoch()).toBe('pending')
    await redis.thaw()
    await waitUntil('the other knows', 5_000, () => other.events.count('epoch') === 1)
  })

  it('needs an outbox to keep it in', async () => {
    const error = await (await ShopLab.open())
      .start()
      .corral.bumpEpoch()
      .catch((refused: unknown) => refused)
    expect(isCorralError(error, 'CONFIG_INVALID')).toBe(true)
    expect(String(error)).toContain('outboxTables')
  })
})

describe('a Redis user who may not ask INFO', () => {
  it('gets all fences, and no proof: bounded reads go to the database, and a new connection gets the window again', async () => {
    const redis = await startRedis({ own: true })
    onTestFinished(() => redis.stop())
    const admin = new Redis(redis.url)
    await admin.call('ACL', 'SETUSER', 'app', 'on', '>secret', '~*', '&*', '+@all', '-info')
    const url = redis.url.replace('redis://', 'redis://app:secret@')
    const namespace = freshNamespace()
    const redisOf = () => new Redis(url, { enableReadyCheck: false, lazyConnect: true })
    const db = openShopDatabase(shop.databaseUrl, 3)
    const events: string[] = []
    const relay = startRelay({
      ...{ db, redis: redisOf(), namespace, relay: { pollMs: 20 } },
      onEvent: (event) => {
        if (event.type === 'relay.shard') events.push(event.standing)
      },
    })
    onTestFinished(async () => {
      await relay.close()
      await db.destroy()
      admin.disconnect()
    })
    const reader = shop.start({ namespace, redisUrl: redis.url })
    await waitUntil('it leads', 5_000, () => relay.role === 'leader' && events.at(-1) === 'current')
    const id = await insertProduct(shop)
    await untilCached(reader, id)
    await shop.run(`update products set price = 2 where id = ${id}`)
    await waitUntil('the write is shown', 2_000, async () => (await reader.products.find(id))?.price === 2)
    for (let reads = 0; reads < 5; reads++) await reader.products.find(id, BOUND)
    expect(reader.events.of('miss').filter(({ reason }) => reason === 'unproven')).toHaveLength(5)
    events.length = 0
    await admin.call('CLIENT', 'KILL', 'USER', 'app')
    await waitUntil('the window was carried again', 5_000, () => events.join() === 'replaying,current')
  })
})

describe('tombstones', () => {
  it('are pruned by a relay that may', async () => {
    const db = openShopDatabase(shop.databaseUrl, 1)
    onTestFinished(() => db.destroy())
    await shop.run(`insert into corral.tombstones select 'x', array[g::text], 1 from generate_series(1, 10001) g`)
    expect(await pruneTombstones(db), 'more are left').toBe(true)
    expect(await pruneTombstones(db)).toBe(false)
    expect(await shop.run(`select 1 from corral.tombstones where entity = 'x'`)).toEqual([])
    const role = `corral_relay_${process.pid}`
    await sql.raw(`create role ${role}`).execute(db)
    await db.transaction().execute(async (tx) => {
      await sql.raw(`set local role ${role}`).execute(tx)
      expect(await pruneTombstones(tx), 'and left alone by one that may not').toBe(false)
    })
    await sql.raw(`drop role ${role}`).execute(db)
  })
})

/** A database behind a pooler that gives each statement the connection that is free, which now and then is the other one. */
async function openPooled(databaseUrl: string): Promise<Kysely<unknown>> {
  const sessions = [0, 1].map(() => new pg.Client({ connectionString: databaseUrl }))
  for (const session of sessions) await session.connect()
  onTestFinished(async () => {
    for (const session of sessions) await session.end()
  })
  let epochs = 0
  const query = (statement: string, values: unknown[]) => {
    if (statement.startsWith('with raised as')) epochs++
    return (sessions[epochs % 2] as pg.Client).query(statement, values)
  }
  const pool = { connect: async () => ({ query, release() {} }), end: async () => {} }
  return new Kysely({ dialect: new PostgresDialect({ pool: pool as never }) })
}

it('a relay in a database without an outbox says which migration is missing', async () => {
  const bare = await ShopLab.open()
  const { events } = bare.start({ relay: { electionMs: 50 } })
  await waitUntil('it has failed', 5_000, () => events.count('relay.failed') > 0)
  const error = events.of('relay.failed')[0]?.error
  expect(isCorralError(error, 'CONFIG_INVALID'), String(error)).toBe(true)
  expect(String(error)).toContain('outboxTables')
})

it('a leader that finds itself in another session gives up and says why: its lock is the other one’s', async () => {
  const redis = new Redis(redisUrl())
  const failures: unknown[] = []
  const relay = startRelay({
    ...{ db: await openPooled(shop.databaseUrl), redis, namespace: freshNamespace(), relay: { electionMs: 50 } },
    onEvent: (event) => {
      if (event.type === 'relay.failed') failures.push(event.error)
    },
  })
  onTestFinished(async () => {
    await relay.close()
    redis.disconnect()
  })
  await waitUntil('it has given up', 5_000, () => failures.length > 0)
  expect(isCorralError(failures[0], 'CONFIG_INVALID')).toBe(true)
  expect(String(failures[0])).toMatch(/pooler/)
})

it('a relay of its own leaves fences where nothing is cached, if others load from a standby', async () => {
  const namespace = freshNamespace()
  const db = openShopDatabase(shop.databaseUrl, 3)
  const redis = new Redis(redisUrl())
  const relay = startRelay({ db, redis, namespace, replica: {}, relay: { pollMs: 20 } })
  onTestFinished(async () => {
    await relay.close()
    await db.destroy()
    redis.disconnect()
  })
  const guard = guardKey(productKey(namespace, await insertProduct(shop)))
  await waitUntil('the fence is remembered', 5_000, async () => (await redis.exists(guard)) === 1)
})

it('a relay of its own is measured and traced like one within an instance', async () => {
  const [within, own] = [TelemetryLab.open(), TelemetryLab.open()]
  const db = openShopDatabase(shop.databaseUrl, 6)
  const redis = new Redis(redisUrl())
  const options = { db, redis, relay: { pollMs: 20 } }
  const corral = createCorral({ ...options, namespace: freshNamespace(), telemetry: within.options })
  const relay = startRelay({ ...options, namespace: freshNamespace(), telemetry: own.options })
  onTestFinished(async () => {
    await Promise.all([corral.close(), relay.close()])
    await db.destroy()
    redis.disconnect()
  })
  await waitUntil('both lead', 5_000, () => corral.stats().relay === 'leader' && relay.role === 'leader')
  await insertProduct(shop)
  for (const sdk of [within, own]) {
    await waitUntil('the change is counted', 5_000, async () => (await sdk.sum('cache.relay.changes')) > 0)
    expect(await sdk.sum('cache.relay.leader')).toBe(1)
    expect(sdk.spansCalled('cache.relay batch')).not.toEqual([])
  }
})

it('a relay of its own needs a cache to tell', () => {
  const db = openShopDatabase(shop.databaseUrl, 1)
  onTestFinished(() => db.destroy())
  expect(() => startRelay({ db, namespace: 'shop' } as never)).toThrow(/option `redis`/)
  expect(redisUrl()).toContain('redis://')
})
