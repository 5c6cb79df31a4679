import { type Kysely, sql } from 'kysely'
import { machineMs } from '../../../src/core/clock.js'
import { History, type RestRecord, type WriteRecord } from '../../../src/testing.js'
import type { ActorNotes } from './actor-talk.js'
import { type Counts, count, noCounts } from './counts.js'
import type { Shop } from './shop.js'

/** What all processes did in one second. */
export interface Second extends Counts {
  readonly startedMs: number
}

/**
 * How much later than its commit record a transaction may become visible where nobody lived to tell: the wait for a standby that
 * does not answer is in there.
 */
const VISIBLE_AFTER_MS = 1_000
/** The database's clock and this process' are read one after the other. */
const CLOCKS_MS = 5

/** All that was noted in a run, by those who died as well: what they had written is in the database's own trail. */
export class Ledger {
  /** Reads and writes of rows. */
  readonly rows = new History()
  /** Answers to queries, with the same writes: a result and a row are not one snapshot. */
  readonly queries = new History()
  /** What values of unique columns led to, with the same writes: they are keys of their own, and an absence names no row. */
  readonly lookups = new History()
  readonly startedMs = machineMs()
  readonly totals: Counts = noCounts()
  readonly #seconds = new Map<number, Second>()
  /** When statements from outside were certain, by the name they went under. */
  readonly #certain = new Map<string, number>()
  /** Longest run of SELECTs at once, of any one process. */
  readonly mostLoadsAtOnce = new Map<string, number>()

  hear({ records, queries, lookups, counts }: ActorNotes, from: string): void {
    // A write without an answer is in the trail or it never was.
    const writes = records.writes.filter(({ outcome }) => outcome !== 'unknown')
    this.rows.add({ ...records, writes })
    this.queries.add(queries)
    this.lookups.add(lookups)
    const at = Math.floor((machineMs() - this.startedMs) / 1_000)
    const second = this.#seconds.get(at) ?? { ...noCounts(), startedMs: this.startedMs + at * 1_000 }
    this.#seconds.set(at, second)
    for (const sum of [second, this.totals]) add(sum, counts)
    this.mostLoadsAtOnce.set(from, Math.max(this.mostLoadsAtOnce.get(from) ?? 0, counts.mostLoadsAtOnce))
  }

  certain(name: string, atMs: number): void {
    this.#certain.set(name, atMs)
  }

  rests(records: readonly RestRecord[]): void {
    for (const record of records) this.rows.rest(record)
  }

  seconds(): readonly Second[] {
    return [...this.#seconds.values()].sort((a, b) => a.startedMs - b.startedMs)
  }

  /** Adds the writes that nobody has noted: from outside, and of processes that died. */
  async readTrail(db: Kysely<Shop>): Promise<void> {
    const noted = new Set(this.rows.writes.filter(({ outcome }) => outcome !== 'rolled-back').map(nameOf))
    const wallToMachineMs = machineMs() - Date.now()
    const { rows } = await sql<{ id: number; version: string; absent: boolean; who: string; at: number }>`
      select id, version::text, absent, who, extract(epoch from pg_xact_commit_timestamp(xid::xid))::float8 * 1000 as at
      from trail order by n`.execute(db)
    for (const { id, version, absent, who, at } of rows) {
      const key = `products/${id}`
      if (noted.has(nameOf({ key, version, absent }))) continue
      const committedMs = at + wallToMachineMs
      this.rows.write({
        ...{ process: 'outside', key, version, absent, outcome: 'outside' },
        startedMs: committedMs - CLOCKS_MS,
        endedMs: this.#certain.get(who) ?? committedMs + VISIBLE_AFTER_MS,
      })
    }
    for (const write of this.rows.writes) {
      this.queries.write(write)
      this.lookups.write(write)
    }
  }
}

function nameOf({ key, version, absent = false }: Pick<WriteRecord, 'key' | 'version' | 'absent'>): string {
  return `${key} ${version} ${absent}`
}

function add(sum: Counts, counts: Counts): void {
  for (const name of ['reads', 'writes', 'skipped', 'loads'] as const) sum[name] += counts[name]
  for (const name of ['mostLoadsAtOnce', 'slowestReadMs'] as const) sum[name] = Math.max(sum[name], counts[name])
  for (const name of ['failedReads', 'failedWrites', 'events'] as const) {
    for (const [what, times] of Object.entries(counts[name])) count(sum[name], what, times)
  }
}
