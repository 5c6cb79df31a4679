import { outboxTable, outboxTables } from '../../../src/migrations.js'
import { waitUntil } from '../../support/servers/wait.js'
import { openShopDatabase, ShopLab, type ShopProcess } from '../../support/shop-lab.js'

/** A shop whose products have outbox triggers. */
export async function openRelayedShop(): Promise<ShopLab> {
  const shop = await ShopLab.open()
  const db = openShopDatabase(shop.databaseUrl, 1)
  await outboxTables().up(db)
  await outboxTable({ table: 'products', key: 'id', unique: ['slug', 'slug_key'], columns: ['price'], maxRows: 50 }).up(
    db,
  )
  await db.destroy()
  return shop
}

export async function untilLeads({ corral }: ShopProcess): Promise<void> {
  await waitUntil('the relay leads', 5_000, () => corral.stats().relay === 'leader')
}

/** Resolves when nothing that was written before this call is still to be relayed: a change made now has been, too. */
export async function untilCaughtUp(shop: ShopLab): Promise<void> {
  const [own] = await shop.run('insert into products (price) values (0) returning pg_current_xact_id()::text as xid')
  await waitUntil('the relay has caught up', 5_000, async () => {
    const position = await positionOf(shop)
    return position !== undefined && BigInt(position.split(':')[0] as string) > BigInt(String(own?.xid))
  })
}

/** What the relay has settled last. */
export async function positionOf(shop: ShopLab): Promise<string | undefined> {
  const [row] = await shop.run(
    `select position::text as position from corral.positions where namespace = '${shop.namespace}' order by began desc limit 1`,
  )
  return row && String(row.position)
}
