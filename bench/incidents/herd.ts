import { sql } from 'kysely'
import { stampTable } from '../../src/migrations.js'
import type { Damage, Incident, Scene } from './incident.js'
import { closeAll, freshName, openCorralService, openDatabase, openService } from './service.js'

const SERVICES = 4
/** Readers in each service who want the same row in the same moment. */
const READERS = 50
/** Rows of a front page, all cold after a restart of Redis. */
const FRONT_PAGE = 100
/** The row that everybody talks about, and how often each service reads it in turn. */
const CELEBRITY = FRONT_PAGE + 1
const CELEBRITY_READS = 2_000
/** What a SELECT costs: long enough that whoever comes meanwhile finds nothing. */
const LOAD_MS = 40
const TTL_MS = 60_000

/** What a cluster of caches does to its database and to itself, without anything being broken. */
export const herd: Incident = {
  letter: 'C',
  title: 'The herd, the cold start and the celebrity',
  story:
    'A popular row expires, and every reader who finds it gone asks the database at once. Redis restarts empty, and every process loads every row. ' +
    'One row is read a hundred times as often as any other, and the one Redis node that holds it melts.',
  answer:
    'One load per row and fleet, under a lease; a row that is read all the time is answered from the process that reads it.',
  async replay(scene) {
    const naive = await replay(scene, openNaive)
    const corral = await replay(scene, openCorral)
    const row = (what: string, of: number, which: keyof Counts): Damage => ({
      what,
      of,
      naive: naive[which],
      corral: corral[which],
    })
    const all = SERVICES * READERS
    return [
      row('needless loads when one row has expired', all - 1, 'herd'),
      row('needless loads after a cold start', SERVICES * FRONT_PAGE - FRONT_PAGE, 'coldStart'),
      row('reads of one row that reached its Redis node, in %', 100, 'celebrity'),
    ]
  },
}

interface Counts {
  readonly herd: number
  readonly coldStart: number
  readonly celebrity: number
}

interface Shop {
  find(id: number): Promise<unknown>
  close(): Promise<void>
}

type Open = (postgresUrl: string, redisUrl: string, namespace: string) => Shop

async function replay({ postgres, redis }: Scene, open: Open): Promise<Counts> {
  const postgresUrl = await postgres.createDatabase(freshName('incident_c').replace('-', '_'))
  const namespace = freshName('incident-c')
  const db = openDatabase(postgresUrl)
  await sql`create table products (id integer primary key, name text not null)`.execute(db)
  await stampTable({ table: 'products', key: 'id' }).up(db as never)
  await sql`insert into products select id, 'product ' || id from generate_series(1, ${sql.lit(CELEBRITY)}) id`.execute(
    db,
  )
  await makeLoadsCountAndCost(db)
  const asReader = new URL(postgresUrl)
  asReader.username = 'incident_reader'
  const shops = Array.from({ length: SERVICES }, () => open(asReader.href, redis.url, namespace))
  const watcher = openService(postgresUrl, redis.url)
  try {
    // Connected, and knowing the table: what is measured are services that have been running.
    await Promise.all(shops.map((shop) => shop.find(CELEBRITY)))
    const before = await loadsOf(db)
    await Promise.all(shops.flatMap((shop) => Array.from({ length: READERS }, () => shop.find(1))))
    const afterHerd = await loadsOf(db)
    const page = Array.from({ length: FRONT_PAGE - 1 }, (_, at) => at + 2)
    await Promise.all(shops.flatMap((shop) => page.map((id) => shop.find(id))))
    const afterStart = await loadsOf(db)
    const readsBefore = await readsOf(watcher.redis)
    await Promise.all(
      shops.map(async (shop) => {
        for (let read = 0; read < CELEBRITY_READS; read++) await shop.find(CELEBRITY)
      }),
    )
    const readsAfter = await readsOf(watcher.redis)
    return {
      herd: afterHerd - before - 1,
      coldStart: afterStart - afterHerd - page.length,
      celebrity: Math.round((100 * (readsAfter - readsBefore)) / (SERVICES * CELEBRITY_READS)),
    }
  } finally {
    await closeAll([...shops, watcher])
    await db.destroy()
  }
}

/** A row that is read takes its time inside Postgres and draws from a sequence, which nobody but Postgres can count wrong. */
async function makeLoadsCountAndCost(db: ReturnType<typeof openDatabase>): Promise<void> {
  for (const statement of [
    `do $$ begin create role incident_reader login; exception when duplicate_object then null; end $$`,
    'grant select on products to incident_reader',
    'create sequence loads_made',
    `create function pay_for_read() returns boolean language plpgsql volatile security definer as $$
      begin
        perform nextval('loads_made');
        if current_setting('incident.paid', true) is distinct from statement_timestamp()::text then
          perform set_config('incident.paid', statement_timestamp()::text, false);
          perform pg_sleep(${LOAD_MS / 1_000});
        end if;
        return true;
      end $$`,
    'alter table products enable row level security',
    'create policy reads_cost on products to incident_reader using (pay_for_read())',
  ]) {
    await sql.raw(statement).execute(db)
  }
}

async function loadsOf(db: ReturnType<typeof openDatabase>): Promise<number> {
  const { rows } = await sql<{ made: string }>`
    select case when is_called then last_value else 0 end::text as made from loads_made`.execute(db)
  return Number(rows[0]?.made)
}

/** GETs and MGETs that this Redis has answered. */
async function readsOf(redis: ReturnType<typeof openService>['redis']): Promise<number> {
  const stats = await redis.info('commandstats')
  const calls = [...stats.matchAll(/cmdstat_(?:get|mget):calls=(\d+)/g)]
  return calls.reduce((sum, [, count]) => sum + Number(count), 0)
}

const openNaive: Open = (postgresUrl, redisUrl, namespace) => {
  const { db, redis, close } = openService(postgresUrl, redisUrl)
  return {
    find: async (id) => {
      const key = `${namespace}:product:${id}`
      const cached = await redis.get(key)
      if (cached !== null) return JSON.parse(cached)
      const row = await db.selectFrom('products').selectAll().where('id', '=', id).executeTakeFirst()
      await redis.set(key, JSON.stringify(row), 'PX', TTL_MS)
      return row
    },
    close,
  }
}

const openCorral: Open = (postgresUrl, redisUrl, namespace) => {
  const { corral, close } = openCorralService(postgresUrl, redisUrl, { namespace, ttl: { freshMs: TTL_MS } })
  // What makes its SELECTs slow is a policy that shows everybody all rows.
  const products = corral.repository('products', { key: 'id', rowSecurity: 'alike' })
  return { find: (id) => products.find(id), close }
}
