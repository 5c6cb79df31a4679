import { createHash } from 'node:crypto'
import { sql } from 'kysely'
import { type Clock, systemClock } from '../../core/clock.js'
import { SourceError } from '../../core/errors.js'
import type { AnyDatabase } from './catalog-query.js'
import { onRelayConnection } from './relay-connection.js'

/**
 * How long the server lets a leader be silent: one that is stopped, or whose host is gone without a word, loses its session and the lead. A
 * leader says something each second. From Postgres 14 on; before, TCP's own timeouts have to find out.
 */
export const SILENCE = '10s'

/** Of a leader's session: by name, what is set. */
type Settings = Readonly<Record<string, string>>

/** By another level, which may be the database's default, its statements would fail for other transactions' sake. */
const OF_LEADER: Settings = { idle_session_timeout: SILENCE, default_transaction_isolation: 'read committed' }

/**
 * Runs `work` while this process is the one that relays for its namespace; false: another one is, whatever it reads its changes from. The leader
 * holds one connection of the pool and on it an advisory lock of its session: one that is lost takes the lock along. As the server does with a
 * leader that is silent, so does the leader with a server: it gives up the connection, and the lead with it.
 *
 * Session locks do not survive a pooler that hands out connections per transaction: give it a direct connection.
 */
export function leadRelay(
  pool: AnyDatabase,
  namespace: string,
  work: (connection: AnyDatabase) => Promise<void>,
  clock: Pick<Clock, 'after'> = systemClock,
): Promise<boolean> {
  const lock = relayLock(namespace)
  /** Until the server has said no: what it does not answer, it may have done. */
  let mayLead = true
  let former: Settings = {}
  const lead = async (db: AnyDatabase) => {
    mayLead = await take(db, lock)
    if (!mayLead) return false
    former = await set(db, OF_LEADER)
    await work(db)
    return true
  }
  // The connection goes back to the pool; if it is broken, the lock went with it.
  const resign = async (db: AnyDatabase) => {
    if (!mayLead) return
    await set(db, former).catch(() => {})
    await sql`select pg_advisory_unlock(${lock}::bigint)`.execute(db)
  }
  return onRelayConnection(pool, clock, lead, resign)
}

async function take(db: AnyDatabase, lock: string): Promise<boolean> {
  try {
    const { rows } = await sql<{ got: unknown }>`
      select case when pg_try_advisory_lock(${lock}::bigint) then 1 else 0 end::text as got`.execute(db)
    return rows[0]?.got === '1'
  } catch (error) {
    throw new SourceError('asking for the lead', error)
  }
}

/** Sets those that the server knows; returns them as they were. */
async function set(db: AnyDatabase, settings: Settings): Promise<Settings> {
  const { rows } = await sql<{ name: string; setting: string }>`select set_config(name, value, false), name, setting
    from pg_settings join json_each_text(${JSON.stringify(settings)}::json) as wanted (name, value) using (name)`.execute(
    db,
  )
  return Object.fromEntries(rows.map(({ name, setting }) => [name, setting]))
}

/** The number of the advisory lock that the namespace's leader holds: the same in every process, out of all 64-bit numbers. */
export function relayLock(namespace: string): string {
  return createHash('sha256').update(`corral relay ${namespace}`).digest().readBigInt64BE(0).toString()
}
