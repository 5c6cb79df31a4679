import { createHash } from 'node:crypto'
import { sql } from 'kysely'
import type { Clock } from '../../core/clock.js'
import { SourceError } from '../../core/errors.js'
import type { ChangeFeed, ChangeSource } from '../../core/ports.js'
import type { AnyDatabase } from './catalog-query.js'
import { OutboxSource } from './outbox-source.js'
import { RelationDirectory } from './relation-directory.js'

/**
 * How long the server lets a leader be silent: one that is stopped, or whose host is gone without a word, loses its session and the lead. A
 * leader says something each second. From Postgres 14 on; before, TCP's own timeouts have to find out.
 */
const SILENCE = '10s'

/** Rows of the outbox that one page has at most: enough to keep Redis busy, few enough to hold in memory. */
const PAGE_ROWS = 500

/**
 * `ChangeFeed` over the outbox. The leader holds one connection of the pool and on it an advisory lock of its session, and reads
 * on that same connection: one that is lost takes the lock along.
 *
 * Session locks do not survive a pooler that hands out connections per transaction: give it a direct connection.
 */
export class OutboxFeed implements ChangeFeed {
  readonly #db: AnyDatabase
  readonly #namespace: string
  readonly #pageRows: number
  readonly #directory: RelationDirectory
  readonly #lock: string

  constructor(options: {
    db: AnyDatabase
    clock: Clock
    namespace: string
    /** Default 500. */
    pageRows?: number
  }) {
    this.#db = options.db
    this.#namespace = options.namespace
    this.#pageRows = options.pageRows ?? PAGE_ROWS
    // Nothing is ever read behind a caller here: only `find` is used.
    this.#directory = new RelationDirectory({ db: options.db, clock: options.clock, behind: () => {} })
    this.#lock = relayLock(options.namespace)
  }

  lead(work: (source: ChangeSource) => Promise<void>): Promise<boolean> {
    return this.#db.connection().execute(async (connection) => {
      const db = connection.withoutPlugins()
      if (!(await this.#take(db))) return false
      try {
        await limitSilence(db, SILENCE)
        await work(
          await OutboxSource.open({
            db,
            namespace: this.#namespace,
            pageRows: this.#pageRows,
            directory: this.#directory,
          }),
        )
        return true
      } finally {
        // The connection goes back to the pool; if it is broken, the lock went with it.
        await limitSilence(db, null).catch(() => {})
        await sql`select pg_advisory_unlock(${this.#lock}::bigint)`.execute(db).catch(() => {})
      }
    })
  }

  async #take(db: AnyDatabase): Promise<boolean> {
    try {
      const { rows } = await sql<{ got: unknown }>`
        select case when pg_try_advisory_lock(${this.#lock}::bigint) then 1 else 0 end::text as got`.execute(db)
      return rows[0]?.got === '1'
    } catch (error) {
      throw new SourceError('asking for the lead', error)
    }
  }
}

/** Null: as it was. */
async function limitSilence(db: AnyDatabase, limit: string | null): Promise<void> {
  await sql`select set_config(name, coalesce(${limit}, reset_val || 'ms'), false) from pg_settings
    where name = 'idle_session_timeout'`.execute(db)
}

/** The number of the advisory lock that the namespace's leader holds. */
export function relayLock(namespace: string): string {
  return lockNumber(`corral relay ${namespace}`)
}

/** The same number for the same text in every process, out of all 64-bit numbers. */
function lockNumber(text: string): string {
  return createHash('sha256').update(text).digest().readBigInt64BE(0).toString()
}
