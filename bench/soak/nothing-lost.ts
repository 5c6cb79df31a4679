import { runRace } from '../../test/support/relay-race.js'
import { startPostgres } from '../../test/support/servers/postgres.js'
import { atMost } from '../harness/scenario.js'
import type { Soak } from './soak.js'

const WRITERS = 8

/** The race of test/integration/relay/nothing-is-lost.test.ts at length. */
export const nothingLost: Soak = {
  name: 'nothing-lost',
  title: `a million changes by ${WRITERS} writers in transactions of random length, one open for a minute, and three pollers of their outbox`,
  async run({ seed, quick, note }) {
    const events = quick ? 100_000 : 1_000_000
    const openMs = quick ? 6_000 : 60_000
    const server = await startPostgres({ own: true })
    try {
      note(`${events} changes, a transaction open for ${openMs} ms`)
      const databaseUrl = await server.createDatabase('race')
      const { written, writtenMeanwhile, pollers } = await runRace({
        databaseUrl,
        writers: WRITERS,
        events,
        openMs,
        seed,
        // The gate has the whole minute to catch up with, and autovacuum in the way.
        lastWaitMs: quick ? 5_000 : 30_000,
      })
      const { snapshots, cursor, gate } = pollers
      const share = (seen: number) => `${((100 * seen) / writtenMeanwhile).toFixed(1)} %`
      return {
        targets: [
          atMost('changes lost, of a million', 0, snapshots.lost),
          atMost('longest time without news while one was open', 2_000, snapshots.longestStallMs, ' ms'),
        ],
        remarks: [
          `${written} changes, ${writtenMeanwhile} of them while one transaction was open`,
          `Corral's poller saw ${share(snapshots.seenMeanwhile)} of those while it was open`,
          `beside it, rows with an id above the highest seen: ${cursor.lost} lost, ${share(cursor.seenMeanwhile)} seen, stall ${cursor.longestStallMs} ms`,
          `beside it, rows older than the oldest open transaction: ${gate.lost} lost, ${share(gate.seenMeanwhile)} seen, stall ${gate.longestStallMs} ms`,
        ],
      }
    } finally {
      await server.stop()
    }
  },
}
