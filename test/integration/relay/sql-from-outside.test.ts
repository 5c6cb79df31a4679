import { sql } from 'kysely'
import { beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { waitUntil } from '../../support/servers/wait.js'
import { openShopDatabase, type ShopLab, type ShopProcess } from '../../support/shop-lab.js'
import { openRelayedShop, relayOf, SOURCES, untilCaughtUp, untilLeads } from './relay-lab.js'

/** Statements after which changes of the products are not told any more, and are again. */
const SWITCH = {
  outbox: [
    'alter table products disable trigger zz_corral_outbox_row',
    'alter table products enable always trigger zz_corral_outbox_row',
  ],
  slot: ['alter publication corral drop table products', 'alter publication corral add table products'],
} as const

/** What a change may take from its commit until no process shows the old row any more. */
const LIMIT_MS = 1_000

describe.each(SOURCES)('a write by any SQL client reaches the cache through the %s:', (source) => {
  let shop: ShopLab
  let reader: ShopProcess
  let ids: number[]

  beforeAll(async () => {
    shop = await openRelayedShop(source)
    const db = openShopDatabase(shop.databaseUrl, 1)
    await sql`create table suppliers (id int primary key);
      alter table products add column supplier int references suppliers on delete cascade on update cascade;
      create function discount(which int) returns void language plpgsql as 'begin update products set price = price - 1 where id = which; end'`.execute(
      db,
    )
    await db.destroy()
  })

  beforeEach(async () => {
    const relay = shop.start({ relay: relayOf(shop, source, { pollMs: 20 }) })
    reader = shop.start({ l1: {} })
    const rows = await shop.run(
      `insert into products (slug, price) select 's' || g || '-' || txid_current(), 100 from generate_series(1, 5) g returning id`,
    )
    ids = rows.map(({ id }) => Number(id))
    await untilLeads(relay)
    await untilCaughtUp(shop, source)
  })

  /** Into Redis and into the memory of the reader, and sure that the next read comes from there. */
  async function cache(): Promise<void> {
    await waitUntil('all are held in memory', 5_000, async () => {
      await reader.products.findMany(ids)
      return ids.every((id) => reader.products.peek(id) !== undefined)
    })
  }

  it.each<[string, (ids: number[]) => string, (prices: (number | undefined)[]) => boolean]>([
    ['UPDATE', ([a]) => `update products set price = 7 where id = ${a}`, ([a, b]) => a === 7 && b === 100],
    ['DELETE', ([a]) => `delete from products where id = ${a}`, ([a, b]) => a === undefined && b === 100],
    [
      'an update that moves a key',
      ([a]) => `update products set id = ${a} + 100000 where id = ${a}`,
      ([a]) => a === undefined,
    ],
    ['a PL/pgSQL function', ([a]) => `select discount(${a})`, ([a]) => a === 99],
    [
      'a foreign key that cascades',
      ([a]) =>
        `insert into suppliers values (${a}); update products set supplier = ${a} where id = ${a}; delete from suppliers`,
      ([a]) => a === undefined,
    ],
    [
      'session_replication_role = replica',
      ([a]) =>
        `begin; set local session_replication_role = replica; update products set price = 6 where id = ${a}; commit`,
      ([a]) => a === 6,
    ],
    [
      'a statement that changes too many rows to list',
      () => 'update products set price = 5',
      (prices) => prices.every((price) => price === 5),
    ],
    ['TRUNCATE', () => 'truncate products', (prices) => prices.every((price) => price === undefined)],
  ])('%s', async (what, statement, isShown) => {
    if (what.includes('too many')) await shop.run('insert into products (price) select 1 from generate_series(1, 60)')
    await untilCaughtUp(shop, source)
    await cache()
    await shop.run(statement(ids))
    const committedMs = performance.now()
    await waitUntil('the reader shows it', 5_000, async () => {
      const rows = await reader.products.findMany(ids)
      return isShown(rows.map((row) => row?.price))
    })
    expect(performance.now() - committedMs).toBeLessThan(LIMIT_MS)
    // And in Redis, where a process without any memory looks.
    const other = shop.start()
    expect(isShown((await other.products.findMany(ids)).map((row) => row?.price))).toBe(true)
  })

  it('COPY, where an absence is remembered', async () => {
    const id = (ids[0] as number) + 200_000
    await waitUntil('the absence is cached', 5_000, async () => {
      await reader.products.find(id)
      return reader.events.of('hit').length > 0
    })
    await shop.run(`copy products (id, slug) from program 'printf "${id}\\tcopied-${id}"'`)
    await waitUntil('the reader finds it', LIMIT_MS, async () => (await reader.products.find(id)) !== undefined)
  })

  it('a unique value that moves to another row, and one that nobody had', async () => {
    const [a, b] = ids as [number, number]
    const slugs = await shop.run(`select slug from products where id in (${a}, ${b}) order by id`)
    const [taken, free] = [String(slugs[0]?.slug), `free-${a}`]
    await waitUntil('both are cached', 5_000, async () => {
      reader.events.events.length = 0
      expect((await reader.products.findBy({ slug: taken }))?.id).toBe(a)
      expect(await reader.products.findBy({ slug: free })).toBeUndefined()
      return reader.events.count('load') === 0
    })
    await shop.run(`update products set slug = null where id = ${a}; update products set slug = '${taken}' where id = ${b};
      update products set slug = '${free}' where id = ${a}`)
    await waitUntil('the lookups lead to where they should', LIMIT_MS, async () => {
      const [byTaken, byFree] = [
        await reader.products.findBy({ slug: taken }),
        await reader.products.findBy({ slug: free }),
      ]
      return byTaken?.id === b && byFree?.id === a
    })
  })

  it('cached queries', async () => {
    const expensive = reader.corral.query('expensive', (db) =>
      db.selectFrom('products').select('id').where('price', '=', 4_321),
    )
    const cheap = reader.corral.query('cheap', (db) =>
      db.selectFrom('products').select('id').where('price', '<', 4_321),
    )
    await untilCaughtUp(shop, source)
    await waitUntil('both are cached', 5_000, async () => {
      reader.events.events.length = 0
      await expensive()
      await cheap()
      return reader.events.count('load') === 0
    })
    await shop.run(`update products set price = 4321 where id = ${ids[0]}`)
    await waitUntil('the query shows it', LIMIT_MS, async () => (await expensive()).length === 1)
    expect(await cheap()).not.toContainEqual({ id: ids[0] })
  })

  it('and says so: durability', async () => {
    expect(reader.corral.stats()).toMatchObject({ durability: 'ttl-only', relay: 'off' })
    await reader.products.find(ids[0] as number)
    expect(reader.corral.stats().durability).toBe(source)
    expect(reader.events.of('durability')).toEqual([
      { type: 'durability', entity: 'public.products', durability: source },
    ])
    const [off, on] = SWITCH[source]
    await shop.run(off)
    const other = shop.start()
    await other.products.find(ids[0] as number)
    expect(other.corral.stats().durability).toBe('ttl-only')
    await shop.run(on)
  })
})
