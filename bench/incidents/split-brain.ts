import { setTimeout as sleep } from 'node:timers/promises'
import { sql } from 'kysely'
import { stampTable } from '../../src/migrations.js'
import { type RedisPair, startRedisWithReplica } from '../../test/support/servers/redis.js'
import type { Damage, Incident, Scene } from './incident.js'
import { closeAll, freshName, openCorralService, openDatabase, openService, type Service } from './service.js'

const SLOTS = 60
const SESSIONS = 60
/** Sessions that begin while Redis is split. */
const NEW_SESSIONS = 20
/** Of those there were before, the ones in which somebody else logs in while Redis is split. */
const SWITCHED = 20

/** Two primaries that both take writes, until one side's are thrown away. */
export const splitBrain: Incident = {
  letter: 'A',
  title: 'The partition that oversold a coaching slot',
  story:
    'A network partition outlasts the failover timer: Redis promotes a replica while the old primary, cut off, goes on taking writes. ' +
    'Places left are a counter in Redis, and both sides sell the last one. Sessions live in Redis alone: when the partition heals, those written on ' +
    'the losing side are gone, or show the user who was logged in before.',
  answer:
    'Corral decides a sale on the locked row in Postgres, and keeps sessions in rows whose cached copy is compared with the row (`verified`).',
  async replay(scene) {
    return paired(await replay(scene, naive), await replay(scene, withCorral))
  },
}

interface Harm {
  readonly doubleSales: number
  readonly lost: number
  readonly wrong: number
}

async function replay(
  { postgres }: Scene,
  act: (pair: RedisPair, postgresUrl: string) => Promise<Harm>,
): Promise<Harm> {
  const postgresUrl = await postgres.createDatabase(freshName('incident_a').replace('-', '_'))
  const db = openDatabase(postgresUrl)
  const pair = await startRedisWithReplica()
  try {
    await sql`create table slots (id integer primary key, remaining integer not null)`.execute(db)
    await sql`create table sales (id serial primary key, slot_id integer not null)`.execute(db)
    await sql`create table logins (id integer primary key, user_id integer not null)`.execute(db)
    await stampTable({ table: 'slots', key: 'id' }).up(db as never)
    await stampTable({ table: 'logins', key: 'id' }).up(db as never)
    await sql`insert into slots select id, 1 from generate_series(1, ${sql.lit(SLOTS)}) id`.execute(db)
    return await act(pair, postgresUrl)
  } finally {
    await db.destroy()
    await pair.stop()
  }
}

function paired(naive: Harm, corral: Harm): Damage[] {
  const row = (what: string, of: number, which: keyof Harm) => ({
    what,
    of,
    naive: naive[which],
    corral: corral[which],
  })
  return [
    row('slots sold twice', SLOTS, 'doubleSales'),
    row('users logged out', SESSIONS + NEW_SESSIONS, 'lost'),
    row("sessions that show another user's login", SESSIONS + NEW_SESSIONS, 'wrong'),
  ]
}

/** Redis gives the old primary's clients no sign; the replica becomes a primary of its own. */
async function split(onReplica: Service): Promise<void> {
  await onReplica.redis.call('REPLICAOF', 'NO', 'ONE')
}

/** The promoted side is kept: the old primary follows it and drops what it took meanwhile. */
async function heal({ replica }: RedisPair, onPrimary: Service): Promise<void> {
  await onPrimary.redis.call('REPLICAOF', '127.0.0.1', String(replica.port))
  for (;;) {
    if (String(await onPrimary.redis.info('replication')).includes('master_link_status:up')) return
    await sleep(50)
  }
}

const ids = (count: number, from = 1) => Array.from({ length: count }, (_, at) => from + at)
/** User 1 of a session before, 2 after somebody else has logged in. */
const userOf = (session: number, login: 1 | 2) => session * 10 + login

/** What the shop knows to be true: who is logged in to each session. */
function truth(): Map<number, number> {
  const switched = ids(SESSIONS).map((id) => [id, userOf(id, id <= SWITCHED ? 2 : 1)] as const)
  return new Map([...switched, ...ids(NEW_SESSIONS, SESSIONS + 1).map((id) => [id, userOf(id, 1)] as const)])
}

async function naive(pair: RedisPair, postgresUrl: string): Promise<Harm> {
  const services = [openService(postgresUrl, pair.primary.url), openService(postgresUrl, pair.replica.url)] as const
  const [east, west] = services
  try {
    await east.redis.mset(Object.fromEntries(ids(SLOTS).map((id) => [`slot:${id}`, 1])))
    await east.redis.mset(Object.fromEntries(ids(SESSIONS).map((id) => [`session:${id}`, userOf(id, 1)])))
    await east.redis.wait(1, 5_000)
    await split(west)
    const buy = async ({ db, redis }: Service, slot: number) => {
      if ((await redis.decr(`slot:${slot}`)) >= 0) await db.insertInto('sales').values({ slot_id: slot }).execute()
    }
    await Promise.all(ids(SLOTS).flatMap((slot) => services.map((service) => buy(service, slot))))
    for (const id of ids(SWITCHED)) await east.redis.set(`session:${id}`, userOf(id, 2))
    for (const id of ids(NEW_SESSIONS, SESSIONS + 1)) await east.redis.set(`session:${id}`, userOf(id, 1))
    await heal(pair, east)
    return await harm(west, async (id) => {
      const user = await west.redis.get(`session:${id}`)
      return user === null ? undefined : Number(user)
    })
  } finally {
    await closeAll(services)
  }
}

async function withCorral(pair: RedisPair, postgresUrl: string): Promise<Harm> {
  const namespace = freshName('incident-a')
  const open = (redisUrl: string) => {
    const service = openCorralService(postgresUrl, redisUrl, { namespace })
    const slots = service.corral.repository('slots', { key: 'id' })
    const logins = service.corral.repository('logins', { key: 'id' })
    return { ...service, slots, logins }
  }
  const services = [open(pair.primary.url), open(pair.replica.url)] as const
  const [east, west] = services
  try {
    for (const id of ids(SESSIONS)) await east.logins.insert({ id, user_id: userOf(id, 1) })
    // Both sides have everything cached, as after an ordinary day.
    await east.slots.findMany(ids(SLOTS))
    await east.logins.findMany(ids(SESSIONS))
    await east.redis.wait(1, 5_000)
    await split(west)
    await west.slots.findMany(ids(SLOTS))
    await west.logins.findMany(ids(SESSIONS))
    const buy = ({ corral, slots }: typeof east, slot: number) =>
      corral.transaction(async (tx) => {
        const row = await slots.in(tx).lock(slot)
        if (row === undefined || row.remaining < 1) return
        await slots.in(tx).update(slot, { remaining: row.remaining - 1 })
        await tx.insertInto('sales').values({ slot_id: slot }).execute()
      })
    await Promise.all(ids(SLOTS).flatMap((slot) => services.map((service) => buy(service, slot))))
    for (const id of ids(SWITCHED)) await east.logins.update(id, { user_id: userOf(id, 2) })
    for (const id of ids(NEW_SESSIONS, SESSIONS + 1)) await east.logins.insert({ id, user_id: userOf(id, 1) })
    await heal(pair, east)
    return await harm(west, async (id) => (await west.logins.find(id, { consistency: 'verified' }))?.user_id)
  } finally {
    await closeAll(services)
  }
}

async function harm({ db }: Service, loggedIn: (session: number) => Promise<number | undefined>): Promise<Harm> {
  const sold = await db
    .selectFrom('sales')
    .select('slot_id')
    .groupBy('slot_id')
    .having(sql<boolean>`count(*) > 1`)
    .execute()
  let lost = 0
  let wrong = 0
  for (const [session, user] of truth()) {
    const found = await loggedIn(session)
    if (found === undefined) lost++
    else if (found !== user) wrong++
  }
  return { doubleSales: sold.length, lost, wrong }
}
