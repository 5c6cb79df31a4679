import { sql } from 'kysely'
import { beforeAll, expect, it, onTestFinished } from 'vitest'
import type { AnyDatabase } from '../../../src/adapters/postgres/catalog-query.js'
import { leadRelay, relayLock } from '../../../src/adapters/postgres/relay-lead.js'
import { freshDatabase } from '../../support/services.js'
import { TcpProxy } from '../../support/tcp-proxy.js'
import { openKysely } from './connections.js'

let url: string

beforeAll(async () => {
  url = await freshDatabase()
})

async function ask(db: AnyDatabase, text: string): Promise<unknown> {
  const { rows } = await sql.raw<{ answer: unknown }>(`select ${text} as answer`).execute(db)
  return rows[0]?.answer
}

const LEVEL = `current_setting('default_transaction_isolation')`
const LIMIT = `(select setting from pg_settings where name = 'idle_session_timeout')`

it('a leader reads what is committed, whatever level transactions have by default, and leaves its session as it was', async () => {
  const db = openKysely(url, { pool: { max: 1 } })
  for (const setting of [`default_transaction_isolation = serializable`, `idle_session_timeout = '3h'`]) {
    await sql.raw(`set ${setting}`).execute(db)
  }
  let seen: unknown[] = []
  const isLed = await leadRelay(db, 'levels', async (connection) => {
    seen = [await ask(connection, `current_setting('transaction_isolation')`), await ask(connection, LIMIT)]
  })
  expect(isLed).toBe(true)
  expect(seen).toEqual(['read committed', '10000'])
  expect([await ask(db, LEVEL), await ask(db, LIMIT)]).toEqual(['serializable', '10800000'])
  expect(
    await ask(db, `(select count(*)::int from pg_locks where locktype = 'advisory' and pid = pg_backend_pid())`),
  ).toBe(0)
})

it('a connection that leads nowhere is cut, so that the pool makes a new one in its place', async () => {
  const { hostname, port } = new URL(url)
  const proxy = await TcpProxy.start({ host: hostname, port: Number(port) })
  const broken: string[] = []
  const db = openKysely(proxy.through(url), {
    pool: { max: 1, onConnect: (client) => void client.on('error', (error) => broken.push(error.message)) },
  })
  onTestFinished(async () => {
    await db.destroy()
    await proxy.close()
  })
  const soon = {
    after: (_: number, act: () => void) => {
      const timer = setTimeout(act, 200)
      return () => clearTimeout(timer)
    },
  }
  const lead = leadRelay(
    db,
    'cut',
    async (connection) => {
      proxy.abandon()
      await ask(connection, '1')
    },
    soon,
  )
  await expect(lead).rejects.toThrow('no answer within 10000 ms')
  expect(await ask(db, '2')).toBe(2)
  expect(broken, 'whoever has the pool is told').toHaveLength(1)
  expect(await ask(db, `pg_try_advisory_lock(${relayLock('cut')})`), 'nobody holds the lead').toBe(true)
})
