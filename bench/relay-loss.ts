/**
 * The race of test/integration/relay/nothing-is-lost.test.ts at length: a million changes, one transaction open for a minute.
 *
 * Usage: node --import tsx bench/relay-loss.ts [events, default 1000000] [ms the long transaction is open, default 60000]
 */

import { runRace } from '../test/support/relay-race.js'
import { startPostgres } from '../test/support/servers/postgres.js'

const [events = '1000000', openMs = '60000'] = process.argv.slice(2)
const server = await startPostgres({ own: true })
const result = await runRace({
  databaseUrl: await server.createDatabase('race'),
  writers: 8,
  events: Number(events),
  openMs: Number(openMs),
})
console.log(
  `${result.written} changes; ${result.writtenMeanwhile} of them while one transaction was open for ${openMs} ms`,
)
for (const [name, { lost, seenMeanwhile }] of Object.entries(result.pollers)) {
  console.log(`${name.padEnd(10)} lost ${lost}; saw ${seenMeanwhile} while it was open`)
}
await server.stop()
