import { expect, it } from 'vitest'
import { outboxTable, outboxTables } from '../../../src/migrations.js'
import { waitUntil } from '../../support/servers/wait.js'
import { freshNamespace } from '../../support/services.js'
import { openShopDatabase, ShopLab, type ShopProcess, untilCached } from '../../support/shop-lab.js'
import { insertProduct, openRelayedShop, untilLeads } from './relay-lab.js'

const BOUND = { consistency: { maxStaleMs: 2_000 } } as const

/** Until the reader is answered by the cache within the bound, of a row that it has not asked for. */
async function untilProven({ products, events }: ShopProcess, id: number): Promise<void> {
  await waitUntil('the cache can prove something', 10_000, async () => {
    const before = events.count('hit')
    await products.find(id, BOUND)
    return events.count('hit') > before
  })
}

it('what was changed before the first relay of a namespace is not proven by it, though others have had the outbox emptied', async () => {
  const shop = await openRelayedShop()
  const [id, another] = [await insertProduct(shop), await insertProduct(shop)]
  const reader = shop.start()
  await untilCached(reader, id)
  await shop.run(`update products set price = 2 where id = ${id}`)
  // Another service of the same database relays, and lets go of what it has relayed.
  const namespace = freshNamespace()
  const other = shop.start({ namespace, relay: { pollMs: 20 } })
  await untilLeads(other)
  await waitUntil('it has settled', 5_000, async () => {
    return (
      (await shop.run(`select from corral.positions where namespace = '${namespace}' and began > '-infinity'`)).length >
      0
    )
  })
  await other.corral.close()
  await shop.run('truncate corral.outbox_0, corral.outbox_1')

  const relay = shop.start({ relay: { pollMs: 20 } })
  await untilLeads(relay)
  await untilProven(reader, another)
  expect((await reader.products.find(id, BOUND))?.price).toBe(2)
  expect((await reader.products.find(id))?.price).toBe(2)
  expect(relay.events.count('relay.failed')).toBe(0)
}, 40_000)

it('what was changed before a table told of its changes is not proven once it does', async () => {
  const shop = await ShopLab.open()
  const db = openShopDatabase(shop.databaseUrl, 1)
  await outboxTables().up(db)
  const relay = shop.start({ relay: { pollMs: 20 } })
  await untilLeads(relay)
  const [id, another] = [await insertProduct(shop), await insertProduct(shop)]
  const old = shop.start()
  await untilCached(old, id)
  expect(old.corral.stats().durability).toBe('ttl-only')
  await shop.run(`update products set price = 2 where id = ${id}`)
  await old.corral.close()

  // A deployment: the migration first, then the processes that rely on it.
  await outboxTable({ table: 'products', key: 'id', unique: ['slug', 'slug_key'] }).up(db)
  await db.destroy()
  const reader = shop.start()
  await untilProven(reader, another)
  expect(reader.corral.stats().durability).toBe('outbox')
  expect((await reader.products.find(id, BOUND))?.price).toBe(2)
  expect((await reader.products.find(id))?.price).toBe(2)
}, 40_000)
