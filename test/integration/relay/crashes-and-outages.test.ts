import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { describe, expect } from 'vitest'
import { bundle } from '../../support/bundle.js'
import { startRedis } from '../../support/servers/redis.js'
import { waitUntil } from '../../support/servers/wait.js'
import { redisUrl } from '../../support/services.js'
import { type ShopLab, type ShopProcess, untilCached } from '../../support/shop-lab.js'
import {
  cachedProduct,
  insertProduct,
  itOverEachSource,
  openRelayedShops,
  positionOf,
  relayOf,
  SOURCES,
  untilLeads,
} from './relay-lab.js'

const shops = openRelayedShops()

async function untilShown({ products }: ShopProcess, id: number, price: number): Promise<void> {
  await waitUntil('the write is shown', 5_000, async () => (await products.find(id))?.price === price)
}

describe('a writer that is killed between COMMIT and fence', () => {
  /** Each is a process that has to start. `CORRAL_CRASHES=500` for an evening. */
  const CRASHES = Number(process.env.CORRAL_CRASHES ?? 4)
  const OF_EACH = Math.ceil(CRASHES / SOURCES.length)

  async function crash(shop: ShopLab, id: number, price: number): Promise<void> {
    const program = await bundle(new URL('../../support/crashing-writer.ts', import.meta.url))
    const args = [program, shop.databaseUrl, redisUrl(), shop.namespace, String(id), String(price)]
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'ignore', 'inherit'] })
    const [, signal] = await once(child, 'exit')
    expect(signal).toBe('SIGKILL')
  }

  itOverEachSource(
    `leaves no old copy behind for longer than a second, ${OF_EACH} times`,
    async (source) => {
      const shop = shops[source]
      const relay = shop.start({ relay: relayOf(shop, source) })
      const reader = shop.start()
      await untilLeads(relay)
      for (let price = 100; price < 100 + OF_EACH; price++) {
        const id = await cachedProduct(shop, source, reader)
        await crash(shop, id, price)
        const diedMs = performance.now()
        await untilShown(reader, id, price)
        expect(performance.now() - diedMs).toBeLessThan(1_000)
      }
    },
    60_000 + 10_000 * CRASHES,
  )
})

describe('two relays', () => {
  itOverEachSource(
    'take turns: one leads, and when its connection is killed the other does, and nothing is lost',
    async (source) => {
      const shop = shops[source]
      const start = () => shop.start({ relay: relayOf(shop, source, { electionMs: 50 }) })
      const relays = [start(), start()]
      const reader = shop.start()
      await waitUntil('one leads', 5_000, () => relays.some(({ corral }) => corral.stats().relay === 'leader'))
      const roles = () => relays.map(({ corral }) => corral.stats().relay).sort()
      expect(roles()).toEqual(['leader', 'standby'])
      for (let turn = 0; turn < 3; turn++) {
        const id = await cachedProduct(shop, source, reader)
        await shop.run(`begin; update products set price = 2 where id = ${id};
          select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and granted and pid <> pg_backend_pid()
            and database = (select oid from pg_database where datname = current_database()); commit`)
        await untilShown(reader, id, 2)
        await waitUntil('one leads again', 5_000, () => roles().join() === 'leader,standby')
      }
      expect(relays.flatMap(({ events }) => events.of('relay.failed')).length).toBeGreaterThan(0)
    },
    30_000,
  )

  itOverEachSource('hand over when one closes', async (source) => {
    const shop = shops[source]
    const start = () => shop.start({ relay: relayOf(shop, source, { electionMs: 50 }) })
    const first = start()
    await untilLeads(first)
    const second = start()
    await first.corral.close()
    await untilLeads(second)
    expect(first.events.of('relay.leader').map(({ state }) => state)).toEqual(['gained', 'lost'])
  })
})

describe('while Redis is away', () => {
  itOverEachSource('the position stays, and the fences arrive afterwards', async (source) => {
    const shop = shops[source]
    const redis = await startRedis({ own: true })
    const namespace = `${shop.namespace}-away`
    const options = { namespace, redisUrl: redis.url, cache: { deadlineMs: 20, breakerFailures: 1_000 } }
    const relay = shop.start({ ...options, relay: relayOf(shop, source) })
    const reader = shop.start(options)
    const position = () => positionOf({ namespace, run: (text) => shop.run(text) }, source)
    await untilLeads(relay)
    const id = await insertProduct(shop)
    await untilCached(reader, id)
    await waitUntil('the position is settled', 5_000, async () => (await position()) !== undefined)
    redis.freeze()
    const [written] = await shop.run(
      `update products set price = 2 where id = ${id} returning pg_current_xact_id()::text as xid`,
    )
    const [log] = await shop.run(`select (pg_current_wal_insert_lsn() - '0/0')::text as lsn`)
    /** Whether the next leader would begin behind the write. */
    const isSettled = async () => {
      const settled = await position()
      if (source === 'slot') return BigInt(settled as string) >= BigInt(String(log?.lsn))
      const [row] = await shop.run(`select pg_visible_in_snapshot('${written?.xid}', '${settled}') as is_visible`)
      return row?.is_visible === true
    }
    // The position may still move before the outage is noticed, but not past the write; from here on it stays.
    await waitUntil('the relay meets the outage', 5_000, () => relay.events.of('cache.unavailable').length > 0)
    const stuck = await position()
    await new Promise((resolve) => setTimeout(resolve, 1_500))
    expect(await isSettled()).toBe(false)
    expect(await position()).toBe(stuck)
    expect((await reader.products.find(id))?.price).toBe(2)
    redis.thaw()
    await waitUntil('the position moves', 5_000, isSettled)
    await waitUntil(
      'the copy in Redis is gone or new',
      1_000,
      async () => (await reader.products.find(id))?.price === 2,
    )
    expect(relay.events.of('relay.batch').length).toBeGreaterThan(0)
  })
})

describe('a position that is lost', () => {
  itOverEachSource('is begun anew, and nothing is shown that may have changed before', async (source) => {
    const shop = shops[source]
    const namespace = `${shop.namespace}-lost`
    const reader = shop.start({ namespace })
    const id = await insertProduct(shop)
    await untilCached(reader, id)
    await shop.run(`update products set price = 2 where id = ${id}`)
    expect((await reader.products.find(id))?.price).toBe(1)
    const relay = shop.start({ namespace, relay: relayOf(shop, source) })
    await untilLeads(relay)
    await untilShown(reader, id, 2)
  })
})
