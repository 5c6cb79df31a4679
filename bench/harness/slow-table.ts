import { type Kysely, sql } from 'kysely'
import type { OpenPlace, Place } from './place.js'
import type { Shop } from './shop.js'

const READER = 'reader'

/** A table whose SELECTs cost time at the server, and a server that counts them. */
export interface SlowTable {
  /** Where contenders connect: as a role that pays for each row it reads. */
  readonly place: Place
  /** From now on a SELECT takes `ms`, however many rows it finds; with `fails` the statement raises after that time. */
  setPrice(price: { readonly ms: number; readonly fails: boolean }): Promise<void>
  /** Rows of `products` that Postgres has read for contenders since it was asked last, statements that failed or were cut off included. */
  takeLoads(): Promise<number>
}

/**
 * Makes a SELECT that finds rows of `products` cost time, by a row-level security policy that sleeps: the statement is an ordinary SELECT and
 * its time passes inside Postgres, with a connection taken, once for all rows of the statement.
 *
 * Each row read draws from a sequence. Sequences do not roll back, so also loads that fail are counted, and by nobody but Postgres.
 */
export async function makeSlow(place: OpenPlace, ms: number): Promise<SlowTable> {
  const { db } = place
  for (const statement of [
    `create role ${READER} login`,
    `grant select, insert, update, delete on products to ${READER}`,
    'create table load_price (ms double precision not null, fails boolean not null)',
    `insert into load_price values (${ms}, false)`,
    'create sequence loads_made',
    `create function pay_for_read() returns boolean language plpgsql volatile security definer as $$
      declare
        price load_price;
      begin
        perform nextval('loads_made');
        if current_setting('bench.paid', true) is distinct from statement_timestamp()::text then
          perform set_config('bench.paid', statement_timestamp()::text, false);
          select * into price from load_price;
          perform pg_sleep(price.ms / 1000);
          if price.fails then
            raise exception 'out of order';
          end if;
        end if;
        return true;
      end
    $$`,
    'alter table products enable row level security',
    `create policy reads_cost on products to ${READER} using (pay_for_read())`,
  ]) {
    await sql.raw(statement).execute(db)
  }
  const { redisUrl, namespace } = place
  let taken = 0
  return {
    place: { postgresUrl: asReader(place.postgresUrl), redisUrl, namespace },
    setPrice: async (price) => {
      await sql`update load_price set ms = ${price.ms}, fails = ${price.fails}`.execute(db)
    },
    takeLoads: async () => {
      const made = await loadsMade(db)
      const fresh = made - taken
      taken = made
      return fresh
    },
  }
}

async function loadsMade(db: Kysely<Shop>): Promise<number> {
  const query = sql<{ made: string }>`select case when is_called then last_value else 0 end as made from loads_made`
  return Number((await query.execute(db)).rows[0]?.made)
}

function asReader(url: string): string {
  const changed = new URL(url)
  changed.username = READER
  return changed.href
}
