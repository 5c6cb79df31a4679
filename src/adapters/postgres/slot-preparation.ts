import { sql } from 'kysely'
import type { Clock } from '../../core/clock.js'
import { ConfigError, SourceError } from '../../core/errors.js'
import type { AnyDatabase } from './catalog-query.js'
import { readSlot, type SlotState } from './slot-state.js'
import type { ConnectionOptions } from './slot-stream.js'

/** A slot that is made waits for every transaction that was open before, but not so long that nobody could close this process. */
const CREATE_LIMIT = '20s'
/** How often the leader says something meanwhile: who is silent loses the lead. */
const PRESENT_EVERY_MS = 1_000
/** How long the one who read the slot before gets to let go of it. */
const RELEASE_MS = 10_000
const LOOK_EVERY_MS = 100

/**
 * Leaves the slot there, whole and free, whatever it was before. Asked for by whoever holds the lead: another reader of the slot is a leader
 * that has lost it and does not know, and is cut off.
 *
 * @returns the slot, and whether it was made now: then it tells nothing of what came before.
 * @throws SourceError, ConfigError.
 */
export async function prepareSlot(options: {
  db: AnyDatabase
  connection: ConnectionOptions
  slot: string
  clock: Clock
}): Promise<{ state: SlotState; isNew: boolean }> {
  const { db, connection, slot, clock } = options
  try {
    let state = await readSlot(db, slot)
    if (state && (state.plugin !== 'pgoutput' || !state.isHere)) {
      const found = state.isHere ? `one with plugin ${state.plugin}` : 'one of another database'
      throw new ConfigError(
        'relay.slot.name',
        `a slot of this database with plugin pgoutput, or none, under ${slot}`,
        found,
      )
    }
    if (state !== undefined && state.status !== 'lost' && state.activePid === null) return { state, isNew: false }
    const client = await connect(connection)
    try {
      if (state?.activePid) await client.query('select pg_terminate_backend($1::int)', [state.activePid])
      const untilMs = clock.monotonicMs() + RELEASE_MS
      while (state?.activePid && clock.monotonicMs() < untilMs) {
        await clock.sleep(LOOK_EVERY_MS)
        state = await readSlot(db, slot)
      }
      if (state !== undefined && state.status !== 'lost') return { state, isNew: false }
      if (state !== undefined) await client.query('select pg_drop_replication_slot($1)', [slot])
      await client.query(`set statement_timeout = '${CREATE_LIMIT}'`)
      const making = client.query(`select pg_create_logical_replication_slot($1, 'pgoutput')`, [slot])
      await presently(making, clock, () => readSlot(db, slot))
      state = await readSlot(db, slot)
      if (state !== undefined) return { state, isNew: true }
      // Nobody would ever read it.
      await client.query('select pg_drop_replication_slot($1)', [slot])
    } finally {
      await client.end()
    }
    throw new ConfigError('relay.slot.connection', 'a connection to the server of `db`', 'another server')
  } catch (error) {
    throw error instanceof ConfigError ? error : new SourceError(`preparing slot ${slot}`, error)
  }
}

/** Waits for something that takes its time, and says something now and then. */
async function presently(work: Promise<unknown>, clock: Clock, say: () => Promise<unknown>): Promise<void> {
  let isOver = false
  const end = work.then(
    () => {},
    () => {},
  )
  void end.then(() => {
    isOver = true
  })
  while (!isOver) {
    const over = new AbortController()
    await Promise.race([end, clock.sleep(PRESENT_EVERY_MS, over.signal).catch(() => {})])
    over.abort()
    if (!isOver) await say()
  }
  await work
}

async function connect(connection: ConnectionOptions) {
  const { default: pg } = await import('pg')
  const client = new pg.Client(connection)
  // A connection that is lost fails the query under way; there is nobody else to tell.
  client.on('error', () => {})
  await client.connect()
  return client
}

/** Where the log ends now and what comes with it, by one look. */
export async function readEnd(db: AnyDatabase): Promise<{ insertLsn: string; nextXid: bigint; nowMs: number }> {
  const { rows } = await sql<Record<string, string>>`
    select pg_current_wal_insert_lsn()::text as insert_lsn, pg_snapshot_xmax(pg_current_snapshot())::text as next_xid,
      (extract(epoch from clock_timestamp()) * 1000)::text as now_ms`.execute(db)
  const row = rows[0] as Record<string, string>
  return { insertLsn: String(row.insert_lsn), nextXid: BigInt(String(row.next_xid)), nowMs: Number(row.now_ms) }
}
