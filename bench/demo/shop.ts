import { type GeneratedAlways, type Insertable, type Kysely, type Selectable, sql } from 'kysely'
import { stampTable } from '../../src/migrations.js'

/** Products in the shop; as many rows of inventory. */
export const PRODUCT_COUNT = 10_000

/** The shop's two tables as Kysely knows them. */
export interface Shop {
  products: ProductTable
  inventory: InventoryTable
}

interface ProductTable extends Revised {
  id: number
  name: string
  description: string
  price_cents: number
}

interface InventoryTable extends Revised {
  product_id: number
  warehouse: string
  remaining: number
}

/**
 * What the checker goes by, written by a trigger so that neither side can get it wrong: how often the row was written,
 * and once more in words with the row's own name, such as `products/42@17`. A row put together from two others shows.
 */
interface Revised {
  revision: GeneratedAlways<number>
  imprint: GeneratedAlways<string>
}

export type Product = Readonly<Selectable<ProductTable>>
export type Stock = Readonly<Selectable<InventoryTable>>

export type ShopTable = keyof Shop

/** The name of a row in the checker's records, and the first part of its imprint: `products/42`. */
export function rowName(table: ShopTable, id: number): string {
  return `${table}/${id}`
}

/** What a row says of itself: `products/42@7` is the row `products/42` in revision 7. */
export function readImprint({ imprint }: { readonly imprint: string }): {
  readonly key: string
  readonly version: string
} {
  const [key = '', version = ''] = imprint.split('@')
  return { key, version }
}

/** Makes the tables in an empty database and fills them. */
export async function createShop(db: Kysely<Shop>): Promise<void> {
  await db.schema
    .createTable('products')
    .addColumn('id', 'integer', (column) => column.primaryKey())
    .addColumn('name', 'text', (column) => column.notNull())
    .addColumn('description', 'text', (column) => column.notNull())
    .addColumn('price_cents', 'integer', (column) => column.notNull())
    .addColumn('revision', 'integer', (column) => column.notNull())
    .addColumn('imprint', 'text', (column) => column.notNull())
    .execute()
  await db.schema
    .createTable('inventory')
    .addColumn('product_id', 'integer', (column) => column.primaryKey().references('products.id'))
    .addColumn('warehouse', 'text', (column) => column.notNull())
    .addColumn('remaining', 'integer', (column) => column.notNull())
    .addColumn('revision', 'integer', (column) => column.notNull())
    .addColumn('imprint', 'text', (column) => column.notNull())
    .execute()
  await countRevisions(db)
  await insertInParts(
    PRODUCT_COUNT,
    (id) => productOf(id),
    (rows) => db.insertInto('products').values(rows).execute(),
  )
  await insertInParts(
    PRODUCT_COUNT,
    (id) => stockOf(id),
    (rows) => db.insertInto('inventory').values(rows).execute(),
  )
  await sql`analyze`.execute(db)
}

/** What a service that uses Corral adds to its migrations: a version stamp for each table that is cached. */
export async function stampShop(db: Kysely<Shop>): Promise<void> {
  await db.transaction().execute(async (tx) => {
    await stampTable({ table: 'products', key: 'id' }).up(tx)
    await stampTable({ table: 'inventory', key: 'product_id' }).up(tx)
  })
}

async function countRevisions(db: Kysely<Shop>): Promise<void> {
  await sql`
    create function count_revision() returns trigger language plpgsql as $$
    begin
      new.revision := case when tg_op = 'INSERT' then 1 else old.revision + 1 end;
      new.imprint := format('%s/%s@%s', tg_table_name, to_jsonb(new) ->> tg_argv[0], new.revision);
      return new;
    end $$`.execute(db)
  for (const [table, key] of [
    ['products', 'id'],
    ['inventory', 'product_id'],
  ] as const) {
    await sql`
      create trigger count_revision before insert or update on ${sql.table(table)}
      for each row execute function count_revision(${sql.lit(key)})`.execute(db)
  }
}

/** Postgres takes at most 65,535 parameters in a statement. */
const PART = 2_500

async function insertInParts<Row>(
  count: number,
  rowOf: (id: number) => Row,
  insert: (rows: Row[]) => Promise<unknown>,
): Promise<void> {
  for (let first = 1; first <= count; first += PART) {
    const length = Math.min(PART, count - first + 1)
    await insert(Array.from({ length }, (_, at) => rowOf(first + at)))
  }
}

const THINGS = ['teapot', 'kettle', 'lamp', 'blanket', 'notebook', 'compass', 'raincoat', 'clock', 'hammock', 'lantern']
const LOOKS = ['small', 'sturdy', 'blue', 'folding', 'quiet', 'handmade', 'old-fashioned', 'light', 'warm', 'plain']
const WAREHOUSES = ['north', 'south', 'harbour']

function productOf(id: number): Insertable<ProductTable> {
  const name = `${pick(LOOKS, id)} ${pick(THINGS, Math.floor(id / LOOKS.length))} no. ${id}`
  const description = `A ${name}. `.repeat(12)
  return { id, name, description, price_cents: 500 + ((id * 37) % 20_000) }
}

function stockOf(id: number): Insertable<InventoryTable> {
  return { product_id: id, warehouse: pick(WAREHOUSES, id), remaining: 1_000_000 }
}

function pick(words: readonly string[], at: number): string {
  return words[at % words.length] as string
}
