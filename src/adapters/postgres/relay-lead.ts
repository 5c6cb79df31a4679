import { createHash } from 'node:crypto'
import { sql } from 'kysely'
import { SourceError } from '../../core/errors.js'
import type { AnyDatabase } from './catalog-query.js'

/**
 * How long the server lets a leader be silent: one that is stopped, or whose host is gone without a word, loses its session and the lead. A
 * leader says something each second. From Postgres 14 on; before, TCP's own timeouts have to find out.
 */
export const SILENCE = '10s'

/**
 * Runs `work` while this process is the one that relays for its namespace; false: another one is, whatever it reads its changes from. The leader
 * holds one connection of the pool and on it an advisory lock of its session: one that is lost takes the lock along.
 *
 * Session locks do not survive a pooler that hands out connections per transaction: give it a direct connection.
 */
export function leadRelay(
  pool: AnyDatabase,
  namespace: string,
  work: (connection: AnyDatabase) => Promise<void>,
): Promise<boolean> {
  const lock = relayLock(namespace)
  return pool.connection().execute(async (connection) => {
    const db = connection.withoutPlugins()
    if (!(await take(db, lock))) return false
    try {
      await limitSilence(db, SILENCE)
      await work(db)
      return true
    } finally {
      // The connection goes back to the pool; if it is broken, the lock went with it.
      await limitSilence(db, null).catch(() => {})
      await sql`select pg_advisory_unlock(${lock}::bigint)`.execute(db).catch(() => {})
    }
  })
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

/** Null: as it was. */
async function limitSilence(db: AnyDatabase, limit: string | null): Promise<void> {
  await sql`select set_config(name, coalesce(${limit}, reset_val || 'ms'), false) from pg_settings
    where name = 'idle_session_timeout'`.execute(db)
}

/** The number of the advisory lock that the namespace's leader holds: the same in every process, out of all 64-bit numbers. */
export function relayLock(namespace: string): string {
  return createHash('sha256').update(`corral relay ${namespace}`).digest().readBigInt64BE(0).toString()
}
