import { setTimeout as sleep } from 'node:timers/promises'
import { sql } from 'kysely'
import { outboxTable, outboxTables, stampTable } from '../../src/migrations.js'
import type { Incident, Scene } from './incident.js'
import { closeAll, freshName, openCorralService, openDatabase, openService } from './service.js'

const ACCOUNTS = 40
const SERVICES = 3
const OPENING = 1_000
const ROUNDS = 12
/** More than half of what an account opens with: of two withdrawals at most one may pass. */
const WITHDRAWAL = 600
/** Messages between services take up to this long, each its own time. */
const NETWORK_MS = 20
/** After the last write, far longer than anything under way. */
const SETTLE_MS = 1_500

/** Caches in the processes' memory, told of changes by messages that overtake one another. */
export const balances: Incident = {
  letter: 'B',
  title: 'Balances that went back in time',
  story:
    'Each service keeps balances in memory and sends new ones to the others. Messages overtake one another, so an older balance ' +
    'comes last and stays. Withdrawals are checked against it. At night a job changes balances by SQL, and no cache ever hears of it.',
  answer:
    'Messages of Corral carry versions and merge in any order; withdrawals are decided on the locked row; triggers tell of changes by SQL.',
  async replay(scene) {
    const naive = await replayNaive(scene)
    const corral = await replayCorral(scene)
    const row = (what: string, of: number, which: keyof Harm) => ({
      what,
      of,
      naive: naive[which],
      corral: corral[which],
    })
    return [
      row('balances that went back in time as they were watched', ACCOUNTS * SERVICES, 'backwards'),
      row('accounts overdrawn', ACCOUNTS, 'overdrawn'),
      row('balances shown wrong once all is quiet', ACCOUNTS * SERVICES, 'wrong'),
    ]
  },
}

interface Harm {
  readonly backwards: number
  readonly overdrawn: number
  readonly wrong: number
}

interface Row {
  readonly balance: number
  readonly revision: number
}

/** One service, whichever way it caches. */
interface Bank {
  show(id: number): Promise<Row>
  add(id: number, amount: number): Promise<void>
  /** False: refused. */
  withdraw(id: number, amount: number): Promise<boolean>
}

const ids = Array.from({ length: ACCOUNTS }, (_, at) => at + 1)

async function prepare({ postgres }: Scene): Promise<string> {
  const postgresUrl = await postgres.createDatabase(freshName('incident_b').replace('-', '_'))
  const db = openDatabase(postgresUrl)
  await sql`create table accounts (id integer primary key, balance integer not null, revision integer not null default 0)`.execute(
    db,
  )
  await sql`create function count_revision() returns trigger language plpgsql as $$
    begin new.revision := old.revision + 1; return new; end $$`.execute(db)
  await sql`create trigger count_revision before update on accounts for each row execute function count_revision()`.execute(
    db,
  )
  await sql`insert into accounts select id, ${sql.lit(OPENING)} from generate_series(1, ${sql.lit(ACCOUNTS)}) id`.execute(
    db,
  )
  await stampTable({ table: 'accounts', key: 'id' }).up(db as never)
  await outboxTables().up(db as never)
  await outboxTable({ table: 'accounts', key: 'id' }).up(db as never)
  await db.destroy()
  return postgresUrl
}

/** The same day for both: deposits from all services at once, then withdrawals, then the nightly job. */
async function liveADay(banks: readonly Bank[], postgresUrl: string): Promise<Harm> {
  const db = openDatabase(postgresUrl)
  const backwards = new Set<string>()
  const watchers = watch(banks, backwards)
  try {
    for (let round = 0; round < ROUNDS; round++) {
      await Promise.all(ids.flatMap((id) => banks.map((bank) => bank.add(id, round % 2 === 0 ? 50 : -50))))
    }
    await Promise.all(ids.flatMap((id) => banks.map((bank) => bank.withdraw(id, WITHDRAWAL))))
    const { overdrawn } = await db
      .selectFrom('accounts')
      .select(sql<number>`(count(*) filter (where balance < 0))::int`.as('overdrawn'))
      .executeTakeFirstOrThrow()
    await sql`update accounts set balance = balance + 7`.execute(db)
    await sleep(SETTLE_MS)
    await watchers.stop()
    const rows = await db.selectFrom('accounts').select(['id', 'balance']).execute()
    let wrong = 0
    for (const { id, balance } of rows) {
      for (const bank of banks) if ((await bank.show(id)).balance !== balance) wrong++
    }
    return { backwards: backwards.size, overdrawn, wrong }
  } finally {
    await watchers.stop()
    await db.destroy()
  }
}

/** Looks at every account in every service, over and over, and remembers where a balance was older than the one before. */
function watch(banks: readonly Bank[], backwards: Set<string>): { stop(): Promise<void> } {
  let stopped = false
  const seen = new Map<string, number>()
  const looking = Promise.all(
    banks.map(async (bank, at) => {
      while (!stopped) {
        for (const id of ids) {
          const { revision } = await bank.show(id)
          const place = `${at}/${id}`
          if (revision < (seen.get(place) ?? 0)) backwards.add(place)
          seen.set(place, revision)
        }
        await sleep(5)
      }
    }),
  )
  return {
    stop: async () => {
      stopped = true
      await looking
    },
  }
}

async function replayNaive(scene: Scene): Promise<Harm> {
  const postgresUrl = await prepare(scene)
  const channel = freshName('balances')
  const services = Array.from({ length: SERVICES }, () => openService(postgresUrl, scene.redis.url))
  const listeners = services.map(({ redis }) => redis.duplicate())
  try {
    const banks = await Promise.all(
      services.map(async ({ db, redis }, at): Promise<Bank> => {
        const memory = new Map<number, Row>()
        const listener = listeners[at]
        await listener?.subscribe(channel)
        listener?.on('message', (_, text: string) => {
          const { from, id, row } = JSON.parse(text) as { from: number; id: number; row: Row }
          if (from !== at) setTimeout(() => memory.set(id, row), Math.random() * NETWORK_MS)
        })
        const change = async (id: number, amount: number) => {
          const row = await db
            .updateTable('accounts')
            .set({ balance: sql`balance + ${amount}` })
            .where('id', '=', id)
            .returning(['balance', 'revision'])
            .executeTakeFirstOrThrow()
          memory.set(id, row)
          await redis.publish(channel, JSON.stringify({ from: at, id, row }))
        }
        const show = async (id: number) => {
          const held = memory.get(id)
          if (held !== undefined) return held
          const row = await db
            .selectFrom('accounts')
            .select(['balance', 'revision'])
            .where('id', '=', id)
            .executeTakeFirstOrThrow()
          memory.set(id, row)
          return row
        }
        return {
          show,
          add: change,
          withdraw: async (id, amount) => {
            if ((await show(id)).balance < amount) return false
            await change(id, -amount)
            return true
          },
        }
      }),
    )
    return await liveADay(banks, postgresUrl)
  } finally {
    for (const listener of listeners) listener.disconnect()
    await closeAll(services)
  }
}

async function replayCorral(scene: Scene): Promise<Harm> {
  const postgresUrl = await prepare(scene)
  const namespace = freshName('incident-b')
  const services = Array.from({ length: SERVICES }, (_, at) =>
    openCorralService(postgresUrl, scene.redis.url, { namespace, relay: at === 0 }),
  )
  try {
    const banks = services.map(({ corral }): Bank => {
      const accounts = corral.repository('accounts', { key: 'id' })
      return {
        show: async (id) => {
          const row = await accounts.find(id)
          if (row === undefined) throw new Error(`account ${id} is missing`)
          return row
        },
        add: async (id, amount) => void (await accounts.mutate(id, ({ balance }) => ({ balance: balance + amount }))),
        withdraw: async (id, amount) => {
          let passed = false
          await accounts.mutate(id, ({ balance }) => {
            passed = balance >= amount
            return passed ? { balance: balance - amount } : undefined
          })
          return passed
        },
      }
    })
    return await liveADay(banks, postgresUrl)
  } finally {
    await closeAll(services)
  }
}
