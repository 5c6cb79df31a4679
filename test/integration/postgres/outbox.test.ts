import { beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { readTable } from '../../../src/adapters/postgres/catalog.js'
import { areRelayed, readDurability } from '../../../src/adapters/postgres/durability.js'
import {
  type OutboxTableOptions,
  outboxTable,
  outboxTableSql,
  outboxTables,
  outboxTablesSql,
  stampTable,
} from '../../../src/migrations.js'
import { StampLab } from './stamp-lab.js'

const lab = StampLab.open()

/** Without the word that begins it. */
async function watch(options: Partial<OutboxTableOptions> = {}): Promise<void> {
  await outboxTable({ table: 'products', key: 'id', unique: ['slug'], columns: ['shop'], ...options }).up(lab.db)
  await lab.run('truncate corral.outbox')
}

/** What the outbox has gained since it was last asked, in the order of its ids, one line each. */
async function told(): Promise<string[]> {
  const rows = await lab.run(`select concat_ws(' ', entity, op, array_to_string(key, '|'),
      case when key is not null then version is not null end, lookups::text, column_values::text) as line from corral.outbox order by id`)
  await lab.run('truncate corral.outbox')
  return rows.map(({ line }) => String(line).replace('public.products ', ''))
}

beforeEach(async () => {
  await lab.run(
    `create table products (id int primary key, slug text unique, shop int not null default 1, price int not null default 0)`,
  )
  await lab.stamp()
  await outboxTables().up(lab.db)
})

describe('what is written to the outbox', () => {
  beforeEach(() => watch())

  it.each([
    ['few of them counted', 5_000],
    ['each of them counted', 10],
  ])('is a row for each row, with its key, stamp, lookups and values: %s', async (_, maxRows) => {
    await watch({ maxRows })
    await lab.run(`insert into products (id, slug) values (1, 'tea'), (2, null)`)
    expect(await told()).toEqual(['i 1 t [["slug", "tea"]] {shop,1,NULL}', 'i 2 t [["slug", null]] {shop,1,NULL}'])
    await lab.run('update products set price = 3')
    expect(await told()).toEqual(['u 1 t {shop,1,1}', 'u 2 t {shop,1,1}'])
    await lab.run(`update products set slug = 'mate', shop = 2 where id = 1`)
    expect(await told()).toEqual(['u 1 t [["slug", "tea"], ["slug", "mate"]] {shop,2,1}'])
    await lab.run('delete from products where id = 1')
    expect(await told()).toEqual(['d 1 t [["slug", "mate"]] {shop,2,NULL}'])
  })

  it('carries the stamp the row has; of a deleted row, the next', async () => {
    await lab.run('insert into products (id) values (1)')
    const version = await lab.versionOf(1)
    await lab.run('delete from products')
    const rows = await lab.run('select op, version::text as version from corral.outbox order by id')
    expect(rows).toEqual([
      { op: 'i', version: String(version) },
      { op: 'd', version: String(version + 1n) },
    ])
  })

  it('names the key a row has left and the one it has taken, also where rows swap keys', async () => {
    await lab.run(`insert into products (id, slug) values (1, 'a'), (2, 'b')`)
    await told()
    await lab.run('update products set id = 3 where id = 1')
    expect(await told()).toEqual(['d 1 t [["slug", "a"]] {shop,1,NULL}', 'u 3 t {shop,1,1}'])
    await lab.run('alter table products drop constraint products_pkey; update products set id = 5 - id')
    const swapped = new Set((await told()).map((line) => line.slice(0, 3)))
    expect(swapped).toEqual(new Set(['d 2', 'd 3', 'u 2', 'u 3']))
  })

  it('is nothing for a statement that changes no row, and nothing of a transaction that rolls back', async () => {
    await lab.run('update products set price = 1; delete from products')
    await lab.run(`begin; insert into products values (1); savepoint a; insert into products values (2); rollback`)
    expect(await told()).toEqual([])
  })

  it('is written for COPY, upserts, cascades, functions, and under session_replication_role', async () => {
    await lab.run(`create table shops (id int primary key); insert into shops values (1), (2);
      alter table products add foreign key (shop) references shops on delete cascade on update cascade;
      insert into products (id) values (1) on conflict (id) do update set price = 9;
      insert into products (id) values (1) on conflict (id) do update set price = 9`)
    expect((await told()).map((line) => line.slice(0, 3))).toEqual(['i 1', 'u 1'])
    await lab.run('update shops set id = 7 where id = 1')
    expect(await told()).toEqual(['u 1 t {shop,7,1}'])
    await lab.run('delete from shops')
    expect((await told()).map((line) => line.slice(0, 3))).toEqual(['d 1'])
    await lab.run(`insert into shops values (1);
      create function raise_prices() returns void language plpgsql as 'begin update products set price = price + 1; end';
      begin; set local session_replication_role = replica; insert into products (id) values (4); select raise_prices(); commit`)
    expect((await told()).map((line) => line.slice(0, 3))).toEqual(['i 4', 'u 4'])
    await lab.run(`copy products (id) from program 'echo 5'`)
    expect((await told()).map((line) => line.slice(0, 3))).toEqual(['i 5'])
  })

  it('is one word for TRUNCATE, and for a statement that changes more rows than it may', async () => {
    await watch({ maxRows: 3 })
    await lab.run('insert into products (id) select generate_series(1, 3)')
    expect(await told()).toHaveLength(3)
    for (const statement of [
      'insert into products (id) select generate_series(4, 7)',
      'update products set price = 1',
      'delete from products where id > 3',
    ]) {
      const session = await lab.session()
      await session.run('begin')
      await session.run(statement)
      await session.run('update products set price = 5 where id = 1')
      await session.run('commit')
      expect((await told()).slice(-2)).toEqual(['b', expect.stringContaining('u 1')])
    }
    await lab.run('truncate products')
    expect(await told()).toEqual(['t'])
    // What is rolled back to a savepoint does not count.
    await lab.run(
      `begin; savepoint a; insert into products (id) values (1), (2), (3); rollback to a; insert into products (id) values (1), (2), (3); commit`,
    )
    expect(await told()).toHaveLength(3)
  })

  it('counts what a client sends at once as one statement, also where it is a function with a loop', async () => {
    await watch({ maxRows: 3 })
    const session = await lab.session()
    await session.run('begin')
    for (const first of [1, 4])
      await session.run(`insert into products (id) select generate_series(${first}, ${first} + 2)`)
    await session.run('commit')
    expect(await told(), 'two statements of one transaction').toHaveLength(6)
    await lab.run(`do $$ begin for i in 1..6 loop update products set price = i where id = i; end loop; end $$`)
    expect((await told()).map((line) => line.slice(0, 1))).toEqual(['u', 'u', 'u', 'b'])
  })

  it('counts large statements in steps, and lists few rows more than it may', async () => {
    await watch({ maxRows: 2_000 })
    await lab.run('insert into products (id) select generate_series(1, 10000)')
    const lines = await told()
    expect(lines.at(-1)).toBe('b')
    expect(lines.length).toBeGreaterThan(1_900)
    expect(lines.length).toBeLessThanOrEqual(2_033)
    await lab.run('delete from products where id > 1900')
    await told()
    await lab.run('update products set price = 1')
    expect(await told()).toHaveLength(1_900)
  })

  it('counts the rows of all tables that one statement changes together', async () => {
    await watch({ maxRows: 1_000 })
    await lab.run(`create table shadows (id int primary key);
      create function shadow() returns trigger language plpgsql as 'begin insert into shadows values (NEW.id); return NEW; end';
      create trigger shadow before insert on products for each row execute function shadow()`)
    await watch({ table: 'shadows', unique: [], columns: [], version: false, maxRows: 1_000 })
    await lab.run('insert into products (id) select generate_series(1, 4000)')
    expect((await told()).filter((line) => line.endsWith('b'))).toHaveLength(1)
    expect(await lab.countOf('corral.outbox')).toBe(0)
  })

  it('loses no rows of a table that may tell fewer than the one its statement began with', async () => {
    await watch({ maxRows: 2_000 })
    await lab.run(`create table shadows (id int primary key);
      create function shadow() returns trigger language plpgsql as 'begin insert into shadows values (NEW.id); return null; end';
      create trigger zzz after insert on products for each row when (NEW.id > 400) execute function shadow()`)
    await watch({ table: 'shadows', unique: [], columns: [], version: false, maxRows: 10 })
    await lab.run('insert into products (id) select generate_series(1, 500)')
    const lines = await told()
    expect(lines.filter((line) => line.startsWith('i '))).toHaveLength(401)
    expect(lines.slice(401), 'all the others').toEqual(['public.shadows b'])
  })

  it('counts rows that change their keys, whichever ids they draw', async () => {
    await watch({ maxRows: 100 })
    await lab.run('insert into products (id) select generate_series(1, 300)')
    await told()
    for (const first of [1_000_001, 2_000_002]) {
      const session = await lab.session()
      await session.run(`select setval('corral.outbox_id', ${first}, false)`)
      await session.run('update products set id = -id')
      const lines = await told()
      expect(lines.at(-1), String(first)).toBe('b')
      expect(lines.length).toBeLessThanOrEqual(2 * 108 + 1)
    }
  })

  it('is not swayed by what the writer has in its search path', async () => {
    onTestFinished(async () => {
      await lab.run('drop schema evil cascade')
    })
    const trap = `language plpgsql as 'begin raise exception ''hijacked''; end'`
    await lab.run('create schema evil')
    const types = ['text', 'bigint', 'smallint', 'integer', 'boolean', 'double precision', 'timestamptz']
    for (const type of types) {
      for (const [at, operator] of ['=', '<>', '>', '%', '+', '/'].entries()) {
        const called = `evil.op_${at}`
        await lab.run(`create function ${called}(${type}, ${type}) returns ${at < 3 ? 'boolean' : type} ${trap};
          create operator evil.${operator} (leftarg = ${type}, rightarg = ${type}, function = ${called})`)
      }
    }
    for (const called of [
      'nextval(text)',
      'current_setting(text, boolean)',
      'set_config(text, text, boolean)',
      'split_part(text, text, integer)',
      'statement_timestamp()',
      'clock_timestamp()',
    ]) {
      await lab.run(`create function evil.${called} returns text ${trap}`)
    }
    const session = await lab.session()
    await session.run('set search_path = evil, pg_catalog')
    await expect(session.run(`select 1 where 'a'::text = 'b'::text`), 'the trap is set').rejects.toThrow('hijacked')
    await session.run('alter table public.products disable trigger zz_corral_stamp')
    await session.run(`insert into public.products (id, slug) select g, 's' || g from generate_series(1, 100) g`)
    await session.run(
      `update public.products set slug = 'other', id = 1000, shop = 3 where id operator(pg_catalog.=) 1`,
    )
    await session.run('delete from public.products')
    await session.run('truncate public.products')
    expect((await told()).length).toBe(100 + 2 + 100 + 1)
  })
})

describe('the outbox of a partitioned table', () => {
  beforeEach(async () => {
    await lab.run(`drop table products; create table products (id int, shop int not null, slug text, price int, primary key (id, shop)) partition by list (shop);
      create table products_1 partition of products for values in (1); create table products_2 partition of products for values in (2)`)
    await lab.stamp({ key: ['id', 'shop'] })
    await watch({ key: ['id', 'shop'], unique: [['shop', 'id']] })
  })

  it('tells of writes to it and to its partitions, and of rows that move between them', async () => {
    await lab.run('insert into products values (1, 1); insert into products_1 values (2, 1)')
    expect(await told()).toEqual([
      'i 1|1 t [["shop,id", "1", "1"]] {shop,1,NULL}',
      'i 2|1 t [["shop,id", "1", "2"]] {shop,1,NULL}',
    ])
    await lab.run('update products_1 set price = 1 where id = 2')
    expect(await told()).toEqual(['u 2|1 t {shop,1,1}'])
    await lab.run('update products set shop = 2 where id = 1')
    expect((await told()).map((line) => line.slice(0, 5)).sort()).toEqual(['d 1|1', 'i 1|2'])
    await lab.run('update products set id = 9 where id = 2')
    expect((await told()).map((line) => line.slice(0, 5)).sort()).toEqual(['d 2|1', 'u 9|1'])
    await lab.run('truncate products_1')
    expect(await told()).toEqual(['t'])
    expect(await areRelayed(lab.db, 'shop', ['public.products', 'public.products_1'])).toBe(true)
    await lab.run(
      'create table products_3 partition of products for values in (3); insert into products_3 values (7, 3)',
    )
    expect((await told()).map((line) => line.slice(0, 5))).toEqual(['i 7|3'])
  })
})

it('is not relied on for an unlogged table, which a crash empties without a word', async () => {
  await watch()
  expect(await readDurability(lab.db, 'shop', { entity: 'public.products' })).toBe('outbox')
  await lab.run('alter table products set unlogged')
  expect(await readDurability(lab.db, 'shop', { entity: 'public.products' })).toBe('ttl-only')
})

it('is not relied on for a table that was renamed, of which its triggers tell under the former name', async () => {
  await watch()
  for (const rename of ['products rename to goods', 'goods set schema sales']) {
    await lab.run(`create schema if not exists sales; alter table ${rename}`)
    const entity = rename.startsWith('goods') ? 'sales.goods' : 'public.goods'
    expect(await readDurability(lab.db, 'shop', { entity }), rename).toBe('ttl-only')
  }
  await lab.run(`alter table sales.goods set schema public; alter table goods rename to products`)
  expect(await readDurability(lab.db, 'shop', { entity: 'public.products' })).toBe('outbox')
})

it.each<[string, Partial<OutboxTableOptions>, 'outbox' | 'ttl-only']>([
  ['as the repository', {}, 'outbox'],
  ['by a key in another order', { key: ['shop', 'id'] }, 'ttl-only'],
  ['by a part of the key', { key: 'id' }, 'ttl-only'],
  ['by a version of its own', { version: 'price' }, 'ttl-only'],
  ['by no version, which ends every entry of a row', { version: false }, 'outbox'],
  ['without one of the lookups', { unique: ['slug'] }, 'ttl-only'],
  ['with a lookup in another order', { unique: ['slug', ['price', 'slug']] }, 'ttl-only'],
  ['with more lookups', { unique: ['slug', ['slug', 'price'], 'price'] }, 'outbox'],
])('is relied on for triggers that know rows %s (%o): %s', async (_, other, durability) => {
  await lab.run('alter table products drop constraint products_pkey; alter table products add primary key (id, shop)')
  await lab.run('create unique index on products (slug, price)')
  const options = { key: ['id', 'shop'], unique: ['slug', ['slug', 'price']] }
  await watch({ ...options, ...other })
  const facts = await readTable(lab.db, { table: 'products', ...options })
  expect(await readDurability(lab.db, 'shop', facts)).toBe(durability)
})

describe('up and down', () => {
  it.each([
    ['a stamped table', async () => {}],
    ['a table without a stamp', () => lab.run('alter table products drop column corral_version cascade')],
  ])('may each run twice, and down leaves %s as it was', async (what, prepare) => {
    await outboxTables().down(lab.db)
    await prepare()
    if (what !== 'a stamped table') {
      await stampTable({ table: 'products', key: 'id' }).down(lab.db)
    }
    const before = await lab.inventory()
    const table = outboxTable({
      table: 'products',
      key: 'id',
      unique: ['slug'],
      ...(what === 'a stamped table' ? {} : { version: false }),
    })
    await outboxTables().up(lab.db)
    await table.up(lab.db)
    const once = await lab.inventory()
    await outboxTables().up(lab.db)
    await table.up(lab.db)
    expect(await lab.inventory()).toEqual(once)
    await lab.run('insert into products (id) values (1)')
    expect(
      (await told()).map((line) => line.slice(0, 3)),
      'and one word when the triggers were made',
    ).toEqual(['b', 'i 1'])
    await table.down(lab.db)
    await table.down(lab.db)
    await outboxTables().down(lab.db)
    await outboxTables().down(lab.db)
    expect(await lab.inventory()).toEqual(before)
    await lab.run('insert into products (id) values (2)')
  })

  it.each<[string, string, Partial<OutboxTableOptions>, 'b' | 'nothing']>([
    ['nothing', 'select', {}, 'nothing'],
    ['a column of another sort', `comment on column products.price is 'gross'`, {}, 'nothing'],
    ['what they tell', 'select', { unique: ['slug', 'price'] }, 'b'],
    ['how many rows they tell', 'select', { maxRows: 10 }, 'b'],
    ['one that was disabled', 'alter table products disable trigger zz_corral_outbox_row', {}, 'b'],
    ['one that was enabled for others only', 'alter table products enable trigger zz_corral_outbox_truncate', {}, 'b'],
    ['one that was dropped', 'drop trigger zz_corral_outbox_truncate on products', {}, 'b'],
    [
      'the table',
      'drop table products; create table products (id int primary key, slug text, shop int)',
      { version: false },
      'b',
    ],
  ])('tell that what is cached may be old where up has changed %s', async (_, before, options, word) => {
    const all = { table: 'products', key: 'id', unique: ['slug'], columns: ['shop'] }
    await outboxTable(all).up(lab.db)
    expect(await told(), 'none told of what changed before').toEqual(['b'])
    await lab.run(before)
    const again = outboxTable({ ...all, ...options })
    await again.up(lab.db)
    expect(await told()).toEqual(word === 'b' ? ['b'] : [])
    await again.up(lab.db)
    expect(await told(), 'once').toEqual([])
  })

  it('tell it of a partitioned table that has got another partition', async () => {
    await lab.run(`drop table products; create table products (id int primary key) partition by range (id);
      create table products_1 partition of products for values from (0) to (100)`)
    const table = outboxTable({ table: 'products', key: 'id', version: false })
    await table.up(lab.db)
    expect(await told()).toEqual(['b'])
    await table.up(lab.db)
    expect(await told()).toEqual([])
    await lab.run('create table products_2 partition of products for values from (100) to (200)')
    await table.up(lab.db)
    expect(await told(), 'nobody was told when that one was emptied').toEqual(['b'])
  })

  it('tell it where the statements are run one by one, each in a session of its own', async () => {
    const { up } = outboxTableSql({ table: 'products', key: 'id', unique: ['slug'] })
    for (const statement of up) await (await lab.session()).run(statement)
    expect(await told()).toEqual(['b'])
    for (const statement of up) await (await lab.session()).run(statement)
    expect(await told(), 'once too often, for nobody knows').toEqual(['b'])
  })

  it('refuse to leave triggers without an outbox', async () => {
    await watch()
    await expect(outboxTables().down(lab.db)).rejects.toThrow('table products still has outbox triggers')
    await outboxTables()
      .down(lab.db)
      .catch(() => {})
    await lab.run('insert into products (id) values (1)')
    await outboxTable({ table: 'products', key: 'id' }).down(lab.db)
    await outboxTables().down(lab.db)
    await expect(watch()).rejects.toThrow('there is no outbox')
    await lab.run('insert into products (id) values (2)')
  })

  it.each([
    ['key', { key: ['id', 'displayName'] }, /no column "displayName".*\(option key\)/],
    ['unique', { unique: ['slug', ['shop', 'sulg']] }, /no column "sulg".*\(option unique\)/],
    ['columns', { columns: ['shop_id'] }, /no column "shop_id".*\(option columns\)/],
    ['version', { version: 'revision' }, /no column "revision".*\(option version\)/],
    ['a version that is no number', { version: 'slug' }, /"slug".*text.*\(option version\)/],
    ['a column of the system', { columns: ['ctid'] }, /no column "ctid"/],
  ])('refuse columns that the table does not have, and writers go on: %s', async (_, wrong, said) => {
    await expect(watch(wrong)).rejects.toThrow(said)
    await lab.run('insert into products (id) values (1); update products set price = 1; delete from products')
    expect(await told()).toEqual([])
    // Not even the function of triggers that are there already is replaced.
    await watch()
    await expect(watch(wrong)).rejects.toThrow(said)
    await lab.run('insert into products (id) values (1)')
    expect(await told()).toHaveLength(1)
  })

  it('refuse a table that is not there, or has no stamp yet, and say which migration comes first', async () => {
    await expect(watch({ table: 'prodcuts' })).rejects.toThrow('prodcuts')
    await stampTable({ table: 'products', key: 'id' }).down(lab.db)
    const hint = await watch().catch((error) => error.hint)
    expect(hint).toContain('stampTable')
    await lab.run('insert into products (id) values (1)')
  })

  it('keep the stamp while the triggers read it', async () => {
    const stamp = stampTable({ table: 'products', key: 'id' })
    await watch()
    const before = await lab.inventory()
    const refused = await stamp.down(lab.db).catch((error) => error)
    expect(refused.message).toContain('outbox triggers of "public"."products" read')
    expect(refused.hint).toContain('outboxTable')
    expect(await lab.inventory()).toEqual(before)
    await lab.run('insert into products (id) values (1)')
    await outboxTable({ table: 'products', key: 'id' }).down(lab.db)
    await stamp.down(lab.db)
    // Triggers that read no stamp do not mind.
    await stamp.up(lab.db)
    await watch({ version: false })
    await stamp.down(lab.db)
    await lab.run('insert into products (id) values (2)')
  })

  it('leave writers working after each of their statements', async () => {
    await outboxTables().down(lab.db)
    const [shared, table] = [outboxTablesSql(), outboxTableSql({ table: 'products', key: 'id', unique: ['slug'] })]
    for (const statement of [...shared.up, ...table.up, ...table.down, ...shared.down]) {
      await lab.run(statement)
      await lab.run(`insert into products (id) values (1), (2); update products set price = price + 1;
        update products set id = 3 where id = 2; delete from products; truncate products`)
    }
  })
})

describe('pruning', () => {
  beforeEach(() => watch())

  const rowsIn = (half: number) => lab.countOf(`corral.outbox_${half}`)
  const prune = async (keep = '10 minutes') =>
    (await lab.run(`select corral.prune_outbox('${keep}') as emptied`))[0]?.emptied

  /** A row of half an hour ago. The first half is the one that is written to at first. */
  async function writeOld(half = 1): Promise<void> {
    await lab.run(
      `insert into corral.outbox_${half} (at, entity, op, key) values (now() - interval '30 minutes', 'public.products', 'u', '{1}')`,
    )
  }
  /** A position before which everything is relayed. Its own transaction is the horizon: what runs elsewhere on the server is not. */
  const settled = (at: string) =>
    lab.run(
      `insert into corral.positions (namespace, began, at, position)
        select 'shop', ${at}, ${at}, (own || ':' || own || ':')::pg_snapshot from (select pg_current_xact_id()::text as own) as x`,
    )

  it('empties what was relayed long enough ago, and nothing that may have to be relayed again', async () => {
    await writeOld()
    await lab.run('insert into products (id) values (1)')
    expect(await prune()).toBe(0)
    await settled(`now() - interval '11 minutes'`)
    expect(await prune()).toBe(1)
    expect(await rowsIn(1)).toBe(0)
    expect(await rowsIn(0)).toBe(1)
    await writeOld()
    await settled('now()')
    expect(await prune()).toBe(0)
    await expect(prune('1 second')).rejects.toThrow('less than a minute')
  })

  it('ends a turn after ten minutes, when the other half is empty, however long that takes', async () => {
    await writeOld()
    await writeOld(0)
    await settled(`now() - interval '8 days'`)
    await lab.run(`insert into corral.positions (namespace, position) select namespace, position from corral.positions`)
    const writtenTo = async () => {
      const before = await rowsIn(0)
      const session = await lab.session()
      await session.run('insert into products default values')
      return (await rowsIn(0)) > before ? 0 : 1
    }
    await lab.run('alter table products alter id add generated always as identity')
    await writeOld()
    expect(await prune('7 days'), 'the last row may have to be relayed again').toBe(0)
    expect(await writtenTo()).toBe(0)
    await lab.run('truncate corral.positions')
    await settled('now()')
    expect(await prune()).toBe(1)
    expect(await writtenTo()).toBe(1)
    expect(await prune(), 'what is in the first half is relayed, too').toBe(1)
    expect(await writtenTo(), 'the second one is young').toBe(1)
    await lab.run(`update corral.outbox_1 set at = at - interval '11 minutes'`)
    expect(await prune()).toBe(0)
    expect(await writtenTo()).toBe(0)
  })

  it('is for one at a time, and the others do not wait: a turn that ended twice would give its ids out twice', async () => {
    await writeOld(0)
    // Of these the first is deleted: who comes second, and is let in, waits for that.
    for (const at of [`now() - interval '25 minutes'`, `now() - interval '12 minutes'`, 'now()']) await settled(at)
    const [one, other] = [await lab.session(), await lab.session()]
    await one.run('begin')
    await one.run('select corral.prune_outbox()')
    const turn = async () => (await lab.run(`select last_value / 1099511627776 as turn from corral.outbox_id`))[0]?.turn
    expect(await turn(), 'a turn has ended').toBe('1')
    expect(await other.run('select corral.prune_outbox() as emptied')).toEqual([{ emptied: 0 }])
    await one.run('commit')
    expect(await turn()).toBe('1')
  })

  it('empties what a dump has brought from a server that was further on', async () => {
    await writeOld()
    await writeOld(0)
    await lab.run(`update corral.outbox set xid = '9000000000000'::xid8`)
    await settled('now()')
    expect(await prune()).toBe(1)
    expect([await rowsIn(0), await rowsIn(1)]).toEqual([1, 0])
    expect(await prune(), 'and the turn has ended').toBe(1)
    expect(await rowsIn(0)).toBe(0)
  })

  it('is only done where what was committed meanwhile is seen: a writer may commit between its two looks', async () => {
    const session = await lab.session()
    for (const level of ['repeatable read', 'serializable']) {
      await session.run(`begin isolation level ${level}`)
      await expect(session.run('select corral.prune_outbox()'), level).rejects.toThrow('read committed')
      await session.run('rollback')
    }
  })

  it('waits for no writer', async () => {
    await writeOld()
    const writer = await lab.session()
    await writer.run('begin')
    await writer.run(`insert into corral.outbox_1 (entity, op, key) values ('public.products', 'u', '{1}')`)
    await settled(`now() - interval '11 minutes'`)
    const startedMs = performance.now()
    expect(await prune()).toBe(0)
    expect(performance.now() - startedMs).toBeLessThan(1_000)
    await writer.run('commit')
  })

  it('gives up on a namespace whose relay is gone, and gives it another epoch', async () => {
    await writeOld()
    await settled(`now() - interval '2 days'`)
    await lab.run(`insert into corral.positions (namespace, began, at, position)
      select 'other', at, at, position from (select now() - interval '11 minutes' as at, position from corral.positions) as x`)
    expect(await lab.run('select corral.prune_outbox() as emptied')).toEqual([{ emptied: 1 }])
    expect(await lab.run('select * from corral.epochs')).toMatchObject([{ namespace: 'shop', number: '1' }])
    expect(await lab.run('select distinct namespace from corral.positions')).toEqual([{ namespace: 'other' }])
  })
})
