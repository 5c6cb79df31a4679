import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'

const POLL_MS = 50
const PATIENCE_MS = 10_000
/** Autovacuum and its likes commit transactions of their own; more than this is not theirs. */
const TOLERANCE = { transactions: 200, share: 0.02 }

/**
 * Transactions committed in a database since it was made, by Postgres' own count. Waits until nobody is connected to it,
 * because a connection reports what it did at the latest when it ends.
 *
 * @param serverUrl any other database of the same server.
 */
export async function countTransactions(serverUrl: string, database: string): Promise<number> {
  const client = new pg.Client({ connectionString: serverUrl })
  await client.connect()
  try {
    const untilMs = performance.now() + PATIENCE_MS
    for (;;) {
      const { rows } = await client.query<{ open: number; committed: string }>(
        'select numbackends as open, xact_commit as committed from pg_stat_database where datname = $1',
        [database],
      )
      const [row] = rows
      if (row === undefined) throw new Error(`Postgres keeps no count for the database ${database}`)
      if (row.open === 0) return Number(row.committed)
      if (performance.now() > untilMs) throw new Error(`${row.open} connections to ${database} are still open`)
      await sleep(POLL_MS)
    }
  } finally {
    await client.end()
  }
}

/**
 * Had a statement escaped our count, it and Postgres' would differ.
 *
 * @throws Error when they do.
 */
export function assertSameCount(ours: number, atPostgres: number): void {
  const tolerated = Math.max(TOLERANCE.transactions, atPostgres * TOLERANCE.share)
  if (Math.abs(ours - atPostgres) <= tolerated) return
  throw new Error(`the demonstration counted ${ours} transactions where Postgres counted ${atPostgres}`)
}
