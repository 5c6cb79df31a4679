import { truncateSync } from 'node:fs'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { slotName } from '../../../src/adapters/postgres/slot-feed.js'
import { leastPrivilegeAcl } from '../../../src/adapters/redis/acl.js'
import { createCorral } from '../../../src/client.js'
import { asRelay } from '../../../src/inside.js'
import {
  fencedLocksSql,
  outboxTableSql,
  outboxTablesSql,
  slotTableSql,
  slotTablesSql,
  stampTableSql,
} from '../../../src/migrations.js'
import { client, type Diagnosed, diagnose, once, planted, type SetUp } from '../../support/doctor-lab.js'
import { execute } from '../../support/servers/database.js'
import { freePort } from '../../support/servers/free-port.js'
import { inNewSessions } from '../../support/servers/kept-pool.js'
import { type RedisServer, startRedis } from '../../support/servers/redis.js'
import { redisCommand } from '../../support/servers/redis-command.js'
import { waitUntil } from '../../support/servers/wait.js'
import { freshDatabase, freshNamespace } from '../../support/services.js'
import { openShopDatabase } from '../../support/shop-lab.js'
import { StandbyLab } from '../../support/standby-lab.js'

const databaseUrl = await freshDatabase()
/** One that has no outbox, in which nobody relays. */
const bareUrl = await freshDatabase('doctor_bare')
/** With a relay that leads. */
const LED = freshNamespace()
const ITEMS = { items: { key: 'id', unique: ['slug'], queryBy: ['shop'] } }
const STAMP = stampTableSql({ table: 'items', key: 'id' }).up
const OUTBOX = outboxTableSql({ table: 'items', key: 'id', unique: ['slug'], columns: ['shop'] }).up

let redis: RedisServer
let stopRelay: () => Promise<void>

const run = (...statements: readonly string[]) => execute(databaseUrl, ...statements)

/** Redis is right but for a password, which is no subject here. */
async function found(setUp: Partial<SetUp> = {}): Promise<Diagnosed> {
  const given = { databaseUrl, namespace: LED, redis: client(redis.port), tables: ITEMS, ...setUp }
  const diagnosed = await diagnose(given)
  return { ...diagnosed, ids: diagnosed.ids.filter((id) => id !== 'redis.no-password') }
}
const right = once(found)

beforeAll(async () => {
  redis = await startRedis({ own: true, settings: { maxmemory: '64mb', 'maxmemory-policy': 'allkeys-lfu' } })
  await run('create table items (id int primary key, slug text unique, shop int not null)')
  await run(...STAMP, ...outboxTablesSql().up, ...OUTBOX, ...fencedLocksSql().up)
  // Where nobody relays, the word that its triggers begin with is late.
  await run('truncate corral.outbox')
  await execute(bareUrl, 'create table items (id int primary key, slug text unique, shop int not null)')
  stopRelay = await startRelay(databaseUrl, LED)
})
afterAll(async () => {
  await stopRelay()
  await redis.stop()
})

/** A process that relays. Resolves when it leads and has begun. */
async function startRelay(url: string, namespace: string): Promise<() => Promise<void>> {
  const db = openShopDatabase(url, 4)
  const itsRedis = new Redis(redis.port)
  const corral = asRelay(() => createCorral({ db, redis: itsRedis, namespace, relay: true }))
  await waitUntil('it relays', 10_000, async () => {
    const [row] = await execute(url, `select 1 as one from corral.positions where namespace = '${namespace}'`)
    return row !== undefined
  })
  return async () => {
    await corral.close()
    itsRedis.disconnect()
    await db.destroy()
  }
}

/** A relay that leads and keeps up, as far as the database can tell, and in truth does nothing. */
async function leading(): Promise<string> {
  const namespace = freshNamespace()
  const { relayLock } = await import('../../../src/adapters/postgres/relay-lead.js')
  const leader = new pg.Client({ connectionString: databaseUrl })
  await leader.connect()
  await leader.query(`select pg_advisory_lock(${relayLock(namespace)})`)
  await leader.query(
    `insert into corral.positions (namespace, position) values ('${namespace}', pg_current_snapshot())`,
  )
  onTestFinished(() => leader.end())
  return namespace
}

/** Spoils the table until the test ends, and examines. */
async function spoilt(statement: string): Promise<Diagnosed> {
  await run(statement)
  onTestFinished(async () => void (await run(...STAMP, ...OUTBOX)))
  return found()
}

describe('tables', () => {
  it('as they should be, with a process that relays, give no word', async () => {
    expect(await right()).toMatchObject({ ids: [], unchecked: [] })
  })

  planted('stamp.missing', 'a table that was never migrated', {
    right,
    wrong: () => found({ databaseUrl: bareUrl }),
    besides: ['outbox.missing'],
    fix: 'npx corral migrate --no-outbox',
  })
  planted('outbox.missing', 'a database without one', {
    right,
    wrong: async () => {
      await execute(bareUrl, ...STAMP)
      return found({ databaseUrl: bareUrl })
    },
    fix: 'npx corral migrate',
  })
  planted('outbox.triggers-missing', 'a table that has a stamp only', {
    right,
    wrong: async () => {
      await run('create table parts (id int primary key)', ...stampTableSql({ table: 'parts', key: 'id' }).up)
      return found({ tables: { ...ITEMS, parts: { key: 'id' } } })
    },
    subject: 'public.parts',
    fix: 'npx corral migrate',
  })
  planted('stamp.disabled', 'its trigger was disabled', {
    right,
    wrong: () => spoilt('alter table items disable trigger zz_corral_stamp'),
  })
  planted('stamp.outdated', 'one of its triggers is gone', {
    right,
    wrong: () => spoilt('drop trigger zz_corral_rekey on items'),
  })
  planted('stamp.outdated', 'an earlier release had no trigger to lift rows', {
    right,
    wrong: () => spoilt('drop trigger zz_corral_stamp_restamp on items'),
  })
  planted('stamp.broken', 'its column was dropped from under the triggers', {
    right,
    wrong: () => spoilt('alter table items drop column corral_version cascade'),
    besides: ['outbox.triggers-broken'],
    found: 'column corral_version is not there',
    fix: 'npx corral migrate',
  })
  planted('outbox.triggers-broken', 'a column that they read was renamed', {
    right,
    wrong: async () => {
      await run('create table notes (id int primary key, tag text)', ...stampTableSql({ table: 'notes', key: 'id' }).up)
      await run(...outboxTableSql({ table: 'notes', key: 'id', columns: ['tag'] }).up)
      await run('alter table notes rename column tag to label')
      return found({ tables: { ...ITEMS, notes: { key: 'id', queryBy: ['label'] } } })
    },
    subject: 'public.notes',
    found: /tag/,
    fix: 'npx corral migrate',
  })
  planted('outbox.triggers-disabled', 'one does not fire for replication roles', {
    right,
    wrong: () => spoilt('alter table items enable trigger zz_corral_outbox_row'),
  })
  planted('outbox.triggers-outdated', 'one of them is gone', {
    right,
    wrong: () => spoilt('drop trigger zz_corral_outbox_truncate on items'),
  })
  planted('table.unfit', 'what the config says of it is not so', {
    right,
    wrong: () => found({ tables: { ...ITEMS, parts: { key: 'nothing' } } }),
    subject: 'parts',
  })
  it('is told whatever opening a repository says that no other finding does', async () => {
    await run('alter table items add column note text')
    onTestFinished(async () => void (await run('alter table items drop column note')))
    const wrong = await spoilt('alter table items alter corral_version drop not null')
    expect(wrong.ids).toEqual(['stamp.broken'])
    expect(wrong.find('stamp.broken').found).toContain('nullable')
    await run('alter table items alter corral_version set not null')
    const { find, ids } = await found({ tables: { items: { ...ITEMS.items, version: 'note' } } })
    expect(ids).toContain('table.unfit')
    expect(find('table.unfit')).toMatchObject({ subject: 'items', found: expect.stringContaining('items.version') })
  })
  it('a table that is unfit is told what would make it fit', async () => {
    const { find } = await found({ tables: { items: { key: 'shop' } } })
    expect(find('table.unfit')).toMatchObject({ subject: 'items', fix: expect.stringContaining('create unique index') })
  })
})

describe('outbox and relay', () => {
  planted('relay.absent', 'nobody has ever relayed', {
    right,
    wrong: () => found({ namespace: freshNamespace() }),
    found: 'there never was one',
    fix: 'npx corral relay',
  })
  planted('outbox.late', 'a change that nobody carries', {
    right,
    wrong: async () => {
      const namespace = await leading()
      await run('insert into items values (1, $$a$$, 1)', `update corral.outbox set at = at - interval '1 minute'`)
      return found({ namespace })
    },
    found: /\d\d s ago/,
  })
  planted('relay.stuck', 'the leader moves no more', {
    right,
    wrong: async () => {
      const namespace = await leading()
      await run(`update corral.positions set at = at - interval '1 minute' where namespace = '${namespace}'`)
      return found({ namespace })
    },
  })
  planted('outbox.abandoned', 'another namespace has had no relay for hours', {
    right,
    wrong: async () => {
      await run(
        `insert into corral.positions (namespace, at, position) values ('it''s gone', now() - interval '3 hours', '1:1:')`,
      )
      const diagnosed = await found()
      // The fix is what mends it.
      await run(diagnosed.find('outbox.abandoned').fix.replace(/^.*?: /, ''))
      expect((await found()).ids).toEqual([])
      return diagnosed
    },
    subject: "namespace it's gone",
  })
  planted('epoch.behind', 'Redis does not know of the last one', {
    right,
    wrong: async () => {
      const namespace = await leading()
      await run(`insert into corral.epochs (namespace, number) values ('${namespace}', 7)`)
      const diagnosed = await found({ namespace })
      await redisCommand(redis.port, 'SET', `{${namespace}}:epoch`, '7')
      expect((await found({ namespace })).ids).toEqual([])
      return diagnosed
    },
    found: '7 in Postgres, none in Redis',
  })
})

describe('rights', () => {
  const asRole = (relay: boolean) => {
    const url = new URL(databaseUrl)
    url.username = 'app_role'
    return found({ databaseUrl: url.href, relay })
  }
  beforeAll(async () => void (await run('create role app_role login', 'grant select on items to app_role')))
  afterAll(async () => void (await run('drop owned by app_role', 'drop role app_role')))

  planted('postgres.epoch-privilege', 'the role may not read the epoch', {
    right,
    wrong: () => asRole(false),
    besides: 'whatever',
    fix: 'grant select on corral.epochs',
  })
  planted('relay.privilege', 'a role that may only read is to relay', {
    right: async () => {
      await run('grant usage on schema corral to app_role', 'grant select on corral.epochs to app_role')
      return asRole(false)
    },
    wrong: async () => {
      const diagnosed = await asRole(true)
      const lacking = diagnosed.findings.filter(({ id }) => id === 'relay.privilege')
      expect(lacking).toHaveLength(7)
      await run(...lacking.map(({ fix }) => fix.replace('<role>', 'app_role')))
      expect((await asRole(true)).ids).not.toContain('relay.privilege')
      return diagnosed
    },
  })
})

describe('Postgres', () => {
  planted('postgres.unreachable', 'nobody listens there, and the rest is looked at all the same', {
    right,
    wrong: async () => found({ databaseUrl: `postgres://postgres@127.0.0.1:${await freePort()}/nothing` }),
    found: 'ECONNREFUSED',
  })
  planted('postgres.async-commit', 'the database commits before it has written', {
    right,
    wrong: async () => {
      const name = new URL(databaseUrl).pathname.slice(1)
      await run(`alter database ${name} set synchronous_commit = off`)
      onTestFinished(async () => void (await run(`alter database ${name} reset synchronous_commit`)))
      return found({ databaseUrl: inNewSessions(databaseUrl) })
    },
  })
  // No server as old as that starts here: the one that there is is made to say so, by a function that goes before its own.
  planted('postgres.version', 'a server that says that it is of version 12', {
    right,
    wrong: async () => {
      const name = new URL(bareUrl).pathname.slice(1)
      await execute(
        bareUrl,
        'create schema pretended',
        `create function pretended.current_setting(name text) returns text language sql stable as $$
          select case when name = 'server_version_num' then '120020' else pg_catalog.current_setting(name) end $$`,
        `alter database ${name} set search_path = pretended, pg_catalog, public`,
      )
      onTestFinished(async () => void (await execute(bareUrl, `alter database ${name} reset search_path`)))
      return found({ databaseUrl: inNewSessions(bareUrl), tables: {} })
    },
    found: /^version 12\.\d+$/,
  })
})

describe('a server with a standby, and a slot', () => {
  let lab: StandbyLab
  const NAMESPACE = freshNamespace()
  const PRODUCTS = { products: { key: 'id' } }
  beforeAll(async () => {
    lab = await StandbyLab.open({
      // Some of the log is kept for the standby until it has begun to read it: Postgres 18 removes it while the copy is made.
      settings: { max_slot_wal_keep_size: '64MB', min_wal_size: '32MB', max_wal_size: '32MB', wal_keep_size: '32MB' },
      standbySettings: { wal_level: 'replica' },
    })
    await atPrimary(...outboxTablesSql().up, ...outboxTableSql({ table: 'products', key: 'id' }).up)
    await lab.catchUp()
  })
  afterAll(() => lab.close())
  const primaryUrl = () => lab.shop.databaseUrl
  const atPrimary = (...statements: readonly string[]) => execute(primaryUrl(), ...statements)

  const about = (setUp: Partial<SetUp> = {}) =>
    found({ databaseUrl: primaryUrl(), namespace: NAMESPACE, tables: PRODUCTS, ...setUp })

  it('a whole set-up as the guides have it gives no word: stamped, relayed, with rights and a standby', async () => {
    const stop = await startRelay(primaryUrl(), NAMESPACE)
    onTestFinished(stop)
    const { rules } = leastPrivilegeAcl({ user: 'app', namespace: NAMESPACE, isCluster: false })
    await redisCommand(redis.port, 'ACL', 'SETUSER', 'app', ...rules, '+config|get', '+acl', '>secret')
    const app = client(redis.port, { username: 'app', password: 'secret' })
    const admin = client(redis.port)
    // The relay's connection is open already.
    await admin.call('ACL', 'SETUSER', 'default', 'resetpass', '>closed')
    onTestFinished(async () => void (await admin.call('ACL', 'SETUSER', 'default', 'nopass')))
    const whole = await diagnose({
      ...{ databaseUrl: primaryUrl(), replicaUrl: lab.standbyUrl, redis: app, namespace: NAMESPACE },
      ...{ tables: PRODUCTS, relay: true },
    })
    expect(whole).toMatchObject({ exitCode: 0, findings: [], unchecked: [] })
  })

  const withStandby = once(() => about({ replicaUrl: lab.standbyUrl }))
  planted('postgres.recovering', '`db` is the standby', {
    right: withStandby,
    wrong: () => about({ databaseUrl: lab.standbyUrl }),
    fix: 'replica: { db }',
  })
  planted('standby.primary', 'the standby is the primary', {
    right: withStandby,
    wrong: () => about({ replicaUrl: primaryUrl() }),
  })
  planted('standby.other-database', 'the standby is one of another server', {
    right: withStandby,
    wrong: () => found({ replicaUrl: lab.standbyUrl }),
    found: /^system identifier \d+/,
  })
  planted('standby.unreachable', 'the standby is gone', {
    right: withStandby,
    wrong: async () => about({ replicaUrl: `postgres://postgres@127.0.0.1:${await freePort()}/nothing` }),
    found: 'ECONNREFUSED',
  })
  planted('standby.lag', 'the standby does not replay', {
    right: withStandby,
    wrong: async () => {
      await lab.pause()
      await lab.insert()
      return about({ replicaUrl: lab.standbyUrl })
    },
    found: /^\d+ bytes are not replayed/,
  })

  // A gigabyte of changes would take a minute: the outbox has a file of that size, of which nothing is on disk.
  planted('outbox.large', 'its files are larger than a gigabyte', {
    right: withStandby,
    wrong: async () => {
      const [row] = await atPrimary(
        `select current_setting('data_directory') as folder, pg_relation_filepath(inhrelid) as file
         from pg_inherits where inhparent = 'corral.outbox'::regclass and pg_relation_size(inhrelid) = 0 limit 1`,
      )
      const file = join(String(row?.folder), String(row?.file))
      truncateSync(file, 2 ** 30)
      onTestFinished(() => truncateSync(file, 0))
      return about()
    },
    // And what is in it has not been carried since the relay has stopped, if that is long enough ago.
    besides: 'whatever',
    found: /^10\d\d MiB$/,
  })

  const relay = () => ({ source: 'slot', slot: { connection: { connectionString: primaryUrl() } } }) as const
  const bySlot = (setUp: Partial<SetUp> = {}) => about({ relay: relay(), ...setUp })
  let slot = ''
  const published = once(async () => {
    await atPrimary(...slotTablesSql().up, ...slotTableSql({ table: 'products', key: 'id' }).up)
    const db = openShopDatabase(primaryUrl(), 1)
    slot = await slotName(db as never, NAMESPACE)
    await db.destroy()
    await atPrimary(`select pg_create_logical_replication_slot('${slot}', 'pgoutput')`)
    return bySlot()
  })
  /** Writes its log on by as many files of 16 MiB. */
  const writeLog = async (files: number) => {
    for (let nth = 0; nth < files; nth++) {
      await atPrimary(`select pg_logical_emit_message(false, 'filler', 'x')`, 'select pg_switch_wal()')
    }
    await atPrimary('checkpoint')
  }

  planted('slot.tables-missing', 'nothing is published', {
    right: withStandby,
    wrong: () => bySlot(),
    besides: ['relay.absent'],
    fix: 'npx corral migrate',
  })
  planted('slot.table-missing', 'one table is not', {
    right: published,
    wrong: async () => {
      await atPrimary('create table parts (id int primary key)', ...stampTableSql({ table: 'parts', key: 'id' }).up)
      return bySlot({ tables: { ...PRODUCTS, parts: { key: 'id' } } })
    },
    subject: 'public.parts',
  })
  planted('slot.table-outdated', 'its migration knows nothing of a lookup', {
    right: published,
    wrong: () => bySlot({ tables: { products: { key: 'id', unique: ['slug'] } } }),
    subject: 'public.products',
    found: 'not as these repositories need it',
    fix: 'npx corral migrate',
  })
  planted('relay.absent', 'nobody reads the slot', {
    right: withStandby,
    wrong: published,
    subject: /^slot corral_/,
    found: 'nobody reads it',
  })
  planted('slot.retained', 'more than half of what the server keeps for it', {
    right: published,
    wrong: async () => {
      await writeLog(3)
      return bySlot()
    },
    found: /^[345]\d MiB of \d+ MiB at most$/,
    fix: 'pg_drop_replication_slot',
  })
  planted('slot.lost', 'more than the server keeps for it', {
    right: published,
    wrong: async () => {
      await writeLog(5)
      return bySlot()
    },
    besides: 'whatever',
    found: /^wal_status (lost|unreserved)$/,
    fix: 'max_slot_wal_keep_size',
  })
  planted('slot.wal-level', 'the server that took over writes no log for a slot', {
    right: published,
    wrong: async () => {
      await lab.standby.promote()
      return bySlot({ databaseUrl: lab.standbyUrl })
    },
    besides: 'whatever',
    found: 'wal_level = replica',
  })
})
