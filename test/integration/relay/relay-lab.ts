import { type Kysely, sql } from 'kysely'
import { afterAll, beforeAll, it } from 'vitest'
import type { RelayOptions } from '../../../src/index.js'
import { outboxTable, outboxTables, slotTable, slotTables } from '../../../src/migrations.js'
import { startPostgres } from '../../support/servers/postgres.js'
import { waitUntil } from '../../support/servers/wait.js'
import { openShopDatabase, type ShopDatabase, ShopLab, type ShopProcess, untilCached } from '../../support/shop-lab.js'

/** Where a relay learns what has changed. What it makes of it has to be the same. */
export type Source = NonNullable<RelayOptions['source']>
export const SOURCES: readonly Source[] = ['outbox', 'slot']

const PRODUCTS = { table: 'products', key: 'id', unique: ['slug', 'slug_key'], columns: ['price'] } as const

/** A shop whose products are told to a relay. Through a slot: on a server of its own, because slots outlive databases. */
export async function openRelayedShop(source: Source = 'outbox'): Promise<ShopLab> {
  const shop = await ShopLab.open(source === 'slot' ? await logicalDatabase() : undefined)
  const db = openShopDatabase(shop.databaseUrl, 1)
  await watchProducts(db, source)
  await db.destroy()
  return shop
}

/** A relayed shop for each source, opened before the tests of a file. */
export function openRelayedShops(): Readonly<Record<Source, ShopLab>> {
  const shops = {} as Record<Source, ShopLab>
  beforeAll(async () => {
    await Promise.all(
      SOURCES.map(async (source) => {
        shops[source] = await openRelayedShop(source)
      }),
    )
  })
  return shops
}

/** A test over every source, at the same time: most of it is waiting. */
export function itOverEachSource(what: string, run: (source: Source) => Promise<void>, timeoutMs?: number): void {
  const overEach = async () => {
    const ends = await Promise.allSettled(SOURCES.map(run))
    for (const [at, end] of ends.entries()) {
      if (end.status === 'fulfilled') continue
      throw new Error(`with a relay that reads the ${SOURCES[at]}: ${end.reason}`, { cause: end.reason })
    }
  }
  it(`${what}, whatever the relay reads`, overEach, timeoutMs)
}

/** Runs the migrations after which a relay is told of the products. */
export async function watchProducts(db: Kysely<ShopDatabase>, source: Source): Promise<void> {
  if (source === 'slot') await keepSlugKeyByTrigger(db)
  const [all, products] =
    source === 'slot'
      ? [slotTables(), slotTable(PRODUCTS)]
      : [outboxTables(), outboxTable({ ...PRODUCTS, maxRows: 50 })]
  await all.up(db)
  await products.up(db)
}

/** Instead of having it generated: before Postgres 18 no slot is told of such columns. */
async function keepSlugKeyByTrigger(db: Kysely<ShopDatabase>): Promise<void> {
  await sql`alter table products drop column slug_key, add column slug_key text unique;
    create function keep_slug_key() returns trigger language plpgsql as 'begin NEW.slug_key := lower(NEW.slug); return NEW; end';
    create trigger keep_slug_key before insert or update on products for each row execute function keep_slug_key();
    alter table products enable always trigger keep_slug_key`.execute(db)
}

/** The option `relay` for that source. */
export function relayOf(
  { databaseUrl }: Pick<ShopLab, 'databaseUrl'>,
  source: Source,
  options: RelayOptions = {},
): RelayOptions {
  if (source === 'outbox') return options
  return { ...options, source, slot: { connection: { connectionString: databaseUrl }, maxRows: 50, ...options.slot } }
}

/** A database of a server of its own that has logical decoding. */
export async function logicalDatabase(settings: Readonly<Record<string, string>> = {}): Promise<string> {
  const server = await startPostgres({ own: true, settings: { wal_level: 'logical', ...settings } })
  afterAll(() => server.stop())
  return server.createDatabase('shop')
}

export async function untilLeads({ corral }: ShopProcess): Promise<void> {
  await waitUntil('the relay leads', 10_000, () => corral.stats().relay === 'leader')
}

/** Resolves when nothing that was written before this call is still to be relayed: a change made now has been, too. */
export async function untilCaughtUp(shop: ShopLab, source: Source = 'outbox'): Promise<void> {
  const [own] = await shop.run('insert into products (price) values (0) returning pg_current_xact_id()::text as xid')
  if (source === 'slot') {
    const [row] = await shop.run(`select (pg_current_wal_insert_lsn() - '0/0')::text as lsn`)
    await waitUntil('the relay has caught up', 5_000, async () => {
      const position = await positionOf(shop, source)
      return position !== undefined && BigInt(position) >= BigInt(String(row?.lsn))
    })
    return
  }
  await waitUntil('the relay has caught up', 5_000, async () => {
    const position = await positionOf(shop, source)
    return position !== undefined && BigInt(position.split(':')[0] as string) > BigInt(String(own?.xid))
  })
}

/** What the relay has settled last: a snapshot, or a place in the log. */
export async function positionOf(
  shop: Pick<ShopLab, 'run' | 'namespace'>,
  source: Source = 'outbox',
): Promise<string | undefined> {
  const [row] = await shop.run(
    source === 'slot'
      ? `select (settled - '0/0')::text as position from corral.slot_positions where namespace = '${shop.namespace}'`
      : `select position::text as position from corral.positions where namespace = '${shop.namespace}' order by began desc limit 1`,
  )
  return row && String(row.position)
}

/** A product that SQL from outside has made. */
export async function insertProduct(shop: Pick<ShopLab, 'run'>): Promise<number> {
  const [row] = await shop.run('insert into products (price) values (1) returning id')
  return Number(row?.id)
}

/** A product that Redis holds, and that nothing is left to be relayed of. */
export async function cachedProduct(shop: ShopLab, source: Source, reader: ShopProcess): Promise<number> {
  const id = await insertProduct(shop)
  await untilCaughtUp(shop, source)
  await untilCached(reader, id)
  return id
}
