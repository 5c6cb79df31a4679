import type pg from 'pg'
import { outboxTableSql, outboxTablesSql, stampTableSql } from '../../../src/migrations.js'
import type { Row } from '../../simulation/postgres/table.js'

/** The table that the simulated Postgres has, as it is made on a real one. */
export const REQUEST = { table: 'products', key: 'id', unique: ['sku'] }

/** What is asked about each row that a followed statement writes. */
export const FOLLOWED = ['corral_version', 'id', 'sku']

export async function makeShop(client: pg.Client): Promise<void> {
  await client.query('create table products (id int primary key, sku text not null unique, price int not null)')
  const migrations = [
    stampTableSql({ table: 'products', key: 'id', tombstones: true }),
    outboxTablesSql(),
    outboxTableSql({ table: 'products', key: 'id', unique: ['sku'] }),
  ]
  for (const { up } of migrations) for (const statement of up) await client.query(statement)
  await client.query(`alter table products add column says text
    generated always as ('products/' || id::text || ' ' || corral_version::text) stored`)
}

/** As it was made: no row, and nothing told of any. */
export async function emptied(client: pg.Client): Promise<void> {
  await client.query(`delete from products;
    truncate corral.outbox, corral.tombstones, corral.positions, corral.epochs`)
}

/** Puts a row there with just this stamp, which is ahead of the server's clock. */
export async function stampedAhead(client: pg.Client, { id, sku, price, corral_version }: Row): Promise<void> {
  await client.query(`alter table products disable trigger zz_corral_stamp;
    insert into products (id, sku, price, corral_version) values (${id}, '${sku}', ${price}, ${corral_version});
    alter table products enable always trigger zz_corral_stamp`)
}

/** What settled positions are asked about is their age alone. */
export async function aged(client: pg.Client, ms: number): Promise<void> {
  await client.query(`update corral.positions set
    began = began - ${ms} * interval '1 millisecond', at = at - ${ms} * interval '1 millisecond'`)
}
