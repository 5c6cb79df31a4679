import { type KyselyPlugin, sql } from 'kysely'
import pg from 'pg'
import { beforeAll, describe, expect, it } from 'vitest'
import { readTable } from '../../../src/adapters/postgres/catalog.js'
import type { KeyColumn } from '../../../src/adapters/postgres/key-column.js'
import { PostgresRowSource } from '../../../src/adapters/postgres/row-source.js'
import { stampTable } from '../../../src/migrations.js'
import { startPostgres } from '../../support/servers/postgres.js'
import { waitUntil } from '../../support/servers/wait.js'
import { freshDatabase } from '../../support/services.js'
import { type AnyDatabase, openKysely, Session } from './connections.js'
import { openSource } from './sources.js'

let url: string
let db: AnyDatabase

beforeAll(async () => {
  url = await freshDatabase()
  db = openKysely(url)
  await run(`create type mood as enum ('calm')`)
})

async function run(text: string): Promise<void> {
  await sql.raw(text).execute(db)
}

describe('the statement', () => {
  const statements: { text: string; parameters: readonly unknown[] }[] = []
  let logged: AnyDatabase

  beforeAll(async () => {
    logged = openKysely(url, {
      log: ({ query }) => {
        statements.push({ text: query.sql, parameters: query.parameters })
      },
    })
    await run(`create table many (id int primary key, a int, b text, m mood, c char(8) unique, unique (a, b), unique (m, a));
      insert into many select n, n, 'b' || n, 'calm', 'c' || n from generate_series(1, 20000) n; analyze many`)
  })

  it('is one for any number of ids up to a thousand, with the same text and the same number of parameters', async () => {
    const { source } = await openSource(logged, { table: 'many', key: 'id', version: false })
    statements.length = 0
    for (const count of [0, 1, 3, 1000]) await source.load(Array.from({ length: count }, (_, at) => [String(at + 1)]))
    expect(statements).toHaveLength(4)
    expect(new Set(statements.map(({ text }) => text)).size).toBe(1)
    expect(new Set(statements.map(({ parameters }) => parameters.length))).toEqual(new Set([1]))
  })

  it('is repeated for every further thousand, and nothing is lost or out of order', async () => {
    const { source } = await openSource(logged, { table: 'many', key: 'id', version: false })
    statements.length = 0
    const ids = Array.from({ length: 2500 }, (_, at) => [String(20_500 - at)])
    const { rows, snapshot } = await source.load(ids)
    expect(statements).toHaveLength(3)
    expect(rows.map(({ row }) => row && (row as { id: number }).id)).toEqual(
      ids.map(([id]) => (Number(id) > 20_000 ? undefined : Number(id))),
    )
    await sql`select ${snapshot}::pg_snapshot`.execute(db)
  })

  it.each([
    { by: 'id', ids: 1 },
    { by: 'id', ids: 1000 },
    { by: 'a, b', ids: 1 },
    { by: 'a, b', ids: 10 },
    { by: 'm, a', ids: 10 },
    { by: 'c', ids: 10 },
  ])('finds $ids ids by ($by) through the index', async ({ by, ids }) => {
    const { facts } = await openSource(logged, {
      table: 'many',
      key: 'id',
      unique: [['a', 'b'], ['m', 'a'], 'c'],
      version: false,
    })
    const columns = [facts.key, ...facts.unique].find(
      (list) => list.map(({ column }) => column).join(', ') === by,
    ) as KeyColumn[]
    statements.length = 0
    const asked = Array.from({ length: ids }, (_, at) => ({ id: at, a: at, b: `b${at}`, m: 'calm', c: `c${at}` }))
    const source = new PostgresRowSource({ db: logged, facts, by: columns })
    await source.load(asked.map((each) => columns.map(({ property }) => String(each[property as keyof typeof each]))))
    const [{ text, parameters }] = statements as [(typeof statements)[0]]
    const client = await Session.open(url, db)
    for (const mode of ['force_custom_plan', 'force_generic_plan']) {
      await client.run(`set plan_cache_mode = ${mode}`)
      await client.run(`prepare load as ${text}`)
      const values = parameters.map((value) => pg.escapeLiteral(String(value))).join(', ')
      const plan = (await client.run(`explain execute load (${values})`)).map((row) => row['QUERY PLAN']).join('\n')
      await client.run('deallocate load')
      expect(plan).toMatch(/Index (Only )?Scan/)
      expect(plan).not.toMatch(/Seq Scan/)
    }
  })
})

describe('the snapshot', () => {
  it('is that of the statement that read the rows', async () => {
    await run('create table seen (id int primary key, n int); insert into seen values (1, 1)')
    const { source } = await openSource(db, { table: 'seen', key: 'id', version: false })
    const writer = await Session.open(url, db)
    await writer.run('begin')
    const [written] = await writer.run('update seen set n = 2 returning pg_current_xact_id()::text as xid')
    const isIn = async (snapshot: string) =>
      (
        await sql<{
          seen: boolean
        }>`select pg_visible_in_snapshot(${written?.xid}::xid8, ${snapshot}::pg_snapshot) as seen`.execute(db)
      ).rows[0]?.seen
    const before = await source.load([['1'], ['404']])
    await writer.run('commit')
    const after = await source.load([['1']])
    const none = await source.load([])
    expect(before).toMatchObject({ rows: [{ row: { n: 1 } }, { row: undefined }], loadedFrom: 'primary' })
    expect(after).toMatchObject({ rows: [{ row: { n: 2 } }], loadedFrom: 'primary' })
    expect(none.rows).toEqual([])
    expect([await isIn(before.snapshot), await isIn(after.snapshot), await isIn(none.snapshot)]).toEqual([
      false,
      true,
      true,
    ])
  })

  it('of a load in several statements is older than a write between them', async () => {
    await run(
      'create table wide (id int primary key, n int); insert into wide select g, 1 from generate_series(1, 1500) g',
    )
    const facts = await readTable(db, { table: 'wide', key: 'id', version: false })
    let xid = ''
    let loads = 0
    const between = {
      transformQuery: ({ node }) => node,
      transformResult: async ({ result }) => {
        if (++loads === 1) {
          const written = await sql<{
            xid: string
          }>`update wide set n = 2 returning pg_current_xact_id()::text as xid`.execute(db)
          xid = written.rows[0]?.xid as string
        }
        return result
      },
    } satisfies KyselyPlugin
    const { rows, snapshot } = await new PostgresRowSource({ db: db.withPlugin(between), facts }).load(
      Array.from({ length: 1500 }, (_, at) => [String(at + 1)]),
    )
    expect([rows[0], rows[1499]].map((each) => (each?.row as { n?: number } | undefined)?.n)).toEqual([1, 2])
    const seen = await sql<{
      seen: boolean
    }>`select pg_visible_in_snapshot(${xid}::xid8, ${snapshot}::pg_snapshot) as seen`.execute(db)
    expect(seen.rows[0]?.seen).toBe(false)
  })
})

it('tells a standby from a primary', async () => {
  const primary = await startPostgres({ own: true })
  const standby = await primary.makeStandby()
  const [ahead, behind] = [openKysely(primary.url), openKysely(standby.url)]
  await sql`create table copied (id int primary key)`.execute(ahead)
  await sql`insert into copied values (1)`.execute(ahead)
  const facts = await readTable(ahead, { table: 'copied', key: 'id', version: false })
  const load = (from: AnyDatabase) => new PostgresRowSource({ db: from, facts }).load([['1']])
  await waitUntil('the standby has the row', 10_000, async () => (await load(behind)).rows[0]?.row !== undefined)
  expect([(await load(ahead)).loadedFrom, (await load(behind)).loadedFrom]).toEqual(['primary', 'standby'])
})

it('reads stamps alone, in the order of the ids', async () => {
  await run('create table stamped (a int, b mood, body text, primary key (a, b))')
  await stampTable({ table: 'stamped', key: ['a', 'b'] }).up(db)
  await run(`insert into stamped values (1, 'calm'), (2, 'calm')`)
  const { source } = await openSource(db, { table: 'stamped', key: ['a', 'b'] })
  const ids = [
    ['2', 'calm'],
    ['3', 'calm'],
    ['1', 'calm'],
    ['1', 'nope'],
  ]
  const loaded = await source.load(ids)
  expect(await source.versions(ids)).toEqual(loaded.rows.map(({ version }) => version))
  expect((await source.versions(ids)).map((version) => typeof version)).toEqual([
    'string',
    'undefined',
    'string',
    'undefined',
  ])
  expect(await source.versions([])).toEqual([])
})
