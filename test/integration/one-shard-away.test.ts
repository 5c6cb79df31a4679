import { Cluster } from 'ioredis'
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { createCorral } from '../../src/index.js'
import { keySlot } from '../../src/policy/slot-copies.js'
import { Recorder } from '../support/recorder.js'
import type { RedisServer } from '../support/servers/redis.js'
import { startRedisCluster } from '../support/servers/redis-cluster.js'
import { waitUntil } from '../support/servers/wait.js'
import { openProducts, openShopDatabase, ShopLab } from '../support/shop-lab.js'

const SLOTS = 16_384
const MASTERS = 3
/** Above the default: a reply from a healthy shard is not to be late because two cores are busy with something else. */
const DEADLINE_MS = 500

/** Otherwise the healthy masters refuse everything themselves from when the third is held for dead until its replica has taken over. */
const PARTIAL = { 'cluster-require-full-coverage': 'no' }

let shop: ShopLab
beforeAll(async () => {
  shop = await ShopLab.open()
})

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

describe('a master of a cluster that does not answer', () => {
  it.each(['freeze', 'kill'] as const)(
    '%s: the keys of the others stay hits, its own come from the database, and are cached again after the failover',
    async (how) => {
      const cluster = await startRedisCluster({
        masters: MASTERS,
        replicas: 1,
        nodeTimeoutMs: 1_000,
        settings: PARTIAL,
      })
      onTestFinished(() => cluster.stop())
      const db = openShopDatabase(shop.databaseUrl, 8)
      const redis = new Cluster([...cluster.startNodes], { lazyConnect: true })
      redis.on('error', () => {})
      const events = new Recorder()
      const namespace = `${shop.namespace}-${how}`
      const cache = { deadlineMs: DEADLINE_MS, breakerFailures: 3 }
      const corral = createCorral({ db, redis, namespace, onEvent: events.emit, cache, l1: { maxEntries: 0 } })
      onTestFinished(async () => {
        await corral.close()
        redis.disconnect()
        await db.destroy()
      })
      const products = openProducts(corral)
      const found = await shop.run('insert into products (price) select 1 from generate_series(1, 60) returning id')
      const ids = found.map(({ id }) => Number(id))
      const masterOf = (id: number) => Math.floor((keySlot(`${namespace}:{public.products/${id}}`) * MASTERS) / SLOTS)
      const victims = ids.filter((id) => masterOf(id) === 0)
      const others = ids.filter((id) => masterOf(id) !== 0)
      expect(new Set(ids.map(masterOf)).size).toBe(MASTERS)
      const hits = () => events.count('hit')
      const allHit = async (of: readonly number[]) => {
        const before = hits()
        await products.findMany(of)
        return hits() - before === of.length
      }
      await waitUntil('the cluster holds the rows', 10_000, () => allHit(ids))

      const victim = cluster.masters[0] as RedisServer
      if (how === 'freeze') onTestFinished(() => victim.thaw())
      await victim[how]()
      const names = () => new Set(events.of('breaker').map(({ shard }) => shard))
      const written = victims[0] as number
      let price = 1
      let slowestMs = 0
      let misses = 0
      let rounds = 0
      const stale: number[] = []
      let isBack = false
      const startedMs = performance.now()
      const reading = (async () => {
        for (; !isBack; rounds++) {
          // In one tick with its keys, and answered without it.
          const own = products.find(written)
          const least = price
          const before = hits()
          const shown = await products.findMany(others)
          if (hits() - before < others.length) misses++
          stale.push(...shown.filter((row) => row?.price !== 1).map((row) => row?.price ?? 0))
          const sentMs = performance.now()
          const ownPrice = (await own)?.price ?? 0
          if (ownPrice < least) stale.push(ownPrice)
          slowestMs = Math.max(slowestMs, performance.now() - sentMs)
          await pause(10)
        }
      })()
      // A write in the middle of it, whose fence does not arrive.
      await pause(300)
      expect((await products.update(written, { price: 2 }))?.fence).toBe('pending')
      price = 2
      await waitUntil('the shard is used again', 30_000, async () => {
        await pause(100)
        return performance.now() - startedMs > 2_000 && (await allHit(victims))
      })
      isBack = true
      await reading
      expect(stale).toEqual([])
      expect(rounds).toBeGreaterThan(20)
      expect(misses, 'reads of the others that were no hits').toBe(0)
      expect(slowestMs).toBeLessThan(3 * DEADLINE_MS)
      expect(
        [...names()].every((name) => name === `127.0.0.1:${victim.port}`),
        'only its breaker has opened',
      ).toBe(true)
      await waitUntil('its fence has arrived', 10_000, () => corral.stats().pendingFences === 0)
      expect((await products.update(written, { price: 3 }))?.fence).toBe('fenced')
      expect((await products.find(written))?.price).toBe(3)
      expect(corral.stats().breaker).toBe('closed')
    },
    60_000,
  )
})
