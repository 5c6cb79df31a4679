import { sql } from 'kysely'
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { stampTable } from '../../../src/migrations.js'
import { MINUTE_MICROSECONDS, nowMicroseconds, StampLab } from './stamp-lab.js'

const lab = StampLab.open()

async function ownerOf(table: string): Promise<unknown> {
  return (await lab.run(`select relowner::regrole::text as owner from pg_class where oid = '${table}'::regclass`))[0]
    ?.owner
}

describe('the stamp', () => {
  beforeEach(() => lab.makeProducts())

  it('is given to the rows that are there already, without rewriting the table', async () => {
    await lab.run('insert into products select n from generate_series(1, 100) n')
    const fileBefore = await lab.run(`select pg_relation_filenode('products') as file`)
    await lab.stamp()
    expect(await lab.run(`select pg_relation_filenode('products') as file`)).toEqual(fileBefore)
    expect(await lab.versionOf(1)).toBeGreaterThan(nowMicroseconds() - MINUTE_MICROSECONDS)
  })

  it('rises with every update and leaves other rows alone', async () => {
    await lab.stamp()
    await lab.run('insert into products values (1), (2)')
    const [first, other] = [await lab.versionOf(1), await lab.versionOf(2)]
    await lab.run('update products set price = 1 where id = 1')
    const second = await lab.versionOf(1)
    await lab.run('update products set price = 1 where id = 1')
    expect(second).toBeGreaterThan(first)
    expect(await lab.versionOf(1)).toBeGreaterThan(second)
    expect(await lab.versionOf(2)).toBe(other)
  })

  it('follows the order of commits, not that of transaction starts', async () => {
    await lab.stamp()
    await lab.run('insert into products values (1)')
    const early = await lab.session()
    await early.run('begin')
    await early.run('select now()')
    await lab.run('update products set price = 1')
    const committed = await lab.versionOf(1)
    await early.run('update products set price = 2')
    await early.run('commit')
    expect(await lab.versionOf(1)).toBeGreaterThan(committed + 1n)
  })

  it('rises when the clock has stepped back', async () => {
    await lab.stamp()
    await lab.run('insert into products values (1)')
    await lab.stampADayAhead()
    const ahead = await lab.versionOf(1)
    await lab.run('update products set price = 1')
    expect(await lab.versionOf(1)).toBe(ahead + 1n)
  })

  it.each([
    'insert into products (id, corral_version) values (1, 9000000000000000000)',
    'insert into products (id) values (1); update products set corral_version = 9000000000000000000',
    'insert into products (id) values (1); update products set corral_version = 1',
    `insert into products (id) values (1);
      insert into products (id, corral_version) values (1, 5) on conflict (id) do update set corral_version = excluded.corral_version`,
  ])('is not what the statement supplies: %s', async (statements) => {
    await lab.stamp()
    await lab.run(statements)
    const version = await lab.versionOf(1)
    expect(version).toBeGreaterThan(nowMicroseconds() - MINUTE_MICROSECONDS)
    expect(version).toBeLessThan(nowMicroseconds() + MINUTE_MICROSECONDS)
  })

  it('is set by bulk updates, COPY and ON CONFLICT', async () => {
    await lab.stamp()
    await lab.run(`insert into products select n from generate_series(1, 1000) n`)
    const before = await lab.versionOf(500)
    await lab.run('update products set price = 7')
    expect(await lab.countOf(`products where corral_version <= ${before}`)).toBe(0)
    const bulk = await lab.versionOf(500)
    await lab.run('insert into products values (500) on conflict (id) do update set price = 8')
    expect(await lab.versionOf(500)).toBeGreaterThan(bulk)
    await lab.run(`copy products (id, price, corral_version) from program 'printf "2001\\t1\\t3\\n"'`)
    expect(await lab.versionOf(2001)).toBeGreaterThan(bulk)
  })

  it('is set under session_replication_role = replica', async () => {
    await lab.stamp()
    await lab.run('insert into products values (1)')
    const before = await lab.versionOf(1)
    await lab.db.connection().execute(async (connection) => {
      await sql`set session_replication_role = replica`.execute(connection)
      await sql`update products set price = 2`.execute(connection)
      await sql`delete from products`.execute(connection)
      await sql`insert into products values (1)`.execute(connection)
      await sql`reset session_replication_role`.execute(connection)
    })
    expect(await lab.versionOf(1)).toBeGreaterThan(before)
    expect(await lab.countOf('corral.tombstones')).toBe(1)
  })

  it('is 0 in a row that was written past the trigger, which betrays it', async () => {
    await lab.stamp()
    await lab.run(`alter table products disable trigger zz_corral_stamp; insert into products values (1);
      alter table products enable always trigger zz_corral_stamp`)
    expect(await lab.versionOf(1)).toBe(0n)
  })

  it('leaves suppress_redundant_updates_trigger working', async () => {
    await lab.run(`create trigger z_min_update before update on products
      for each row execute function suppress_redundant_updates_trigger()`)
    await lab.stamp()
    await lab.run('insert into products values (1, 5)')
    const before = await lab.versionOf(1)
    await lab.run('update products set price = 5')
    expect(await lab.versionOf(1)).toBe(before)
    await lab.stampADayAhead()
    const ahead = await lab.versionOf(1)
    await lab.run('delete from products')
    await lab.run('insert into products values (1)')
    expect(await lab.versionOf(1)).toBeGreaterThan(ahead)
  })

  it('can live in a column that is there already, and leaves that column behind', async () => {
    await lab.run('alter table products add column revision bigint not null default 0')
    const columns = () =>
      lab.run(`select attname, attnotnull, pg_get_expr(adbin, adrelid) as value from pg_attribute
      left join pg_attrdef on adrelid = attrelid and adnum = attnum
      where attrelid = 'products'::regclass and attnum > 0 and not attisdropped order by attnum`)
    const before = await columns()
    const { up, down } = stampTable({ table: 'products', key: 'id', column: 'revision' })
    await up(lab.db)
    await lab.run('insert into products values (1)')
    expect(await lab.countOf(`products where revision > 1000000`)).toBe(1)
    await down(lab.db)
    expect(await columns()).toEqual(before)
  })

  it('refuses a column that cannot hold it', async () => {
    await lab.run('alter table products add column revision int')
    await expect(lab.stamp({ column: 'revision' })).rejects.toThrow(/revision.*must be bigint not null.*integer/)
  })
})

describe('tables of other shapes', () => {
  it('stamps partitioned tables, rows that move and partitions made later', async () => {
    await lab.run(`create table events (id int, region text, price int, primary key (id, region)) partition by list (region);
      create table events_eu partition of events for values in ('eu')`)
    await stampTable({ table: 'events', key: ['id', 'region'] }).up(lab.db)
    await lab.run(`create table events_us partition of events for values in ('us');
      create table events_asia (like events including all);
      alter table events attach partition events_asia for values in ('asia')`)
    expect(await lab.countOf(`pg_trigger where tgname = 'zz_corral_stamp' and tgenabled = 'A'`)).toBe(4)
    await lab.run(`insert into events values (1, 'eu', 1); insert into events_us values (2, 'us', 1)`)
    await lab.stampADayAhead('events')
    const [one] = await lab.run(`select corral_version from events where id = 1`)
    await lab.run(`update events set region = 'us' where id = 1`)
    await lab.run(`update events set region = 'eu' where id = 1`)
    const [back] = await lab.run(`select corral_version from events where id = 1`)
    expect(BigInt(String(back?.corral_version))).toBeGreaterThan(BigInt(String(one?.corral_version)))
    await expect(stampTable({ table: 'events', key: ['id', 'region'], tombstones: false }).up(lab.db)).rejects.toThrow(
      /needs tombstones/,
    )
  })

  it('stamps tables in other schemas with awkward names, and goes on after a rename', async () => {
    const table = `It's "50%" \\ $corral$ of a rather long name indeed, as long as`
    const quoted = `sales."${table.replaceAll('"', '""')}"`
    await lab.run(`create schema sales; create type sales."Kind" as enum ('a', 'b');
      create table ${quoted} ("Key" sales."Kind" primary key, id text default 'x')`)
    const { up, down } = stampTable({ schema: 'sales', table, key: 'Key', corralSchema: 'Corral %' })
    await up(lab.db)
    await lab.run(`insert into ${quoted} values ('a')`)
    await lab.stampADayAhead(quoted)
    const before = await lab.versionOf('x', quoted)
    await lab.run(`alter table ${quoted} rename to renamed`)
    await lab.run(
      `begin; set local search_path = pg_catalog; delete from sales.renamed; insert into sales.renamed values ('a'); commit`,
    )
    expect(await lab.versionOf('x', 'sales.renamed')).toBeGreaterThan(before)
    await lab.run(`alter table sales.renamed rename to ${quoted.slice('sales.'.length)}`)
    await down(lab.db)
    await lab.run('drop schema sales cascade')
    expect(await lab.run(`select nspname from pg_namespace where nspname = 'Corral %'`)).toEqual([])
  })

  it("lets nobody but the table's owner act with the rights of the tombstone function's", async () => {
    await lab.makeProducts()
    await lab.stamp()
    expect(
      await lab.run(`select array(select grantee::regrole::text from aclexplode(proacl)) as holders
        from pg_proc where proname like 'products_tombstone%'`),
    ).toEqual([{ holders: [await ownerOf('products')] }])
  })

  it("lets the table's owner make further partitions, whoever ran the migration", async () => {
    const owner = `corral_partitioner_${process.pid}`
    await lab.run(`create role ${owner}; grant usage, create on schema public to ${owner};
      create table products (id int primary key) partition by list (id); alter table products owner to ${owner}`)
    onTestFinished(async () => {
      await lab.run(`drop owned by ${owner} cascade; drop role ${owner}`)
    })
    await lab.stamp()
    await lab.db.transaction().execute(async (tx) => {
      await sql.raw(`set local role ${owner}`).execute(tx)
      await sql`create table products_1 partition of products for values in (1)`.execute(tx)
      await sql`insert into products values (1)`.execute(tx)
      await sql`delete from products`.execute(tx)
    })
    expect(await lab.countOf('corral.tombstones')).toBe(1)
  })

  it('works for a writer who has rights on the table only', async () => {
    await lab.run('create table products (id int generated always as identity primary key, price int)')
    await lab.stamp()
    const clerk = `corral_clerk_${process.pid}`
    await lab.run(`create role ${clerk}; grant usage on schema public to ${clerk};
      grant select, insert, update, delete on products to ${clerk}`)
    onTestFinished(async () => {
      await lab.run(`drop owned by ${clerk}; drop role ${clerk}`)
    })
    await lab.db.transaction().execute(async (tx) => {
      await sql.raw(`set local role ${clerk}`).execute(tx)
      await sql`insert into products (price) values (1)`.execute(tx)
      await sql`update products set price = 2`.execute(tx)
      await sql`delete from products`.execute(tx)
      await sql`insert into products (id, price) overriding system value values (1, 1)`.execute(tx)
    })
    expect(await lab.countOf('products')).toBe(1)
  })
})
