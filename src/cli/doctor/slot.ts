import { sql } from 'kysely'
import { slotName } from '../../adapters/postgres/slot-feed.js'
import { readSlot, type SlotState } from '../../adapters/postgres/slot-state.js'
import { reasonOf } from '../reason-of.js'
import { type Diagnosis, type Finding, finding } from './findings.js'
import { type Patient, within } from './patient.js'

export interface SlotFacts {
  readonly name: string
  readonly walLevel: string
  /** Undefined: there is no slot of this name. */
  readonly state: Pick<SlotState, 'status' | 'activePid' | 'retainedBytes' | 'safeBytes'> | undefined
}

const RETAINED_BYTES = 2 ** 30
/** Of what the server keeps at most until it gives the slot up. */
const RETAINED_SHARE = 0.5

/** The replication slot that the config's relays read. */
export async function examineSlot({ inside, clock }: Patient): Promise<Diagnosis> {
  const { db, namespace, slot } = inside
  if (slot === undefined) return { findings: [], unchecked: [] }
  try {
    const plain = db.withoutPlugins()
    const level = sql<{ level: string }>`select current_setting('wal_level') as level`
    const { rows } = await within(clock, level.execute(plain))
    const name = slot.name ?? (await within(clock, slotName(db, namespace)))
    const state = await within(clock, readSlot(plain, name))
    return { findings: checkSlot({ name, walLevel: String(rows[0]?.level), state }), unchecked: [] }
  } catch (error) {
    return { findings: [], unchecked: [{ what: 'the replication slot', reason: reasonOf(error) }] }
  }
}

export function checkSlot({ name, walLevel, state }: SlotFacts): Finding[] {
  const subject = `slot ${name}`
  if (walLevel !== 'logical') {
    const fix = "alter system set wal_level = 'logical'; and restart the server (rds.logical_replication = 1 on RDS)"
    return [finding('slot.wal-level', 'postgres', `wal_level = ${walLevel}`, fix)]
  }
  const start = 'give `relay` to two processes or more, or run: npx corral relay'
  if (state === undefined)
    return [finding('relay.absent', subject, 'there is no such slot: no relay has ever led', start)]
  const findings: Finding[] = []
  if (state.activePid === null) findings.push(finding('relay.absent', subject, 'nobody reads it', start))
  if (state.status === 'lost' || state.status === 'unreserved') {
    const fix =
      'raise max_slot_wal_keep_size, and see why the relay was away; a lost slot is made anew by the relay that leads'
    findings.push(finding('slot.lost', subject, `wal_status ${state.status}`, fix))
  }
  const { retainedBytes, safeBytes } = state
  const limitBytes = safeBytes === null ? Number.POSITIVE_INFINITY : retainedBytes + Math.max(0, safeBytes)
  if (retainedBytes > Math.min(RETAINED_BYTES, RETAINED_SHARE * limitBytes)) {
    const fix = `let the relay read on; if there is to be none: select pg_drop_replication_slot('${name}');`
    const of = safeBytes === null ? '' : ` of ${mebibytes(limitBytes)} at most`
    findings.push(finding('slot.retained', subject, `${mebibytes(retainedBytes)}${of}`, fix))
  }
  return findings
}

function mebibytes(bytes: number): string {
  return `${Math.round(bytes / 2 ** 20)} MiB`
}
