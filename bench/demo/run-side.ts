import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { machineMs } from '../../src/core/clock.js'
import { TcpProxy } from '../../test/support/tcp-proxy.js'
import type { Stage } from './act.js'
import { compareAtRest } from './at-rest.js'
import { connectShop, type Place } from './connect.js'
import { assertSameCount, countTransactions } from './cross-check.js'
import { readEveryRow, withFreshSide } from './every-row.js'
import { type Figures, figuresOf } from './figures.js'
import { Fleet } from './fleet.js'
import type { WorkerLog } from './messages.js'
import { createShop, stampShop } from './shop.js'
import type { SideName } from './side.js'
import { formatCount } from './table.js'
import { TRAFFIC } from './traffic.js'

/** On the way to Postgres, in each direction: another machine of the same region, over a network that others use too. */
export const NETWORK = { latencyMs: 1, jitterMs: 9 } as const

/** After the last acknowledgement: far longer than anything a side may still have under way. */
const SETTLE_MS = 1_000
/** Between the call and the start, so that every process hears of it in time. */
const LEAD_MS = 250

/**
 * Runs the traffic against one side, on a database and keys of its own, and measures it.
 *
 * @throws Error when the measurement itself cannot be trusted.
 */
export async function runSide(name: SideName, stage: Stage): Promise<Figures> {
  const { postgres, redis, narrator } = stage
  const postgresUrl = await postgres.createDatabase(`demo_${name}`)
  const namespace = `demo-${name}-${randomBytes(4).toString('hex')}`
  const direct: Place = { postgresUrl, redisUrl: redis.url, namespace }
  const database = new URL(postgresUrl).pathname.slice(1)
  narrator.say('  Creating the shop and filling the cache with it ...')
  await prepareShop(name, postgresUrl)
  await withFreshSide(name, direct, readEveryRow)

  const before = await countTransactions(postgres.url, database)
  const logs = await runTraffic(name, direct, stage)
  const after = await countTransactions(postgres.url, database)
  assertSameCount(
    logs.reduce((sum, { transactions }) => sum + transactions, 0),
    after - before,
  )

  narrator.say('  The traffic has ended. Comparing the cache with the database, row by row ...')
  await sleep(SETTLE_MS)
  return figuresOf(logs, await compareAtRest(name, direct))
}

async function prepareShop(name: SideName, postgresUrl: string): Promise<void> {
  const db = connectShop(postgresUrl)
  try {
    await createShop(db)
    if (name === 'corral') await stampShop(db)
  } finally {
    await db.destroy()
  }
}

async function runTraffic(name: SideName, direct: Place, { narrator }: Stage): Promise<WorkerLog[]> {
  const { hostname, port } = new URL(direct.postgresUrl)
  const proxy = await TcpProxy.start({ host: hostname, port: Number(port) || 5432 })
  proxy.set(NETWORK)
  let fleet: Fleet | undefined
  try {
    fleet = await Fleet.start(TRAFFIC.processes, name, {
      ...direct,
      postgresUrl: proxy.through(direct.postgresUrl),
    })
    const startMs = machineMs() + LEAD_MS
    return await fleet.run(startMs, ({ reads, writes }) => {
      const of = TRAFFIC.durationMs / 1_000
      const second = Math.min(of, Math.max(0, Math.round((machineMs() - startMs) / 1_000)))
      narrator.progress(`${second} of ${of} s   ${formatCount(reads)} reads   ${formatCount(writes)} writes`)
    })
  } finally {
    await fleet?.stop()
    await proxy.close()
  }
}
