import { setTimeout as sleep } from 'node:timers/promises'
import { sql } from 'kysely'
import { machineMs } from '../../src/core/clock.js'
import { fencedLocks } from '../../src/migrations.js'
import { Worker } from '../harness/crew.js'
import type { Incident, Scene } from './incident.js'
import { freshName, openDatabase } from './service.js'
import type { OrderTalk } from './two-holders-worker.js'

const WORKER = new URL('two-holders-worker.ts', import.meta.url)
const WORKERS = 4
const ORDERS = 40
const WORK_MS = 25
/** Orders are sent again until they are done, as any queue does; each time the workers have so long. */
const DELIVERIES = 3
const DELIVERY_MS = 8_000
/** How long a process stands still: a full collection, or a neighbour on the machine. */
const PAUSE_MS = [280, 400] as const
/** One in so many that take an order. */
const PAUSED_OF = 3

/** A lock that ends by itself, and holders who do not know that it has. */
export const twoHolders: Incident = {
  letter: 'D',
  title: 'The lock that two workers held',
  story:
    'Workers lock an order in Redis for 200 ms. On the day of a campaign processes pause for 280 to 400 ms: the lock ends, another worker takes ' +
    'the order, and the first one wakes up and writes on. Orders are packed and booked twice.',
  answer:
    'The transaction that writes asks Postgres whether its token is still the newest one. The worker that woke up writes nothing.',
  async replay(scene) {
    const naive = await replay(scene, 'naive')
    const corral = await replay(scene, 'corral')
    const row = (what: string, which: keyof Harm) => ({ what, of: ORDERS, naive: naive[which], corral: corral[which] })
    return [
      row('orders packed twice', 'parcels'),
      row('orders booked twice', 'ledger'),
      row('orders never done, or done in part', 'unfinished'),
    ]
  },
}

interface Harm {
  readonly parcels: number
  readonly ledger: number
  readonly unfinished: number
}

async function replay({ postgres, redis }: Scene, kind: 'naive' | 'corral'): Promise<Harm> {
  const postgresUrl = await postgres.createDatabase(freshName('incident_d').replace('-', '_'))
  const db = openDatabase(postgresUrl)
  await sql`create table orders (id integer primary key, state text not null)`.execute(db)
  await sql`create table parcels (order_id integer not null)`.execute(db)
  await sql`create table ledger (order_id integer not null)`.execute(db)
  await sql`insert into orders select id, 'new' from generate_series(1, ${sql.lit(ORDERS)}) id`.execute(db)
  await fencedLocks().up(db as never)
  const workers = Array.from({ length: WORKERS }, () => new Worker<OrderTalk>(WORKER))
  try {
    const namespace = freshName('incident-d')
    await Promise.all(workers.map((worker) => worker.ask('open', postgresUrl, redis.url, namespace, kind)))
    for (let delivery = 0; delivery < DELIVERIES; delivery++) {
      const open = await db.selectFrom('orders').select('id').where('state', '=', 'new').orderBy('id').execute()
      if (open.length === 0) break
      const orders = open.map(({ id }) => id)
      await campaign(workers, orders)
    }
    // Whatever a worker that was paused still had under way.
    await sleep(500)
    return await harmOf(db)
  } finally {
    await Promise.all(workers.map((worker) => worker.kill()))
    await db.destroy()
  }
}

/** All workers get all orders. Every third one that takes an order stands still over it for a while. */
async function campaign(workers: readonly Worker<OrderTalk>[], orders: readonly number[]): Promise<void> {
  const untilMs = machineMs() + DELIVERY_MS
  const pauses: Promise<void>[] = []
  let taken = 0
  for (const worker of workers) {
    worker.onSaid = () => {
      if (++taken % PAUSED_OF === 0) pauses.push(standStill(worker, pauses.length))
    }
  }
  await Promise.all(workers.map((worker) => worker.ask('work', orders, WORK_MS, untilMs)))
  await Promise.all(pauses)
}

async function standStill(worker: Worker<OrderTalk>, turn: number): Promise<void> {
  const [least, most] = PAUSE_MS
  worker.signal('SIGSTOP')
  await sleep(least + (turn % 5) * ((most - least) / 4))
  worker.signal('SIGCONT')
}

async function harmOf(db: ReturnType<typeof openDatabase>): Promise<Harm> {
  const { rows } = await sql<{ parcels: number; ledger: number; unfinished: number }>`
    with counted as (
      select o.id, o.state, (select count(*) from parcels p where p.order_id = o.id) as parcels,
        (select count(*) from ledger l where l.order_id = o.id) as entries
      from orders o
    )
    select (count(*) filter (where parcels > 1))::int as parcels, (count(*) filter (where entries > 1))::int as ledger,
      (count(*) filter (where state <> 'done' or parcels = 0 or entries = 0))::int as unfinished from counted`.execute(
    db,
  )
  const [row] = rows
  if (row === undefined) throw new Error('the orders could not be counted')
  return row
}
