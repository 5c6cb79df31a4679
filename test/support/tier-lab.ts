import { pathToFileURL } from 'node:url'
import { Redis } from 'ioredis'
import { onTestFinished } from 'vitest'
import { Worker } from '../../bench/harness/crew.js'
import type { RedisClient } from '../../src/adapters/redis/connection.js'
import { RedisChannel } from '../../src/adapters/redis/redis-channel.js'
import { createWithSeams } from '../../src/client.js'
import type { OptionGroups } from '../../src/config.js'
import { bundle } from './bundle.js'
import { Recorder } from './recorder.js'
import { openProducts, openShopDatabase } from './shop-lab.js'
import type { TierTalk } from './tier-worker.js'

/** Where a process of these tests finds its servers, and how it is set. Travels to child processes. */
export interface TierOptions extends OptionGroups {
  readonly namespace: string
  readonly databaseUrl: string
  readonly redisUrl: string
  /** Another way to the same Redis for the bus alone, so that it can be cut while the cache answers. Default: the same way. */
  readonly busUrl?: string
  readonly secret?: string
  /** What writes do with the rows that others hold. Default `drop`. */
  readonly onWrite?: 'drop' | 'publish'
}

/** Short enough for a test, and long enough for a busy machine. */
export const BUS = { heartbeatMs: 50, trustMs: 200 }

/** An instance with a near tier, in this process. The caller closes it. */
export function openTier({ namespace, databaseUrl, redisUrl, busUrl, secret, onWrite, ...groups }: TierOptions) {
  const db = openShopDatabase(databaseUrl, 3)
  // Clients that only say where Redis is: Corral opens connections of its own like them.
  const [redis, bus] = [redisUrl, busUrl ?? redisUrl].map((url) => new Redis(url, { lazyConnect: true })) as [
    Redis,
    Redis,
  ]
  const events = new Recorder()
  const corral = createWithSeams(
    { db, redis, namespace, bus: BUS, onEvent: events.emit, ...(secret === undefined ? {} : { secret }), ...groups },
    busUrl === undefined ? {} : { channel: new RedisChannel({ client: bus as RedisClient, namespace }) },
  )
  const close = async () => {
    await corral.close()
    for (const client of [redis, bus]) client.disconnect()
    await db.destroy()
  }
  return { corral, products: openProducts(corral, onWrite ? { onWrite } : {}), events, db, close }
}

/** The same, closed when the test is over. */
export function startTier(options: TierOptions) {
  const tier = openTier(options)
  onTestFinished(tier.close)
  return tier
}

export type Tier = ReturnType<typeof openTier>

/** Such an instance in a process of its own, which can be stopped. */
export async function startTierProcess(
  options: TierOptions,
): Promise<{ readonly worker: Worker<TierTalk>; readonly pid: number }> {
  const program = await bundle(new URL('tier-worker.ts', import.meta.url))
  const worker = new Worker<TierTalk>(pathToFileURL(program))
  const pid = await worker.ask('open', options)
  onTestFinished(async () => {
    process.kill(pid, 'SIGCONT')
    await worker.stop()
  })
  return { worker, pid }
}
