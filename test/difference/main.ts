/**
 * `npm run difference`: random calls on a real Postgres and a real Redis and on the models that tests put in their place, each run decided by
 * its seed. Servers are started for it, or those are used that DATABASE_URL and REDIS_URL name.
 *
 * - `-- --calls 100000` so many calls of each; `--from 1000` with seeds from there on;
 * - `-- --of postgres` or `redis` only that one;
 * - `-- --of postgres --seed 42` tells the story of one run.
 *
 * Exits with 1 when a model differs.
 */
import { parseArgs } from 'node:util'
import pg from 'pg'
import { startPostgres } from '../support/servers/postgres.js'
import { startRedis } from '../support/servers/redis.js'
import { makeShop } from './postgres/shop.js'
import { PostgresWalks } from './postgres/walks.js'
import { RedisWalks } from './redis/walks.js'
import { describeDiffering, runUntil, type Story } from './story.js'

const OF = ['postgres', 'redis'] as const
/** Differing seeds that are told before it ends. */
const MOST_DIFFERING = 3

const { values } = parseArgs({
  options: {
    of: { type: 'string' },
    seed: { type: 'string' },
    from: { type: 'string', default: '1' },
    calls: { type: 'string', default: '10000' },
  },
})
const chosen = OF.filter((name) => values.of === undefined || values.of === name)
if (chosen.length === 0) {
  console.error(`expected --of ${OF.join(' or ')}, found ${values.of}`)
  process.exit(2)
}
for (const name of chosen) await (name === 'postgres' ? ofPostgres() : ofRedis())

async function ofPostgres(): Promise<void> {
  const server = await startPostgres()
  try {
    const url = await server.createDatabase('difference')
    const client = new pg.Client({ connectionString: url })
    await client.connect()
    await makeShop(client)
    await client.end()
    const walks = await PostgresWalks.open(url)
    await walk('postgres', (seed) => walks.run(seed))
    await walks.close()
  } finally {
    await server.stop()
  }
}

async function ofRedis(): Promise<void> {
  const server = await startRedis()
  try {
    const walks = await RedisWalks.open(server.url)
    await walk('redis', (seed) => walks.run(seed))
    await walks.close()
  } finally {
    await server.stop()
  }
}

async function walk(of: (typeof OF)[number], run: (seed: number) => Promise<Story>): Promise<void> {
  if (values.seed !== undefined) {
    const story = await run(wholeNumber(values.seed))
    console.log([`Seed ${values.seed} of ${of}`, ...story.lines].join('\n'))
    if (story.difference === undefined) console.log('=>  alike')
    else process.exitCode = 1
    return
  }
  const startedMs = performance.now()
  const calls = wholeNumber(values.calls)
  const tally = await runUntil({ fromSeed: wholeNumber(values.from), calls, mostDiffering: MOST_DIFFERING, run })
  if (tally.differing.length > 0) console.log(`${describeDiffering(of, tally)}\n`)
  const seconds = ((performance.now() - startedMs) / 1_000).toFixed(1)
  console.log(`${of}: ${tally.calls} calls in ${tally.seeds} seeds and ${seconds} s; ${tally.differing.length} differ`)
  for (const [what, count] of [...tally.witnesses].sort()) console.log(`  ${String(count).padStart(7)}  ${what}`)
  if (tally.differing.length > 0) process.exitCode = 1
}

function wholeNumber(text: string): number {
  const number = Number(text)
  if (Number.isInteger(number) && number >= 0) return number
  console.error(`expected a whole number from 0, found ${text}`)
  process.exit(2)
}
