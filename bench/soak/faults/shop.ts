import { type Generated, type Kysely, sql } from 'kysely'
import { outboxTable, outboxTables, stampTable } from '../../../src/migrations.js'

export const ROWS = 240
/** Rows that a query lists together. */
export const SHELVES = 20

interface Products {
  id: number
  slug: string
  shelf: number
  stock: number
  filler: string
  /** Key and stamp once more, written by a trigger: a row under another's label is found out. */
  label: Generated<string>
  corral_version: Generated<string>
}

export interface Shop {
  products: Products
}

export interface Product {
  readonly id: number
  readonly slug: string
  readonly shelf: number
  readonly stock: number
  readonly filler: string
  readonly label: string
  readonly corral_version: string
}

export const NAME = { name: 'products', key: 'id', says } as const

export const ALL_IDS: readonly number[] = Array.from({ length: ROWS }, (_, at) => at + 1)

export function slugOf(id: number): string {
  return `product-${id}`
}

export function shelfOf(id: number): number {
  return id % SHELVES
}

export function idsOn(shelf: number): number[] {
  return ALL_IDS.filter((id) => shelfOf(id) === shelf)
}

export function newProduct(id: number) {
  return { id, slug: slugOf(id), shelf: shelfOf(id), stock: 0, filler: 'tea '.repeat(60) }
}

/** What a row says of itself. */
function says(row: object): { key: string; version: string } {
  const [id = '', version = ''] = String((row as { label?: unknown }).label).split('@')
  return { key: `products/${id}`, version }
}

/** The products with stamp and outbox, and beside them a trail of every change: what was committed, whoever lived to tell. */
export async function makeShop(db: Kysely<Shop>): Promise<void> {
  await sql`
    create table products (
      id integer primary key, slug text not null unique, shelf integer not null, stock integer not null,
      filler text not null, label text not null default '')`.execute(db)
  await stampTable({ table: 'products', key: 'id' }).up(db as never)
  await outboxTables().up(db as never)
  await outboxTable({ table: 'products', key: 'id', unique: ['slug'], columns: ['shelf'], maxRows: 100 }).up(
    db as never,
  )
  await sql`
    create table trail (
      n bigint generated always as identity, id integer not null, version bigint not null, absent boolean not null,
      xid xid8 not null default pg_current_xact_id(),
      who text not null default current_setting('application_name'))`.execute(db)
  // Its name sorts behind that of the stamp's trigger, which has to have run.
  await sql
    .raw(`
    create function label() returns trigger language plpgsql as $$
      begin new.label := new.id || '@' || new.corral_version; return new; end $$;
    create trigger zzz_label before insert or update on products for each row execute function label();
    create function leave_trail() returns trigger language plpgsql as $$
      begin
        if tg_op = 'TRUNCATE' then
          insert into public.trail (id, version, absent) select id, corral_version + 1, true from public.products;
        elsif tg_op = 'DELETE' then
          insert into public.trail (id, version, absent) values (old.id, old.corral_version + 1, true);
        else
          insert into public.trail (id, version, absent) values (new.id, new.corral_version, false);
        end if;
        return null;
      end $$;
    create trigger trail after insert or update or delete on products for each row execute function leave_trail();
    create trigger trail_truncate before truncate on products for each statement execute function leave_trail();
    alter table products enable always trigger zzz_label, enable always trigger trail, enable always trigger trail_truncate;
  `)
    .execute(db)
  for (const id of ALL_IDS) await db.insertInto('products').values(newProduct(id)).execute()
}
