import { CamelCasePlugin, sql } from 'kysely'
import { beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { readTable, type TableRequest } from '../../../src/adapters/postgres/catalog.js'
import { isCorralError } from '../../../src/core/errors.js'
import { stampTable } from '../../../src/migrations.js'
import { freshDatabase } from '../../support/services.js'
import { type AnyDatabase, openKysely } from './connections.js'

let db: AnyDatabase
let camel: AnyDatabase
let dbUrl: string

beforeAll(async () => {
  dbUrl = await freshDatabase()
  db = openKysely(dbUrl)
  camel = openKysely(dbUrl, { plugins: [new CamelCasePlugin()] })
})

beforeEach(() => run('drop schema if exists public, corral, sales cascade; create schema public'))

async function run(text: string): Promise<void> {
  await sql.raw(text).execute(db)
}

const PRODUCTS = 'create table products (id int primary key, slug text not null unique, price numeric(10, 2))'

function refusal(request: Partial<TableRequest>, from = db): Promise<string> {
  return refusalOf({ table: 'products', key: 'id', version: false, ...request }, from)
}

async function refusalOf(request: TableRequest, from = db): Promise<string> {
  const error = await readTable(from, request).then(
    () => undefined,
    (reason: unknown) => reason,
  )
  expect(isCorralError(error, 'CONFIG_INVALID')).toBe(true)
  return (error as Error).message
}

describe('what is read about a table', () => {
  it('is its real names, its columns in order, its key and its stamp', async () => {
    await run(PRODUCTS)
    await stampTable({ table: 'products', key: 'id' }).up(db)
    const facts = await readTable(db, { table: 'products', key: 'id', unique: ['slug'] })
    expect(facts).toEqual({
      table: 'products',
      schema: 'public',
      name: 'products',
      entity: 'public.products',
      columns: [
        { column: 'id', property: 'id', type: 'integer', notNull: true, generated: false },
        { column: 'slug', property: 'slug', type: 'text', notNull: true, generated: false },
        { column: 'price', property: 'price', type: 'numeric(10,2)', notNull: false, generated: false },
        { column: 'corral_version', property: 'corral_version', type: 'bigint', notNull: true, generated: false },
      ],
      key: [{ column: 'id', property: 'id', type: { name: 'integer' } }],
      unique: [[{ column: 'slug', property: 'slug', type: { name: 'text' } }]],
      queryBy: [],
      version: { property: 'corral_version', column: 'corral_version' },
      stamp: 'installed',
      isShownAlike: false,
      isLocal: false,
    })
    for (const part of [
      facts,
      facts.columns,
      facts.columns[0],
      facts.key,
      facts.key[0],
      facts.key[0]?.type,
      facts.unique,
      facts.version,
    ]) {
      expect(Object.isFrozen(part)).toBe(true)
    }
  })

  it('has an interval as rows have it, where a column is of that type', async () => {
    await run(`create domain stay as interval; create table lessons (id int primary key, lasts interval(0));
      create table rests (id int primary key, rest_times interval[]); create table rooms (id int primary key, stay stay); ${PRODUCTS}`)
    for (const table of ['lessons', 'rests', 'rooms']) {
      for (const from of [db, camel]) {
        const { interval } = await readTable(from, { table, key: 'id', version: false })
        expect(interval).toMatchObject({ days: 1, toPostgres: expect.any(Function) })
      }
    }
    expect(await readTable(db, { table: 'products', key: 'id', version: false })).not.toHaveProperty('interval')
    const asText = openKysely(dbUrl, { pool: { types: { getTypeParser: () => (value: string) => value } } })
    expect(await readTable(asText, { table: 'lessons', key: 'id', version: false })).toHaveProperty('interval', '1 day')
  })

  it('goes through the names that plugins make', async () => {
    await run(
      `create schema sales; create table sales.order_lines (order_id int, line_no int, unit_price int, primary key (line_no, order_id))`,
    )
    await stampTable({ schema: 'sales', table: 'order_lines', key: ['order_id', 'line_no'] }).up(db)
    for (const [from, table] of [
      [camel, 'sales.orderLines'],
      [camel.withSchema('sales'), 'orderLines'],
    ] as const) {
      const facts = await readTable(from, { table, key: ['orderId', 'lineNo'] })
      expect(facts).toMatchObject({
        table,
        entity: 'sales.order_lines',
        version: { property: 'corralVersion', column: 'corral_version' },
      })
      expect(facts.columns.map(({ column, property }) => [column, property])).toEqual([
        ['order_id', 'orderId'],
        ['line_no', 'lineNo'],
        ['unit_price', 'unitPrice'],
        ['corral_version', 'corralVersion'],
      ])
      expect(facts.key.map(({ column, property }) => [column, property])).toEqual([
        ['order_id', 'orderId'],
        ['line_no', 'lineNo'],
      ])
    }
  })

  it('follows the search path where no schema is named', async () => {
    await run(`create schema sales; create table sales.products (id int primary key)`)
    await db.connection().execute(async (connection) => {
      await sql`set search_path = sales, public`.execute(connection)
      expect(await readTable(connection, { table: 'products', key: 'id', version: false })).toMatchObject({
        entity: 'sales.products',
      })
      await sql`reset search_path`.execute(connection)
    })
  })

  it('knows mixed-case names, dropped and generated columns', async () => {
    await run(`create table "Product Lines" ("Id" int primary key, gone int, "Twice" int generated always as ("Id" * 2) stored);
      alter table "Product Lines" drop column gone`)
    const facts = await readTable(db, { table: 'Product Lines', key: 'Id', version: false })
    expect(facts).toMatchObject({ entity: 'public.Product Lines', stamp: 'missing', version: undefined })
    expect(facts.columns.map(({ property, generated }) => [property, generated])).toEqual([
      ['Id', false],
      ['Twice', true],
    ])
  })

  it('sees through domains and enums to the type below', async () => {
    await run(`create schema sales; create type sales."Kind" as enum ('a');
      create domain short as varchar(5); create domain shorter as short check (value <> ''); create domain kinds as sales."Kind";
      create table typed (a shorter, b kinds, c char(3), d uuid, e bool, f smallint, g bigint, h varchar, i bpchar, primary key (a, b, c, d, e, f, g, h, i))`)
    const facts = await readTable(db, { table: 'typed', key: [...'abcdefghi'], version: false })
    expect(facts.key.map(({ type }) => type)).toEqual([
      { name: 'varchar' },
      { name: 'enum', sqlName: 'sales."Kind"' },
      { name: 'char' },
      { name: 'uuid' },
      { name: 'boolean' },
      { name: 'smallint' },
      { name: 'bigint' },
      { name: 'varchar' },
      { name: 'char' },
    ])
  })

  it('takes any full unique index on not-null columns as the key, included columns aside', async () => {
    await run(`create table products (id int not null, region text not null, price int);
      create unique index on products (region, id) include (price)`)
    expect((await readTable(db, { table: 'products', key: ['id', 'region'], version: false })).key).toHaveLength(2)
  })

  it('lets a lookup be nullable', async () => {
    await run('create table products (id int primary key, slug text unique)')
    expect(
      (await readTable(db, { table: 'products', key: 'id', unique: ['slug'], version: false })).unique,
    ).toHaveLength(1)
  })
})

describe('a table that is refused', () => {
  it('does not exist', async () => {
    expect(await refusal({})).toMatch(/`products\.table`.*the database has no products on the search path/)
    expect(await refusal({}, db.withSchema('sales'))).toMatch(/no sales\.products/)
  })

  it.each([
    ['a view', 'create view products as select 1 as id'],
    ['a materialized view', 'create materialized view products as select 1 as id'],
    ['a temporary table', 'create temp table products (id int primary key)'],
  ])('is %s', async (found, statement) => {
    await db.connection().execute(async (connection) => {
      await sql.raw(statement).execute(connection)
      expect(await refusal({}, connection)).toContain(found)
      await sql`discard temp`.execute(connection)
    })
  })

  it('has others inheriting from it, or a dot in its name', async () => {
    await run(`${PRODUCTS}; create table special () inherits (products)`)
    expect(await refusal({})).toMatch(/inherit/)
    await run('alter table special add primary key (id)')
    expect(await refusal({ table: 'special' })).toMatch(/found "a table that inherits from public\.products"/)
    await run('create schema sales; create table sales."products.v2" (id int primary key)')
    expect(await refusal({ table: 'products.v2' }, db.withSchema('sales'))).toMatch(/products\.v2/)
  })

  it('is a partition, whose changes are told as those of the whole', async () => {
    await run(`create table products (id int primary key) partition by range (id);
      create table products_1 partition of products for values from (0) to (100) partition by range (id);
      create table products_1a partition of products_1 for values from (0) to (10)`)
    for (const table of ['products_1', 'products_1a']) {
      expect(await refusal({ table })).toMatch(/cache that, found "a partition of public\.products"/)
    }
    expect(await readTable(db, { table: 'products', key: 'id', version: false })).toMatchObject({ name: 'products' })
  })

  it('is named with an alias', async () => {
    await run(PRODUCTS)
    expect(await refusal({ table: 'products as p' })).toMatch(/plain name/)
  })

  it('has columns that rows do not show one by one', async () => {
    await run('create table products (id int primary key, unit_price int, "unitPrice" int)')
    expect(await refusal({}, camel)).toMatch(/one property for each of the 3 columns/)
    await run('drop table products; create table products (id int primary key, "1" int)')
    expect(await refusal({})).toMatch(/whole number/)
    await run('drop table products; create table products (id int primary key, corralsnapshot text)')
    expect(await refusal({})).toMatch(/found "corralsnapshot"/)
  })
})

describe('a key that is refused', () => {
  it('is no column', async () => {
    await run(PRODUCTS)
    expect(await refusal({ key: 'ident' })).toMatch(
      /`products\.key`: expected a column of public\.products \(id, slug, price\), found "ident"/,
    )
    expect(await refusal({ key: 'id as ident' })).toMatch(/expected a column/)
    expect(await refusal({ key: [] })).toMatch(/at least one column/)
  })

  it.each([
    ['has no index', 'create table products (id int not null)'],
    ['has an index that is not unique', 'create table products (id int not null); create index on products (id)'],
    ['is unique only with more columns', 'create table products (id int, n int, primary key (id, n))'],
    [
      'is unique only in part',
      'create table products (id int not null); create unique index on products (id) where id > 5',
    ],
    [
      'is unique only as an expression',
      'create table products (id int not null); create unique index on products (abs(id))',
    ],
    ['is unique only at commit', 'create table products (id int primary key deferrable)'],
  ])('%s', async (_, statement) => {
    await run(statement)
    expect(await refusal({})).toMatch(/create unique index on "public"\."products" \("id"\)/)
  })

  it('may be null', async () => {
    await run('create table products (id int unique)')
    expect(await refusal({})).toMatch(/alter column "id" set not null.*found "id"/)
  })

  it.each(['numeric', 'timestamptz', 'double precision', 'jsonb', 'int[]', 'bytea', '"char"', 'name', 'money'])(
    'is of type %s',
    async (type) => {
      await run(`create table products (id ${type} primary key)`)
      expect(await refusal({})).toMatch(/one spelling for each value \(smallint, integer/)
    },
  )

  it('compares texts by a nondeterministic collation', async () => {
    await run(`create collation folded (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
      create table products (id text collate folded primary key)`)
    expect(await refusal({})).toMatch(/deterministic collation/)
  })

  it('has a name that does not lead back to the column', async () => {
    await run('create table products ("_id" int primary key)')
    expect(await refusal({ key: '_id' }, camel)).toMatch(/plugins that map/)
  })

  it('is a lookup without a unique index', async () => {
    await run(PRODUCTS)
    expect(await refusal({ unique: ['price'] })).toMatch(/`products\.unique`.*one spelling/)
    expect(await refusal({ unique: [['id', 'slug']] })).toMatch(
      /`products\.unique`.*a unique index on exactly these columns/,
    )
  })
})

describe('a version that is refused', () => {
  const request = { version: 'corral_version' }

  it('is missing: the message holds the migration', async () => {
    await run('create schema sales; create table sales.products (id int, n int, primary key (id, n))')
    const message = await refusalOf({ table: 'sales.products', key: ['n', 'id'] })
    expect(message).toContain(
      "import { stampTable } from 'corral/migrations'; export const { up, down } = stampTable({ schema: 'sales', table: 'products', key: ['n', 'id'] })",
    )
  })

  it('is of a type that does not count, or may be null', async () => {
    await run('create table products (id int primary key, at timestamptz not null, rev int, corral_version int)')
    expect(await refusal({ version: 'at' })).toMatch(/bigint not null.*timestamp with time zone/)
    expect(await refusal({ version: 'rev' })).toMatch(/bigint not null.*integer, nullable/)
    expect(await refusal(request)).toMatch(/bigint not null/)
    expect(await refusal({ version: 'nope' })).toMatch(/a column of public\.products/)
  })

  it('has no trigger, though it is called as if it had', async () => {
    await run('create table products (id int primary key, corral_version bigint not null)')
    expect(await refusal(request)).toMatch(/trigger zz_corral_stamp.*stampTable\(\{ table: 'products', key: 'id' \}\)/)
  })

  it.each(['disable', 'enable', 'enable replica'])('has a trigger that does not always fire: %s', async (state) => {
    await run(PRODUCTS)
    await stampTable({ table: 'products', key: 'id' }).up(db)
    await run(`alter table products ${state} trigger zz_corral_stamp`)
    expect(await refusal(request)).toMatch(/run: alter table products enable always trigger zz_corral_stamp, found/)
    expect(await readTable(db, { table: 'products', key: 'id', version: false })).toMatchObject({ stamp: 'disabled' })
  })

  it('has tombstones that are not always kept', async () => {
    await run(PRODUCTS)
    await stampTable({ table: 'products', key: 'id' }).up(db)
    await run('alter table products disable trigger zz_corral_tombstone')
    expect(await refusal(request)).toMatch(/run: alter table products enable always trigger zz_corral_tombstone, found/)
  })

  it('has a trigger that does not fire on one of the partitions', async () => {
    await run(`create table products (id int primary key) partition by list (id);
      create table products_1 partition of products for values in (1); create table products_2 partition of products for values in (2)`)
    await stampTable({ table: 'products', key: 'id' }).up(db)
    expect(await readTable(db, { table: 'products', key: 'id' })).toMatchObject({ stamp: 'installed' })
    await run('alter table products_2 disable trigger zz_corral_stamp')
    expect(await refusal(request)).toMatch(/run: alter table products_2 enable always trigger zz_corral_stamp, found/)
  })
})

it("a table's own version is accepted as it is, and Corral's under another name is recognised", async () => {
  await run('create table products (id int primary key, rev int not null, row_rev bigint not null)')
  const read = () => readTable(camel, { table: 'products', key: 'id', version: 'rowRev' })
  expect(await read()).toMatchObject({ version: { property: 'rowRev', column: 'row_rev' }, stamp: 'own column' })
  await stampTable({ table: 'products', key: 'id', column: 'row_rev' }).up(db)
  expect(await read()).toMatchObject({ stamp: 'installed' })
  expect(await readTable(db, { table: 'products', key: 'id', version: 'rev' })).toMatchObject({ stamp: 'own column' })
  await run('alter table products disable trigger zz_corral_stamp')
  await expect(read()).rejects.toThrow(/enable always/)
})

it('a database that does not answer is a SourceError with its cause', async () => {
  const nowhere = openKysely('postgres://127.0.0.1:1/nowhere')
  const error = await readTable(nowhere, { table: 'products', key: 'id' }).catch((reason: unknown) => reason)
  expect(isCorralError(error, 'SOURCE_FAILED')).toBe(true)
  expect((error as Error).cause).toMatchObject({ code: 'ECONNREFUSED' })
})
