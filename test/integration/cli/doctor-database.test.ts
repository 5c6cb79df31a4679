import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import {
  fencedLocksSql,
  outboxTableSql,
  outboxTablesSql,
  slotTableSql,
  slotTablesSql,
  stampTableSql,
} from '../../../src/migrations.js'
import { client, diagnose, type SetUp } from '../../support/doctor-lab.js'
import { freePort } from '../../support/servers/free-port.js'
import { type RedisServer, startRedis } from '../../support/servers/redis.js'
import { redisCommand } from '../../support/servers/redis-command.js'
import { freshDatabase, freshNamespace } from '../../support/services.js'
import { StandbyLab } from '../../support/standby-lab.js'

const databaseUrl = await freshDatabase()
let redis: RedisServer
const ITEMS = { items: { key: 'id', unique: ['slug'], queryBy: ['shop'] } }

async function run(...statements: string[]): Promise<void> {
  const db = new pg.Client({ connectionString: databaseUrl })
  await db.connect()
  for (const statement of statements) await db.query(statement)
  await db.end()
}

/** Redis is right but for a password, which is no subject here. */
async function found(setUp: Partial<SetUp> = {}) {
  const diagnosed = await diagnose({ databaseUrl, redis: client(redis.port), tables: ITEMS, ...setUp })
  return { ...diagnosed, ids: diagnosed.ids.filter((id) => id !== 'redis.no-password') }
}

beforeAll(async () => {
  redis = await startRedis({ own: true, settings: { maxmemory: '64mb', 'maxmemory-policy': 'allkeys-lfu' } })
  await run('create table items (id int primary key, slug text unique, shop int not null)')
})
afterAll(() => redis.stop())

/** A relay that leads and keeps up, as far as the database can tell. */
async function leading(namespace: string): Promise<pg.Client> {
  const { relayLock } = await import('../../../src/adapters/postgres/relay-lead.js')
  const leader = new pg.Client({ connectionString: databaseUrl })
  await leader.connect()
  await leader.query(`select pg_advisory_lock(${relayLock(namespace)})`)
  await leader.query(
    `insert into corral.positions (namespace, position) values ('${namespace}', pg_current_snapshot())`,
  )
  onTestFinished(() => leader.end())
  return leader
}

describe('tables', () => {
  it('go from bare to right, step by step, and lose a finding with each', async () => {
    expect((await found()).ids).toEqual(['outbox.missing', 'stamp.missing'])
    await run(...stampTableSql({ table: 'items', key: 'id' }).up)
    expect((await found()).ids).toEqual(['outbox.missing'])
    await run(...outboxTablesSql().up)
    const { find } = await found()
    expect(find('outbox.triggers-missing')).toMatchObject({
      subject: 'public.items',
      fix: expect.stringContaining('npx corral migrate'),
    })
    await run(
      ...outboxTableSql({ table: 'items', key: 'id', unique: ['slug'], columns: ['shop'] }).up,
      ...fencedLocksSql().up,
    )
    const namespace = freshNamespace()
    expect((await found({ namespace })).ids, 'but for who carries it').toEqual(['relay.absent'])
    await leading(namespace)
    expect(await found({ namespace })).toMatchObject({ ids: [], unchecked: [] })
  })

  it.each([
    ['stamp.disabled', 'alter table items disable trigger zz_corral_stamp'],
    ['stamp.outdated', 'drop trigger zz_corral_rekey on items'],
    ['outbox.triggers-disabled', 'alter table items enable trigger zz_corral_outbox_row'],
    ['outbox.triggers-outdated', 'drop trigger zz_corral_outbox_truncate on items'],
  ] as const)('%s: %s', async (id, statement) => {
    const namespace = freshNamespace()
    await leading(namespace)
    await run(statement)
    onTestFinished(() =>
      run(
        ...stampTableSql({ table: 'items', key: 'id' }).up,
        ...outboxTableSql({ table: 'items', key: 'id', unique: ['slug'], columns: ['shop'] }).up,
      ),
    )
    expect((await found({ namespace })).ids).toEqual([id])
  })

  it('table.unfit: what the config says of it is not so', async () => {
    const { find } = await found({ tables: { items: { key: 'shop' }, nowhere: { key: 'id' } } })
    expect(find('table.unfit')).toMatchObject({ subject: 'items', fix: expect.stringContaining('create unique index') })
  })
})

describe('outbox and relay', () => {
  it('relay.absent and outbox.late: nobody carries what is written', async () => {
    await run('insert into items values (1, $$a$$, 1)', `update corral.outbox set at = at - interval '1 minute'`)
    const { find } = await found()
    expect(find('relay.absent').found).toContain('there never was one')
    expect(find('outbox.late').found).toMatch(/\d\d s ago/)
  })

  it('relay.stuck: the leader moves no more', async () => {
    const namespace = freshNamespace()
    await leading(namespace)
    await run(`update corral.positions set at = at - interval '1 minute' where namespace = '${namespace}'`)
    expect((await found({ namespace })).ids).toEqual(['relay.stuck'])
  })

  it('outbox.abandoned: another namespace has had no relay for hours', async () => {
    const namespace = freshNamespace()
    await leading(namespace)
    await run(
      `insert into corral.positions (namespace, at, position) values ('it''s gone', now() - interval '3 hours', '1:1:')`,
    )
    onTestFinished(() => run(`delete from corral.positions where namespace like 'it%'`))
    const { ids, find, exitCode } = await found({ namespace })
    expect({ ids, exitCode }).toEqual({ ids: ['outbox.abandoned'], exitCode: 1 })
    await run(find('outbox.abandoned').fix.replace(/^.*?: /, ''))
    expect((await found({ namespace })).ids).toEqual([])
  })

  it('epoch.behind: Redis does not know of the last one', async () => {
    const namespace = freshNamespace()
    await leading(namespace)
    await run(`insert into corral.epochs (namespace, number) values ('${namespace}', 7)`)
    expect((await found({ namespace })).find('epoch.behind').found).toBe('7 in Postgres, none in Redis')
    await redisCommand(redis.port, 'SET', `{${namespace}}:epoch`, '7')
    expect((await found({ namespace })).ids).toEqual([])
  })

  it('postgres.epoch-privilege and relay.privilege: the role may not', async () => {
    await run('create role app_role login', 'grant select on items to app_role')
    onTestFinished(() => run('drop owned by app_role', 'drop role app_role'))
    const url = new URL(databaseUrl)
    url.username = 'app_role'
    const asRole = (relay: boolean) => found({ databaseUrl: url.href, relay })
    expect((await asRole(false)).ids).toContain('postgres.epoch-privilege')
    await run('grant usage on schema corral to app_role', 'grant select on corral.epochs to app_role')
    expect((await asRole(false)).ids).not.toContain('postgres.epoch-privilege')
    const lacking = (await asRole(true)).findings.filter(({ id }) => id === 'relay.privilege')
    expect(lacking).toHaveLength(7)
    await run(...lacking.map(({ fix }) => fix.replace('<role>', 'app_role')))
    expect((await asRole(true)).ids).not.toContain('relay.privilege')
  })
})

describe('a relay that reads a slot', () => {
  it('slot.tables-missing, slot.table-missing, and no slot: there is nothing to read', async () => {
    const relay = { source: 'slot', slot: { connection: { connectionString: databaseUrl } } } as const
    const tables = await found({ relay })
    expect(tables.ids).toEqual(expect.arrayContaining(['relay.absent', 'slot.tables-missing']))
    await run(...slotTablesSql().up)
    const { find } = await found({ relay })
    expect(find('slot.table-missing').subject).toBe('public.items')
    await run(...slotTableSql({ table: 'items', key: 'id', unique: ['slug'], columns: ['shop'] }).up)
    const left = (await found({ relay })).ids.filter((id) => id.startsWith('slot'))
    expect(left).toEqual([])
    await run(...slotTableSql({ table: 'items', key: 'id' }).down, ...slotTablesSql().down)
  })
})

describe('Postgres', () => {
  it('postgres.unreachable, and the rest is looked at all the same', async () => {
    const { ids, exitCode } = await found({ databaseUrl: `postgres://postgres@127.0.0.1:${await freePort()}/nothing` })
    expect({ ids, exitCode }).toEqual({ ids: ['postgres.unreachable'], exitCode: 1 })
  })

  it('postgres.async-commit', async () => {
    const name = new URL(databaseUrl).pathname.slice(1)
    await run(`alter database ${name} set synchronous_commit = off`)
    onTestFinished(() => run(`alter database ${name} reset synchronous_commit`))
    expect((await found()).ids).toContain('postgres.async-commit')
  })

  it('standbys: in the wrong place, of another database, behind, gone', async () => {
    const lab = await StandbyLab.open()
    onTestFinished(() => lab.close())
    const primaryUrl = lab.shop.databaseUrl
    const about = async (setUp: Partial<SetUp>) => {
      const { ids } = await found({ tables: {}, ...setUp })
      return ids.filter((id) => id.startsWith('standby') || id.startsWith('postgres'))
    }
    expect(await about({ databaseUrl: primaryUrl, replicaUrl: lab.standbyUrl })).toEqual([])
    expect(await about({ databaseUrl: lab.standbyUrl })).toEqual(['postgres.recovering'])
    expect(await about({ databaseUrl: primaryUrl, replicaUrl: primaryUrl })).toEqual(['standby.primary'])
    expect(await about({ replicaUrl: lab.standbyUrl })).toEqual(['standby.other-database'])
    const nobody = `postgres://postgres@127.0.0.1:${await freePort()}/nothing`
    expect(await about({ databaseUrl: primaryUrl, replicaUrl: nobody })).toEqual(['standby.unreachable'])
    await lab.pause()
    await lab.insert()
    expect(await about({ databaseUrl: primaryUrl, replicaUrl: lab.standbyUrl })).toEqual(['standby.lag'])
    await lab.resume()
  })
})
