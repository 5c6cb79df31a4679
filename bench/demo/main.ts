/**
 * `npm run demo`: shows on real servers what a cache does to the truth, and what it costs not to let it. Ends by itself.
 *
 * Exits with 0 only when Corral kept every promise that the acts put to the test.
 */
import { startPostgres } from '../../test/support/servers/postgres.js'
import { startRedis } from '../../test/support/servers/redis.js'
import type { Act, Stage } from './act.js'
import { fourIncidents } from './four-incidents.js'
import { Narrator } from './narrator.js'
import { sameTrafficTwice } from './same-traffic-twice.js'
import { formatSeconds } from './table.js'

const ACTS: readonly Act[] = [fourIncidents, sameTrafficTwice]

const narrator = new Narrator()

async function openStage(): Promise<Stage> {
  narrator.say('Starting a Postgres and a Redis for this demonstration ...')
  const [postgres, redis] = await Promise.all([startPostgres(), startRedis()])
  narrator.say(
    `  Postgres (${postgres.origin}) on port ${postgres.port}, Redis (${redis.origin}) on port ${redis.port}`,
  )
  return { postgres, redis, narrator }
}

async function performAll(stage: Stage): Promise<string[]> {
  const failures: string[] = []
  for (const act of ACTS) {
    narrator.title(act.title)
    failures.push(...(await act.perform(stage)))
  }
  return failures
}

async function demonstrate(): Promise<readonly string[]> {
  const stage = await openStage()
  try {
    return await performAll(stage)
  } finally {
    await Promise.all([stage.postgres.stop(), stage.redis.stop()])
  }
}

const startedMs = performance.now()
try {
  const failures = await demonstrate()
  narrator.tell(`Done in ${formatSeconds(performance.now() - startedMs)}. Everything it started has been stopped.`)
  if (failures.length > 0) narrator.say('', 'Corral broke a promise:', ...failures)
  process.exitCode = failures.length === 0 ? 0 : 1
} catch (error) {
  narrator.say('', `The demonstration could not be finished: ${error instanceof Error ? error.stack : error}`)
  process.exitCode = 1
}
