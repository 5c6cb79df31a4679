import { Redis } from 'ioredis'
import { type Generated, Kysely, PostgresDialect } from 'kysely'
import pg from 'pg'
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { type CorralOptions, createCorral } from '../../src/client.js'
import { outboxTable, outboxTables, stampTable } from '../../src/migrations.js'
import { Recorder } from '../support/recorder.js'
import { execute } from '../support/servers/database.js'
import { waitUntil } from '../support/servers/wait.js'
import { freshDatabase, freshNamespace, redisUrl } from '../support/services.js'

/** What the driver gives for a bigint here is a number, as applications have it that ask for that. */
interface Database {
  accounts: {
    id: Generated<number | string | bigint>
    ref: number | string | null
    code: number | string | null
    owner: number | string | null
    name: string
    corral_version: Generated<number>
  }
}

const INT8 = 20

let url: string
/** Far beyond what a number tells apart; others for each test. */
let next = 9_007_199_254_741_001n
/** What it tells apart. */
let nextId = 1
let namespace: string

beforeAll(async () => {
  url = await freshDatabase()
  await execute(
    url,
    'create table accounts (id bigint primary key, ref bigint unique, code bigint unique, owner bigint, name text not null)',
  )
  const db = openDatabase()
  await stampTable({ table: 'accounts', key: 'id' }).up(db)
  await outboxTables().up(db)
  await outboxTable({ table: 'accounts', key: 'id', unique: ['ref', 'code'], columns: ['owner'] }).up(db)
  await db.destroy()
  namespace = freshNamespace()
})

function openDatabase(): Kysely<Database> {
  const types = {
    getTypeParser: (oid: number, format: 'text') => (oid === INT8 ? Number : pg.types.getTypeParser(oid, format)),
  }
  const pool = new pg.Pool({ connectionString: url, types: types as never })
  pool.on('error', () => {})
  return new Kysely<Database>({ dialect: new PostgresDialect({ pool }) })
}

function start(options: Partial<CorralOptions<Database>> = {}) {
  const db = openDatabase()
  const redis = new Redis(redisUrl(), { lazyConnect: true })
  redis.on('error', () => {})
  const events = new Recorder()
  const corral = createCorral({
    ...{ db, redis, namespace, onEvent: events.emit, cache: { deadlineMs: 1_000, fenceDeadlineMs: 2_000 } },
    ...options,
  })
  onTestFinished(async () => {
    await corral.close()
    redis.disconnect()
    await db.destroy()
  })
  const accounts = corral.repository('accounts', { key: 'id', unique: ['ref'], queryBy: ['owner'] })
  const owned = corral.query('owned', (kysely, { owner }: { owner: string }) =>
    kysely.selectFrom('accounts').select(['name', 'owner']).where('owner', '=', owner).orderBy('name'),
  )
  const namesOf = async (owner: string) => (await owned({ owner })).map(({ name }) => name)
  return { corral, db, events, accounts, namesOf }
}

/** Three values; of the first two a number makes the same. */
function values(): [string, string, string] {
  next += 8n
  const some: [string, string, string] = [String(next - 1n), String(next), String(next + 2n)]
  expect(some.map(Number).map(Number.isSafeInteger)).toEqual([false, false, false])
  expect(Number(some[0])).toBe(Number(some[1]))
  return some
}

/** Two ids. */
function ids(): [number, number] {
  nextId += 2
  return [nextId, nextId + 1]
}

async function untilFilled(fills: number, ...processes: ReturnType<typeof start>[]): Promise<void> {
  const count = () => processes.reduce((sum, { events }) => sum + events.count('fill'), 0)
  await waitUntil(`${fills} fills have ended`, 5_000, async () => count() >= fills)
}

describe('bigints that a type parser rounds to numbers', () => {
  it('are found by their key, one by one and together, and followed', async () => {
    const [reader, writer] = [start(), start()]
    const [a, b] = values()
    await execute(url, `insert into accounts (id, name) values (${a}, 'a'), (${b}, 'b')`)
    const names = async () => [
      (await reader.accounts.find(a))?.name,
      ...(await reader.accounts.findMany([b, a, BigInt(b)])).map((row) => row?.name),
    ]
    expect(await names()).toEqual(['a', 'b', 'a', 'b'])
    await untilFilled(2, reader)
    await writer.accounts.update(b, { name: 'new b' })
    await expect.poll(names).toEqual(['a', 'new b', 'a', 'new b'])
    await writer.corral.transaction((tx) =>
      tx.updateTable('accounts').set({ name: 'new a' }).where('id', '=', a).execute(),
    )
    await expect.poll(names).toEqual(['new a', 'new b', 'new a', 'new b'])
  })

  it('are warmed up under their own keys', async () => {
    const reader = start()
    const [a, b] = values()
    await execute(url, `insert into accounts (id, name) values (${a}, 'a'), (${b}, 'b')`)
    await reader.accounts.warm((db) => db.selectFrom('accounts').select('id').where('id', 'in', [a, b]))
    await reader.accounts.warm([a, b])
    const loads = reader.events.count('load')
    expect((await reader.accounts.find(a))?.name).toBe('a')
    expect((await reader.accounts.find(b))?.name).toBe('b')
    expect(reader.events.count('load')).toBe(loads)
  })

  it('are found by a unique column, again and again', async () => {
    const [reader, writer] = [start(), start()]
    const [[id, other], [a, b]] = [ids(), values()]
    await execute(url, `insert into accounts (id, ref, name) values (${other}, ${a}, 'a'), (${id}, ${b}, 'b')`)
    for (let nth = 1; nth <= 3; nth++) {
      expect((await reader.accounts.findBy({ ref: a }))?.name).toBe('a')
      expect((await reader.accounts.findBy({ ref: b }))?.name).toBe('b')
      await untilFilled(2, reader)
    }
    await writer.accounts.update(id, { name: 'new' })
    expect((await reader.accounts.findBy({ ref: b }))?.name).toBe('new')
    await writer.accounts.update(id, { ref: null })
    for (const { accounts } of [writer, reader]) {
      expect(await accounts.findBy({ ref: b })).toBeUndefined()
      for (const consistency of ['verified', 'refresh', 'primary'] as const) {
        expect((await accounts.findBy({ ref: a }, { consistency }))?.name).toBe('a')
      }
    }
  })

  it('are refused as the key of a row that is looked up', async () => {
    const [a, b] = values()
    await execute(url, `insert into accounts (id, ref, name) values (${a}, ${b}, 'a')`)
    const found = start().accounts.findBy({ ref: b })
    await expect(found).rejects.toMatchObject({ code: 'KEY_INVALID', message: expect.stringContaining('not safe') })
  })

  it.each(['insert', 'upsert', 'update', 'transaction'] as const)(
    'are found by a unique column at once that an %s of a repository has given them',
    async (how) => {
      const [reader, writer] = [start(), start()]
      const [[id, small], [, b, c]] = [ids(), values()]
      // That numbers were good enough for one says nothing of the next.
      await writer.accounts.insert({ id: small, ref: small, name: 'small' })
      if (how === 'update') await execute(url, `insert into accounts (id, ref, name) values (${id}, ${c}, 'a')`)
      for (const { accounts } of [reader, writer]) expect(await accounts.findBy({ ref: b })).toBeUndefined()
      await untilFilled(1, reader, writer)
      const written = { id, ref: b, name: how }
      if (how === 'update') await writer.accounts.update(id, { ref: b, name: how })
      else if (how === 'transaction') await writer.corral.transaction((tx) => writer.accounts.in(tx).insert(written))
      else await writer.accounts[how](written)
      for (const { accounts } of [writer, reader]) expect((await accounts.findBy({ ref: b }))?.name).toBe(how)
    },
  )

  it('are found by a unique column at once that another repository of the table knows', async () => {
    const writer = start()
    const [[id], [, b]] = [ids(), values()]
    const byCode = writer.corral.repository('accounts', { key: 'id', unique: ['code'] })
    expect(await byCode.findBy({ code: b })).toBeUndefined()
    await untilFilled(1, writer)
    await writer.accounts.insert({ id, code: b, name: 'of another' })
    expect((await byCode.findBy({ code: b }))?.name).toBe('of another')
  })

  it('show in queries that are bounded by them at once, whatever a repository did', async () => {
    const [reader, writer] = [start(), start()]
    const [[one, two], [a, b, c]] = [ids(), values()]
    /** What both show; and it is cached. */
    const both = async (owner: string) => {
      const names = await writer.namesOf(owner)
      await waitUntil('it is cached', 5_000, async () => {
        const loads = reader.events.count('load')
        expect(await reader.namesOf(owner)).toEqual(names)
        return reader.events.count('load') === loads
      })
      return names
    }
    for (const owner of [a, b, c]) expect(await both(owner)).toEqual([])
    await writer.accounts.insert({ id: one, owner: b, name: 'one' })
    expect(await both(b)).toEqual(['one'])
    expect(await both(a)).toEqual([])
    await writer.accounts.upsert({ id: two, owner: b, name: 'two' })
    expect(await both(b)).toEqual(['one', 'two'])
    await writer.accounts.update(two, { name: 'three' })
    expect(await both(b)).toEqual(['one', 'three'])
    await writer.accounts.update(two, { owner: c })
    expect(await both(b)).toEqual(['one'])
    expect(await both(c)).toEqual(['three'])
    await writer.accounts.delete(one)
    expect(await both(b)).toEqual([])
  })

  it('are followed where SQL from outside writes them, by the relay', async () => {
    const reader = start({ relay: { pollMs: 20 } })
    await waitUntil('the relay leads', 10_000, () => reader.corral.stats().relay === 'leader')
    const [[id], [a, b, c]] = [ids(), values()]
    for (const value of [a, b, c]) {
      expect(await reader.accounts.findBy({ ref: value })).toBeUndefined()
      expect(await reader.namesOf(value)).toEqual([])
    }
    await untilFilled(6, reader)
    const shown = async (value: string) => [
      (await reader.accounts.findBy({ ref: value }))?.name,
      ...(await reader.namesOf(value)),
    ]
    await execute(url, `insert into accounts (id, ref, owner, name) values (${id}, ${b}, ${b}, 'one')`)
    await expect.poll(() => shown(b), { timeout: 5_000 }).toEqual(['one', 'one'])
    expect(await shown(a)).toEqual([undefined])
    await execute(url, `update accounts set ref = ${c}, owner = ${c}, name = 'new' where id = ${id}`)
    await expect.poll(() => shown(c), { timeout: 5_000 }).toEqual(['new', 'new'])
    await expect.poll(() => shown(b), { timeout: 5_000 }).toEqual([undefined])
  })
})
