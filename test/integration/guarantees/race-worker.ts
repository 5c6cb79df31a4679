/**
 * One process of the fill race: reads, writes and pauses its fills as the test tells it over IPC. Run by
 * `two-thousand-fill-races.test.ts`; arguments: database URL, Redis URL, namespace.
 */
import { Redis } from 'ioredis'
import { RedisStore } from '../../../src/adapters/redis/redis-store.js'
import { createWithSeams } from '../../../src/client.js'
import { systemClock } from '../../../src/core/clock.js'
import type { Pause } from '../../support/gates.js'
import { PausableStore } from '../../support/pausable-store.js'
import { Recorder } from '../../support/recorder.js'
import { waitUntil } from '../../support/servers/wait.js'
import { openProducts, openShopDatabase } from '../../support/shop-lab.js'

export type RaceOrder =
  | { readonly act: 'load and pause' | 'read'; readonly ids: readonly number[] }
  | { readonly act: 'write'; readonly ids: readonly number[]; readonly price: number }
  | { readonly act: 'fill' | 'close' }

export interface RaceReport {
  readonly prices?: readonly (number | undefined)[]
  readonly fences?: readonly (string | undefined)[]
  readonly fills?: Readonly<Record<string, number>>
}

const [databaseUrl, redisUrl, namespace] = process.argv.slice(2) as [string, string, string]
const db = openShopDatabase(databaseUrl)
const redis = new Redis(redisUrl)
const events = new Recorder()
const cache = new PausableStore(new RedisStore({ client: redis, namespace, clock: systemClock }), systemClock)
const corral = createWithSeams(
  // A paused fill must not look like a cache that does not answer.
  { db, redis, namespace, onEvent: events.emit, l1: { maxEntries: 0 }, cache: { deadlineMs: 30_000 } },
  { store: cache },
)
const products = openProducts(corral)
let paused: { readonly pause: Pause; readonly fills: number } | undefined

async function obey(order: RaceOrder): Promise<RaceReport> {
  switch (order.act) {
    case 'load and pause': {
      const pause = cache.pause('before fill')
      const rows = await products.findMany([...order.ids])
      await pause.reached
      paused = { pause, fills: order.ids.length }
      return { prices: rows.map((row) => row?.price) }
    }
    case 'fill': {
      const { pause, fills } = paused as NonNullable<typeof paused>
      events.story()
      pause.resume()
      await waitUntil('the fills have ended', 10_000, () => events.count('fill') === fills)
      const outcomes: Record<string, number> = {}
      for (const { outcome } of events.of('fill')) outcomes[outcome] = (outcomes[outcome] ?? 0) + 1
      return { fills: outcomes }
    }
    case 'read': {
      const rows = await products.findMany([...order.ids])
      return { prices: rows.map((row) => row?.price) }
    }
    case 'write': {
      const { price } = order
      const written = await Promise.all(order.ids.map((id) => products.update(id, { price })))
      return { fences: written.map((result) => result?.fence) }
    }
    case 'close': {
      await corral.close()
      redis.disconnect()
      await db.destroy()
      process.disconnect()
      return {}
    }
  }
}

process.on('message', (order: RaceOrder) => {
  obey(order).then(
    (report) => process.connected && process.send?.({ report }),
    (error) => process.send?.({ failure: String(error) }),
  )
})
process.send?.({ report: {} })
