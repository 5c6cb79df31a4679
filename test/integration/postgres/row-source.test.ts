import { CamelCasePlugin, type KyselyPlugin, ParseJSONResultsPlugin, sql } from 'kysely'
import type pg from 'pg'
import { beforeAll, describe, expect, it } from 'vitest'
import { idFromRow, type KeyColumn } from '../../../src/adapters/postgres/key-column.js'
import { PostgresRowSource } from '../../../src/adapters/postgres/row-source.js'
import { RowWriter } from '../../../src/adapters/postgres/row-writer.js'
import { isCorralError } from '../../../src/core/errors.js'
import { stampTable } from '../../../src/migrations.js'
import { freshDatabase } from '../../support/services.js'
import { type AnyDatabase, openKysely } from './connections.js'
import { idOf, openSource } from './sources.js'

let url: string
let db: AnyDatabase

beforeAll(async () => {
  url = await freshDatabase()
  db = openKysely(url)
  await run(`create type mood as enum ('calm', 'it''s "fine", {ok}', 'null')`)
})

async function run(text: string): Promise<void> {
  await sql.raw(text).execute(db)
}

function changing(parse: (oid: number, text: string) => unknown): pg.CustomTypesConfig {
  return { getTypeParser: ((oid: number) => (text: string) => parse(oid, text)) as never }
}

describe('a loaded row', () => {
  beforeAll(async () => {
    await run(`create table every_type (
        id int primary key, small smallint, big bigint, num numeric, num_scaled numeric(12, 3), f4 real, f8 double precision,
        txt text, vc varchar(20), ch char(5), bin bytea, js json, jsb jsonb, d date, t time, ts timestamp, tstz timestamptz,
        span interval, yes boolean, uid uuid, net inet, m mood, rng int4range, pt point,
        ints int[], bigs bigint[], nums numeric[], texts text[][], bins bytea[], jsbs jsonb[], dates date[], tstzs timestamptz[],
        spans interval[], moods mood[], uids uuid[], "Mixed Case" int, nested_js jsonb)`)
    await stampTable({ table: 'every_type', key: 'id' }).up(db)
    await run(
      `insert into every_type values
        (1, -32768, 9223372036854775807, 'NaN', -0.001, 'Infinity', 1e-300, 'it''s "🫖"', '', 'ab', '\\x00ff', '{"b": 1, "a": [1.0, null]}',
         '{"snake_key": {"deep_key": [{"in_array": 1}]}}', '2024-02-29', '23:59:59.999999', '2024-02-29 12:00:00.123456', 'epoch',
         '1 year -2 days 03:04:05.678', true, '0b5e3c1a-9f00-4d7e-8a11-c0ffee00beef', '10.0.0.1/8', 'it''s "fine", {ok}', '[1,5)', '(1.5,-2)',
         '{1,null,3}', '{9007199254740993}', '{0.10,NaN}', '{{a,"b c"},{null,""}}', array['\\x00'::bytea], array['{"some_key": 1}'::jsonb, 'null'],
         '{2024-01-01}', '{epoch,infinity}', '{1 day}', '{calm,"null"}', '{0b5e3c1a-9f00-4d7e-8a11-c0ffee00beef}', 7, '[{"a_b": "c_d"}]'),
        (2)`.replace('(2)', `(2${', null'.repeat(36)})`),
    )
  })

  it('has a column that is called as objects call their prototype', async () => {
    await run(`create table prototypes (id int primary key, "__proto__" jsonb)`)
    await stampTable({ table: 'prototypes', key: 'id' }).up(db)
    await run(`insert into prototypes values (1, '{"price": 1}')`)
    const { source } = await openSource(db, { table: 'prototypes', key: 'id' })
    const [{ row } = { row: undefined }] = (await source.load([['1']])).rows
    expect(Object.entries(row ?? {})).toContainEqual(['__proto__', { price: 1 }])
    expect(row).not.toHaveProperty('price')
  })

  const parsers: { name: string; plugins: KyselyPlugin[]; types?: pg.CustomTypesConfig }[] = [
    { name: 'as pg and Kysely come', plugins: [] },
    { name: 'with CamelCasePlugin, which also maps inside json', plugins: [new CamelCasePlugin()] },
    {
      name: 'with CamelCasePlugin that leaves json alone',
      plugins: [new CamelCasePlugin({ maintainNestedObjectKeys: true })],
    },
    { name: 'with ParseJSONResultsPlugin', plugins: [new ParseJSONResultsPlugin()] },
    {
      name: "with type parsers that change every value but texts, the id's and the stamp's as well",
      plugins: [],
      types: changing((oid, text) => (oid === 25 ? text : { oid, text })),
    },
    {
      name: 'with everything left as text',
      plugins: [],
      types: changing((_, text) => text),
    },
  ]

  it.each(parsers)('is what selectAll() gives, $name', async ({ plugins, types }) => {
    const from = openKysely(url, { plugins, pool: types ? { types } : {} })
    const { facts, source } = await openSource(from, { table: 'every_type', key: 'id' })
    const expected = (await from.selectFrom('every_type').selectAll().orderBy('id').execute()) as object[]
    const { rows } = await source.load([['1'], ['2']])
    expect(rows.map(({ row }) => row)).toStrictEqual(expected)
    for (const [at, { row }] of rows.entries()) {
      expect(Object.keys(row as object)).toEqual(Object.keys(expected[at] as object))
      expect(Object.keys(row as object)).toEqual(facts.columns.map(({ property }) => property))
    }
    const { rows: stamps } = await sql<{
      stamp: string
    }>`select corral_version::text as stamp from every_type order by id`.execute(db)
    expect(rows.map(({ version }) => version)).toEqual(stamps.map(({ stamp }) => stamp))
  })

  it('belongs to the caller', async () => {
    const { source } = await openSource(db, { table: 'every_type', key: 'id' })
    const [first] = (await source.load([['1']])).rows
    Object.assign(first?.row as object, { txt: 'changed' })
    const [second] = (await source.load([['1']])).rows
    expect(second?.row).not.toMatchObject({ txt: 'changed' })
  })

  it('is what the table has now, also where it was altered since its facts were read', async () => {
    await run('create table shifting (id int primary key, gone int); insert into shifting values (1, 2)')
    const { source } = await openSource(db, { table: 'shifting', key: 'id', version: false })
    await run('alter table shifting drop gone, add come int default 5')
    expect((await source.load([['1']])).rows[0]?.row).toStrictEqual({ id: 1, come: 5 })
  })
})

describe('ids', () => {
  const KEYS: { type: string; ids: unknown[]; absent: unknown[]; declare?: string }[] = [
    { type: 'smallint', ids: [-32768, 0, '+7'], absent: [8] },
    { type: 'integer', ids: [-5, 2147483647], absent: [8] },
    { type: 'bigint', ids: ['9223372036854775807', -9223372036854775808n], absent: [8] },
    { type: 'uuid', ids: ['0B5E3C1A9F004D7E8A11C0FFEE00BEEF'], absent: ['0b5e3c1a-9f00-4d7e-8a11-c0ffee00bee0'] },
    {
      type: 'text',
      ids: ['', ' ', 'null', 'NULL', '"', '\\', '\\"', '{a,b}', 'ünï🫖', "it's", 'a\nb'],
      absent: ['nothing', ','],
    },
    { type: 'varchar(9)', ids: ['a', 'a '], absent: ['A'] },
    { type: 'char(3)', ids: ['a', 'ab  ', ''], absent: ['b'] },
    { type: 'boolean', ids: [true], absent: [false] },
    { type: 'mood', ids: ['calm', 'null', `it's "fine", {ok}`], absent: ['no such label', '', '"'] },
    { type: 'tiny', ids: [1], absent: [-1], declare: 'create domain tiny as int check (value > 0)' },
    {
      type: 'moods',
      ids: ['calm'],
      absent: ['null', 'nope'],
      declare: `create domain moods as mood check (value <> 'null')`,
    },
  ]

  it.each(KEYS)(
    'of type $type find their rows for readers and writers, and what is no id of a row does no harm',
    async ({ type, ids, absent, declare }) => {
      if (declare) await run(declare)
      await run(`create table keyed (id ${type} primary key, place int)`)
      try {
        for (const [at, id] of ids.entries()) await sql`insert into keyed values (${id}, ${at})`.execute(db)
        const { facts, source } = await openSource(db, { table: 'keyed', key: 'id', version: false })
        const asked = [...absent, ...ids, ...absent]
        const { rows } = await source.load(asked.map((id) => idOf(facts.key, id)))
        const expected = [...absent.map(() => undefined), ...ids.map((_, at) => at), ...absent.map(() => undefined)]
        expect(rows.map(({ row }) => row && (row as { place: number }).place)).toEqual(expected)
        for (const { row } of rows) {
          if (row) expect(idFromRow(facts.key, row)).toEqual(idOf(facts.key, ids[(row as { place: number }).place]))
        }
        const writer = new RowWriter(facts, () => facts.key)
        for (const id of ids.map((each) => idOf(facts.key, each))) {
          expect(await writer.lock(db, id), 'locked').toBeDefined()
          expect((await writer.update(db, id, { place: 7 }))?.id, 'updated').toEqual(id)
          expect((await writer.delete(db, id))?.row, 'deleted').toMatchObject({ place: 7 })
        }
      } finally {
        await run('drop table keyed')
      }
    },
  )

  it('of several columns find exactly their rows', async () => {
    await run(`create table lines (shop int, code mood, label char(4), n int, primary key (shop, code, label));
      insert into lines values (1, 'calm', 'a', 1), (1, 'null', 'a', 2), (2, 'calm', 'a', 3), (1, 'calm', 'b"}', 4)`)
    const { facts, source } = await openSource(db, { table: 'lines', key: ['label', 'shop', 'code'], version: false })
    const asked = [
      { shop: 2, code: 'calm', label: 'a' },
      { shop: 2, code: 'null', label: 'a' },
      { shop: 1, code: 'calm', label: 'b"}' },
      { shop: 1, code: 'nope', label: 'a' },
      { shop: 1, code: 'null', label: 'a  ' },
      { shop: 2, code: 'calm', label: 'a' },
    ]
    const { rows } = await source.load(asked.map((id) => idOf(facts.key, id)))
    expect(rows.map(({ row }) => row && (row as { n: number }).n)).toEqual([3, undefined, 4, undefined, 2, 3])
  })

  it('of a unique column find their rows, and rows without one are never found', async () => {
    await run(
      `create table people (id int primary key, email text unique); insert into people values (1, 'a@b'), (2, null), (3, '')`,
    )
    await stampTable({ table: 'people', key: 'id' }).up(db)
    const { facts } = await openSource(db, { table: 'people', key: 'id', unique: ['email'] })
    const source = new PostgresRowSource({ db, facts, by: facts.unique[0] as KeyColumn[] })
    const { rows } = await source.load([[''], ['a@b'], ['null']])
    expect(rows.map(({ row }) => row && (row as { id: number }).id)).toEqual([3, 1, undefined])
    expect(rows.map(({ version }) => typeof version)).toEqual(['string', 'string', 'undefined'])
  })

  it('that are enum labels made after the start are found', async () => {
    await run(`create type growing as enum ('a'); create table grown (id growing primary key)`)
    const { source } = await openSource(db, { table: 'grown', key: 'id', version: false })
    expect((await source.load([['b']])).rows[0]?.row).toBeUndefined()
    await run(`alter type growing add value 'b'`)
    await run(`insert into grown values ('b')`)
    expect((await source.load([['b']])).rows[0]?.row).toEqual({ id: 'b' })
  })

  it('go through the schema and the names that plugins make', async () => {
    await run(`create schema sales; create table sales.order_lines (order_id int, line_no int, unit_price int, primary key (order_id, line_no));
      insert into sales.order_lines values (1, 2, 3)`)
    const from = openKysely(url, { plugins: [new CamelCasePlugin({ underscoreBeforeDigits: true })] }).withSchema(
      'sales',
    )
    const { source } = await openSource(from, { table: 'orderLines', key: ['orderId', 'lineNo'], version: false })
    expect((await source.load([['1', '2']])).rows).toEqual([
      { row: { orderId: 1, lineNo: 2, unitPrice: 3 }, version: undefined },
    ])
  })
})

it('reports a failed load once, with the driver error as its cause', async () => {
  await run('create table doomed (id int primary key)')
  const { source } = await openSource(db, { table: 'doomed', key: 'id', version: false })
  await run('drop table doomed')
  const error = await source.load([['1']]).catch((reason: unknown) => reason)
  expect(isCorralError(error, 'SOURCE_FAILED')).toBe(true)
  expect((error as Error).message).toMatch(/^load of public\.doomed failed/)
  expect((error as Error).cause).toMatchObject({ code: '42P01' })
})
