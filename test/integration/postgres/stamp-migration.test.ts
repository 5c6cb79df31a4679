import { sql } from 'kysely'
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { stampTable, stampTableSql } from '../../../src/migrations.js'
import { MINUTE_MICROSECONDS, nowMicroseconds, StampLab } from './stamp-lab.js'

const lab = StampLab.open()

describe('up and down', () => {
  beforeEach(async () => {
    await lab.makeProducts()
    await lab.run(`create function touch() returns trigger language plpgsql as 'begin return NEW; end';
      create trigger touch before update on products for each row execute function touch()`)
  })

  it('may each run twice, and down undoes up exactly', async () => {
    const before = await lab.inventory()
    const { up, down } = stampTable({ table: 'products', key: 'id' })
    await up(lab.db)
    await lab.run('insert into products values (1)')
    const version = await lab.versionOf(1)
    const once = await lab.inventory()
    await up(lab.db)
    expect(await lab.inventory()).toEqual(once)
    expect(await lab.versionOf(1)).toBe(version)
    await down(lab.db)
    expect(await lab.inventory()).toEqual(before)
    await down(lab.db)
    expect(await lab.inventory()).toEqual(before)
  })

  it('leave alone what other stamped tables use, and a schema that was there before', async () => {
    await lab.run('create schema corral; create table others (id int primary key)')
    const others = stampTable({ table: 'others', key: 'id' })
    await others.up(lab.db)
    await lab.stamp()
    await lab.run(
      'insert into others values (1); delete from others; insert into products values (1); delete from products',
    )
    await stampTable({ table: 'products', key: 'id' }).down(lab.db)
    expect(await lab.run('select entity from corral.tombstones')).toEqual([{ entity: 'public.others' }])
    await lab.run('insert into others values (1)')
    await others.down(lab.db)
    await lab.run('insert into others values (2)')
    expect(await lab.countOf(`pg_namespace where nspname = 'corral'`)).toBe(1)
    expect(await lab.countOf(`pg_class where relnamespace = 'corral'::regnamespace`)).toBe(0)
  })

  it('leave writers working after each of their statements', async () => {
    const { up, down } = stampTableSql({ table: 'products', key: 'id' })
    for (const statement of [...up, ...down]) {
      await lab.run(statement)
      await lab.run(`insert into products values (1), (2); update products set price = price + 1;
        update products set id = 3 where id = 2; delete from products`)
    }
    for (const [at, statement] of up.entries()) {
      await lab.run(statement)
      await lab.run(`insert into products values (${at})`)
    }
    expect(await lab.countOf('products where corral_version < 1000000')).toBe(0)
  })

  it.each(['nothing', 'the schema'])('need no superuser, given %s beforehand', async (given) => {
    const owner = `corral_owner_${process.pid}`
    await lab.run(`create role ${owner}; grant usage, create on schema public to ${owner}; alter table products owner to ${owner};
      ${given === 'nothing' ? `do $$ begin execute format('grant create on database %I to ${owner}', current_database()); end $$` : `create schema corral; grant create, usage on schema corral to ${owner}`}`)
    onTestFinished(async () => {
      await lab.run(`drop owned by ${owner} cascade; drop role ${owner}`)
    })
    await lab.db.transaction().execute(async (tx) => {
      await sql.raw(`set local role ${owner}`).execute(tx)
      const { up, down } = stampTable({ table: 'products', key: 'id' })
      await up(tx)
      await up(tx)
      await sql`insert into products values (1)`.execute(tx)
      await sql`delete from products`.execute(tx)
      await sql`select corral.prune_tombstones()`.execute(tx)
      await down(tx)
    })
    expect(await lab.countOf(`pg_namespace where nspname = 'corral'`)).toBe(given === 'nothing' ? 0 : 1)
  })

  it('work inside one transaction, as Kysely runs migrations', async () => {
    await lab.db.transaction().execute((tx) => stampTable({ table: 'products', key: 'id' }).up(tx))
    await lab.run('insert into products values (1)')
    expect(await lab.versionOf(1)).toBeGreaterThan(nowMicroseconds() - MINUTE_MICROSECONDS)
    await lab.db.transaction().execute(async (tx) => stampTable({ table: 'products', key: 'id' }).down(tx))
    await lab.run('insert into products values (2)')
  })

  it('change key and tombstones when run again with other options', async () => {
    await lab.run('create unique index on products (price)')
    await lab.stamp()
    await lab.stamp({ key: 'price' })
    await lab.run('insert into products values (1, 7); delete from products')
    expect(await lab.run('select key from corral.tombstones')).toEqual([{ key: ['7'] }])
    await lab.stamp({ tombstones: false })
    await lab.run('insert into products values (1, 8); delete from products')
    expect(await lab.countOf('corral.tombstones')).toBe(1)
  })

  it('follow a renamed table: up for the new name, then down for the old', async () => {
    await lab.stamp()
    await lab.run('insert into products values (1); alter table products rename to goods')
    const before = await lab.versionOf(1, 'goods')
    const goods = stampTable({ table: 'goods', key: 'id' })
    await goods.up(lab.db)
    await stampTable({ table: 'products', key: 'id' }).down(lab.db)
    await lab.run('update goods set price = 1')
    expect(await lab.versionOf(1, 'goods')).toBeGreaterThan(before)
    await goods.down(lab.db)
    expect(await lab.countOf(`pg_namespace where nspname = 'corral'`)).toBe(0)
  })

  it('down is fine when the table is gone', async () => {
    await lab.stamp()
    await lab.run('drop table products')
    await stampTable({ table: 'products', key: 'id' }).down(lab.db)
    expect(await lab.countOf(`pg_namespace where nspname = 'corral'`)).toBe(0)
  })
})
