import { AsyncLocalStorage } from 'node:async_hooks'
import { Redis } from 'ioredis'
import {
  BinaryOperationNode,
  ColumnNode,
  type Generated,
  Kysely,
  type KyselyPlugin,
  OperatorNode,
  PostgresDialect,
  QueryNode,
  ReferenceNode,
  SelectModifierNode,
  SelectQueryNode,
  sql,
  TableNode,
  ValueNode,
  WithSchemaPlugin,
} from 'kysely'
import pg from 'pg'
import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { createCorral } from '../../src/client.js'
import { stampTable } from '../../src/migrations.js'
import { Recorder } from '../support/recorder.js'
import { execute } from '../support/servers/database.js'
import { freshDatabase, freshNamespace, postgresUrl, redisUrl } from '../support/services.js'

interface Database {
  notes: { id: number; tenant: string; text: string; corral_version: Generated<string> }
  all_notes: { id: number }
}

/** The application's, which policies hold to the rows of one tenant. */
const ROLE = `tenant_app_${process.pid}`

let url: string

beforeAll(async () => {
  url = await freshDatabase()
  await execute(postgresUrl(), `create role ${ROLE} login`)
})

afterAll(async () => {
  await execute(url, `drop owned by ${ROLE}`)
  await execute(postgresUrl(), `drop role ${ROLE}`)
})

beforeEach(async () => {
  await execute(
    url,
    `drop schema if exists public, corral cascade; create schema public; grant usage on schema public to ${ROLE};
      create table notes (id int primary key, tenant text not null, text text not null unique);
      grant all on notes to ${ROLE};
      alter table notes enable row level security;
      create policy own on notes using (tenant = current_setting('app.tenant', true));
      create view all_notes as select id from notes; grant all on all_notes to ${ROLE};
      insert into notes values (1, 'a', 'of a'), (2, 'b', 'of b')`,
  )
  const db = open(url)
  await stampTable({ table: 'notes', key: 'id' }).up(db)
})

function open(connectionString: string, tenant?: string): Kysely<Database> {
  const setting = tenant === undefined ? {} : { options: `-c app.tenant=${tenant}` }
  const pool = new pg.Pool({ connectionString, ...setting })
  pool.on('error', () => {})
  const db = new Kysely<Database>({ dialect: new PostgresDialect({ pool }) })
  onTestFinished(() => db.destroy())
  return db
}

/** A process of the namespace; with a tenant, one whose role and connections belong to that. */
function start(namespace: string, tenant?: string) {
  const db = tenant === undefined ? open(url) : open(url.replace(/\/\/[^@/]*@?/, `//${ROLE}@`), tenant)
  const redis = new Redis(redisUrl(), { lazyConnect: true })
  const events = new Recorder()
  const corral = createCorral({ db, redis, namespace, onEvent: events.emit })
  onTestFinished(async () => {
    await corral.close()
    redis.disconnect()
  })
  return { corral, events }
}

function refusal(call: Promise<unknown>): Promise<string> {
  return call.then(
    (answer) => expect.unreachable(`answered ${JSON.stringify(answer)}`),
    (error) => `${error.code}: ${error.message}`,
  )
}

describe('a table of which policies show the role only some rows', () => {
  it('has no repository, for the rows of one tenant would be shown to the others', async () => {
    const namespace = freshNamespace()
    for (const tenant of ['a', 'b']) {
      const notes = start(namespace, tenant).corral.repository('notes', { key: 'id' })
      for (const call of [notes.find(1), notes.update(1, { text: 'new' }), notes.find(1, { consistency: 'primary' })]) {
        const said = await refusal(call)
        expect(said).toMatch(/^CONFIG_INVALID: option `notes\.rowSecurity`: expected .*BYPASSRLS.*`alike`/)
        expect(said).toContain(`found "policies that decide which rows ${ROLE} sees"`)
      }
    }
  })

  it('is read by no cached query', async () => {
    const { corral } = start(freshNamespace(), 'a')
    const built = corral.query('built', (db) => db.selectFrom('notes').selectAll())
    const raw = corral.query('raw', () => sql<object>`select * from notes`, { dependsOn: ['notes'] })
    const viewed = corral.query('viewed', (db) => db.selectFrom('all_notes').selectAll(), { dependsOn: ['notes'] })
    for (const query of [built, raw, viewed]) {
      expect(await refusal(query())).toMatch(/^QUERY_UNCACHEABLE: .* notes has row-level security.*BYPASSRLS.*`alike`/)
    }
  })

  it('is cached where the application says that all connections are shown the same', async () => {
    const namespace = freshNamespace()
    const answers = []
    for (const process of [start(namespace, 'a'), start(namespace, 'a')]) {
      const notes = process.corral.repository('notes', { key: 'id', rowSecurity: 'alike' })
      const texts = process.corral.query('texts', (db) => db.selectFrom('notes').select('text'), {
        rowSecurity: 'alike',
      })
      answers.push([(await notes.find(1))?.text, await notes.find(2), await texts(), process.events.count('load')])
    }
    const expected = ['of a', undefined, [{ text: 'of a' }]]
    expect(answers).toEqual([
      [...expected, 3],
      [...expected, 0],
    ])
  })
})

describe('policies that begin to hold for the role while processes run', () => {
  it('are noticed by the load that they hold rows from, which is not believed', async () => {
    await execute(url, `alter table notes disable row level security; insert into notes values (3, 'b', 'of b, too')`)
    const namespace = freshNamespace()
    const notes = start(namespace, 'a').corral.repository('notes', { key: 'id', unique: ['text'] })
    const others = start(namespace).corral.repository('notes', { key: 'id' })
    expect((await notes.find(2))?.text).toBe('of b')
    await execute(url, 'alter table notes enable row level security')
    const calls = {
      find: () => notes.find(3),
      findMany: () => notes.findMany([1, 3]),
      findBy: () => notes.findBy({ text: 'of b, too' }),
      verified: () => notes.find(2, { consistency: 'verified' }),
      primary: () => notes.find(2, { consistency: 'primary' }),
      refresh: () => notes.find(2, { consistency: 'refresh' }),
    }
    for (const [name, call] of Object.entries(calls)) {
      const said = await refusal(call())
      expect(said, name).toMatch(/^CONFIG_INVALID: option `notes\.rowSecurity`: expected .*BYPASSRLS.*`alike`/)
      expect(said, name).toContain(`found "policies that decide which rows ${ROLE} sees"`)
    }
    expect((await others.find(3))?.text, 'no absence was cached for who sees all').toBe('of b, too')
    await execute(url, 'alter table notes disable row level security')
    expect((await notes.findBy({ text: 'of b, too' }))?.id, 'without a restart').toBe(3)
  })

  it('are none where the application says that all connections are shown the same', async () => {
    await execute(url, 'alter table notes disable row level security')
    const { corral } = start(freshNamespace(), 'a')
    const notes = corral.repository('notes', { key: 'id', rowSecurity: 'alike' })
    expect((await notes.find(1))?.text).toBe('of a')
    await execute(url, 'alter table notes enable row level security')
    expect([await notes.find(2), await notes.find(2, { consistency: 'verified' })]).toEqual([undefined, undefined])
  })

  it('hold in a transaction, which reads as whoever it stands for', async () => {
    await execute(url, 'alter table notes disable row level security')
    const { corral } = start(freshNamespace(), 'a')
    const notes = corral.repository('notes', { key: 'id' })
    await notes.find(1)
    await execute(url, 'alter table notes enable row level security')
    const { value } = await corral.transaction((tx) => notes.in(tx).findMany([1, 2]))
    expect(value.map((row) => row?.text)).toEqual(['of a', undefined])
  })
})

describe('a role that sees all rows', () => {
  it('reads through the cache, and in a transaction as whoever that stands for', async () => {
    const { corral } = start(freshNamespace())
    const notes = corral.repository('notes', { key: 'id' })
    expect([(await notes.find(1))?.text, (await notes.find(2))?.text]).toEqual(['of a', 'of b'])
    const asTenant = async <Value>(tenant: string, work: (tx: Parameters<typeof notes.in>[0]) => Promise<Value>) => {
      const { value } = await corral.transaction(async (tx) => {
        await sql`select set_config('role', ${ROLE}, true), set_config('app.tenant', ${tenant}, true)`.execute(tx)
        return work(tx)
      })
      return value
    }
    const seen = await asTenant('b', (tx) => notes.in(tx).findMany([1, 2]))
    expect(seen.map((row) => row?.text)).toEqual([undefined, 'of b'])
    expect(await asTenant('b', (tx) => notes.in(tx).update(1, { text: 'stolen' }))).toBeUndefined()
    await asTenant('b', (tx) => notes.in(tx).update(2, { text: 'new' }))
    expect([(await notes.find(1))?.text, (await notes.find(2))?.text]).toEqual(['of a', 'new'])
  })
})

describe('a plugin that shows each tenant only some rows', () => {
  const tenants = new AsyncLocalStorage<string>()
  const as = <Value>(tenant: string, work: () => Promise<Value>) => tenants.run(tenant, work)

  /** Changes every SELECT of the notes as long as there is a tenant. */
  function pluginOf(change: (select: SelectQueryNode, tenant: string) => SelectQueryNode): KyselyPlugin {
    return {
      transformQuery({ node }) {
        const tenant = tenants.getStore()
        const isOfNotes = SelectQueryNode.is(node) && JSON.stringify(node).includes('"notes"')
        return tenant === undefined || !isOfNotes ? node : change(node, tenant)
      },
      transformResult: async ({ result }) => result,
    }
  }
  const holding = pluginOf((select, tenant) => {
    const table = TableNode.create(select.joins === undefined ? 'notes' : 'corralrow')
    const column = ReferenceNode.create(ColumnNode.create('tenant'), table)
    const condition = BinaryOperationNode.create(column, OperatorNode.create('='), ValueNode.create(tenant))
    return QueryNode.cloneWithWhere(select, condition) as SelectQueryNode
  })
  const leading = pluginOf(
    (select, tenant) =>
      new WithSchemaPlugin(`of_${tenant}`).transformQuery({
        node: select,
        queryId: { queryId: '1' },
      }) as SelectQueryNode,
  )

  function startWith(plugin: KyselyPlugin, namespace = freshNamespace()) {
    const redis = new Redis(redisUrl(), { lazyConnect: true })
    const events = new Recorder()
    const corral = createCorral({ db: open(url).withPlugin(plugin), redis, namespace, onEvent: events.emit })
    onTestFinished(async () => {
      await corral.close()
      redis.disconnect()
    })
    return { corral, events }
  }

  it.each([
    ['holds them to it', holding, 'adds to it \\(where\\)'],
    ['leads them to another table', leading, 'names another table at times'],
  ])('is refused where it %s, from the beginning or later on', async (_, plugin, found) => {
    await execute(
      url,
      `drop schema if exists of_a cascade; create schema of_a; create table of_a.notes (like notes including all)`,
    )
    const refused = new RegExp(
      `^CONFIG_INVALID: option \`db\`: expected plugins.* without this one, found a plugin that ${found}`,
    )
    const late = startWith(plugin)
    const notes = late.corral.repository('notes', { key: 'id' })
    expect((await notes.find(1))?.text, 'as nobody').toBe('of a')
    for (const call of [() => notes.find(2), () => notes.find(1, { consistency: 'verified' })]) {
      expect(await refusal(as('a', call))).toMatch(refused)
    }
    expect((await notes.find(2))?.text, 'as nobody, and not as what one tenant was shown').toBe('of b')
    if (plugin === leading) return
    const early = startWith(plugin).corral.repository('notes', { key: 'id' })
    expect(await refusal(as('a', () => early.find(1)))).toMatch(refused)
  })

  it('but not one that adds comments', async () => {
    const commenting = pluginOf((select) =>
      QueryNode.cloneWithEndModifier(
        select,
        SelectModifierNode.createWithExpression(sql`-- asked by a test`.toOperationNode()),
      ),
    )
    const notes = startWith(commenting).corral.repository('notes', { key: 'id' })
    expect((await as('a', () => notes.find(2)))?.text).toBe('of b')
  })
})

it.each(['repository', 'query'] as const)('a %s refuses any other word on it', async (kind) => {
  const { corral } = start(freshNamespace())
  const options = { key: 'id', rowSecurity: true } as never
  const make = () =>
    kind === 'repository'
      ? corral.repository('notes', options)
      : corral.query('q', (db) => db.selectFrom('notes').selectAll(), { rowSecurity: 'off' } as never)
  expect(make).toThrow(/rowSecurity.*expected `alike`/)
})
