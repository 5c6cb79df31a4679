import { sql } from 'kysely'
import { outboxTable, outboxTables, slotTable, slotTables, stampTable } from '../../src/migrations.js'
import { DURABLE } from '../harness/durable.js'
import { inPlace, type OpenPlace } from '../harness/place.js'
import { amountOf, atLeast, ratioOf, type Scenario } from '../harness/scenario.js'
import { measureThroughput, speeds, type Throughput } from '../harness/throughput.js'
import { ROWS, TABLES, WORKLOADS } from './write-cost-contenders.js'

/** What a slot is told by. It makes the log of the other tables no longer. */
export const WITH_SLOT = { ...DURABLE, wal_level: 'logical' }

/**
 * What the stamp, and the two ways to tell a relay, cost whoever writes: the same updates of the same rows. What the relay itself takes is not counted, with
 * neither.
 */
export const writeCost: Scenario = {
  name: 'write-cost',
  title:
    'an update of one row by its key, on a table with the stamp, with stamp and outbox, with stamp and a slot, and without',
  unit: 'updates/s',
  run: (setting) =>
    inPlace({ rows: ROWS, settings: WITH_SLOT }, async (place) => {
      await makeTables(place)
      const throughput = await measureThroughput({
        place,
        setting,
        module: new URL('write-cost-contenders.ts', import.meta.url),
        contenders: TABLES,
        workloads: WORKLOADS,
        crews: amountOf({ quick: 1, least: 1, full: 3 }, setting),
        rounds: amountOf({ quick: 3, least: 8, full: 12 }, setting),
        warmRounds: amountOf({ quick: 1, least: 3, full: 4 }, setting),
        sliceMs: 300,
      })
      const [first, ...others] = WORKLOADS.map((workload) => comparisonOf(throughput, workload))
      const comparisons = [first as ReturnType<typeof comparisonOf>, ...others] as const
      return {
        comparisons,
        targets: comparisons.flatMap((comparison) => [
          atLeast(`${comparison.label}, stamp`, 0.95, ratioOf(comparison, 'stamp') ?? 0),
          atLeast(`${comparison.label}, outbox`, 0.75, ratioOf(comparison, 'outbox') ?? 0),
          atLeast(`${comparison.label}, slot`, 0.75, ratioOf(comparison, 'slot') ?? 0),
        ]),
      }
    }),
}

function comparisonOf(throughput: Throughput, workload: string) {
  return speeds(throughput, workload, 'perSecond', 'without')
}

/** The same rows in each of the tables, with room on each page for the next version of some of them. */
export async function makeTables({ db }: OpenPlace): Promise<void> {
  await outboxTables().up(db as never)
  await slotTables().up(db as never)
  for (const table of TABLES) {
    await sql`create table ${sql.id(table)} (like products including all) with (fillfactor = 80)`.execute(db)
    await sql`alter table ${sql.id(table)} drop column corral_version`.execute(db)
    if (table !== 'without') await stampTable({ table, key: 'id' }).up(db as never)
    await sql`insert into ${sql.id(table)} select id, slug, name, description, price, stock, active, created_at, touched_ms, attributes
      from products`.execute(db)
    // `columns` makes the slot's table tell its whole former rows.
    const told = { table, key: 'id', unique: ['slug'], columns: ['stock'] }
    if (table === 'outbox') await outboxTable(told).up(db as never)
    if (table === 'slot') await slotTable(told).up(db as never)
    await sql`vacuum analyze ${sql.id(table)}`.execute(db)
  }
}
