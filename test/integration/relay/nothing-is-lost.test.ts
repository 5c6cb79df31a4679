import { expect, it } from 'vitest'
import { runRace } from '../../support/relay-race.js'
import { freshDatabase } from '../../support/services.js'

it('no change is lost, and none waits for a long transaction, as with the two usual pollers', async () => {
  const databaseUrl = await freshDatabase()
  const { written, writtenMeanwhile, pollers } = await runRace({
    databaseUrl,
    writers: 6,
    events: 15_000,
    openMs: 2_500,
  })
  expect(written).toBeGreaterThanOrEqual(15_000)
  expect(pollers.snapshots.lost).toBe(0)
  expect(writtenMeanwhile).toBeGreaterThan(1_000)
  expect(pollers.snapshots.seenMeanwhile).toBeGreaterThan(0.5 * writtenMeanwhile)
  expect(pollers.snapshots.longestStallMs).toBeLessThan(2_000)

  // What happens without: the one loses, the other stands still.
  expect(pollers.cursor.lost).toBeGreaterThan(0)
  expect(pollers.gate.seenMeanwhile).toBeLessThan(0.1 * writtenMeanwhile)
  expect(pollers.gate.longestStallMs).toBeGreaterThan(2_000)
}, 60_000)
