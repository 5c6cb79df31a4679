import { sql } from 'kysely'
import type { AnyDatabase } from './catalog-query.js'
import { type Lsn, parseLsn } from './lsn.js'

/** A slot as the server shows it. */
export interface SlotState {
  /** `reserved`, `extended`: what it needs is kept. `unreserved`: about to be removed. `lost`: it is gone, and the slot of no more use. */
  readonly status: 'reserved' | 'extended' | 'unreserved' | 'lost'
  readonly plugin: string
  readonly isHere: boolean
  readonly activePid: string | null
  readonly confirmed: Lsn
  /** How much of its log the server keeps for the slot. */
  readonly retainedBytes: number
  /** How much more it may write until it gives the slot up; null: it never does. */
  readonly safeBytes: number | null
}

/** Undefined: there is no slot of this name. May reject with the driver's error. */
export async function readSlot(db: AnyDatabase, slot: string): Promise<SlotState | undefined> {
  // As texts: no type parser of the user's has a say in what is read here.
  const { rows } = await sql<Record<string, string | null>>`
    select coalesce(wal_status, 'lost') as status, plugin::text as plugin, (database = current_database())::text as here, active_pid::text as pid,
      coalesce(confirmed_flush_lsn, '0/0')::text as confirmed, safe_wal_size::text as safe,
      coalesce(pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn), 0)::text as retained
    from pg_replication_slots where slot_name = ${slot}`.execute(db)
  const [row] = rows
  if (row === undefined) return undefined
  return {
    status: row.status as SlotState['status'],
    plugin: String(row.plugin),
    isHere: row.here === 'true',
    activePid: row.pid ?? null,
    confirmed: parseLsn(String(row.confirmed)),
    retainedBytes: Number(row.retained),
    safeBytes: row.safe === null || row.safe === undefined ? null : Number(row.safe),
  }
}
