import { beforeAll, describe, expect, it } from 'vitest'
import { waitUntil } from '../../support/servers/wait.js'
import { freshNamespace, redisUrl } from '../../support/services.js'
import { ShopLab } from '../../support/shop-lab.js'
import { BUS, startTier, startTierProcess, type TierOptions } from '../../support/tier-lab.js'
import { pause, staleReads, Watcher, Writer } from '../../support/tier-log.js'

const IDS = [1, 2, 3, 4]
/** What an L1 may still trust, and a busy machine's delays. */
const L1_LIMIT_MS = BUS.trustMs + 2 * BUS.heartbeatMs + 150

describe('a published row is never older than acknowledged', () => {
  let shop: ShopLab
  beforeAll(async () => {
    shop = await ShopLab.open()
    await shop.run('insert into products (id) select generate_series(1, 9)')
  })

  function options(): TierOptions {
    const deadlines = { deadlineMs: 1_000, fenceDeadlineMs: 1_000 }
    return {
      namespace: freshNamespace(),
      databaseUrl: shop.databaseUrl,
      redisUrl: redisUrl(),
      onWrite: 'publish',
      cache: deadlines,
    }
  }

  it('it takes the place of what Redis and another process hold, and nobody asks anybody for it', async () => {
    // Nothing may be missed here, however busy the machine is.
    const shared = { ...options(), bus: { heartbeatMs: 200, trustMs: 20_000 }, l1: { maxAgeMs: 60_000 } }
    const { worker } = await startTierProcess(shared)
    await waitUntil('the other process listens', 10_000, async () => (await worker.ask('flushes')) === 1)
    const writer = startTier(shared)
    // Subscribed first, it hears the writer's first word, and need not empty its memory for fear of earlier ones.
    await waitUntil('the other process holds the row', 10_000, async () => {
      await worker.ask('find', 1)
      return (await worker.ask('held', 1)).price === 0
    })
    const { asked } = await worker.ask('held', 1)
    for (const price of [11, 12, 13]) {
      expect((await writer.products.update(1, { price }))?.fence).toBe('fenced')
      await waitUntil('it shows the new row', 10_000, async () => (await worker.ask('held', 1)).price === price)
    }
    expect((await worker.ask('held', 1)).asked, 'looks at Redis and the database').toBe(asked)
    expect(writer.events.of('fence').map(({ replaced }) => replaced)).toEqual([1, 1, 1])
    const { l2, database } = await writer.products.explain(1)
    expect(l2).toMatchObject({ state: 'held', version: database.version, drift: false })
  })

  it('while three processes write the same rows, from Redis at once and from memory within its trust', async () => {
    const shared = options()
    const { worker } = await startTierProcess(shared)
    const [one, two, bare] = [startTier(shared), startTier(shared), startTier({ ...shared, l1: { maxEntries: 0 } })]
    await worker.ask('watch', 'another process', IDS)
    const near = [one, two].map(({ products }, at) => new Watcher(`writer ${at + 1}`, products, IDS))
    const far = new Watcher('without memory', bare.products, IDS)
    const writers = [one, two, bare].map(({ products }) => new Writer(products, IDS))
    await pause(2_000)
    const written = (await Promise.all(writers.map((writer) => writer.stop()))).flat()
    await pause(L1_LIMIT_MS)
    const fromMemory = [
      ...(await Promise.all(near.map((watcher) => watcher.stop()))).flat(),
      ...(await worker.ask('stopWatching')),
    ]
    const fromRedis = await far.stop()

    const replaced = [one, two, bare].flatMap(({ events }) => events.of('fence')).filter((fence) => fence.replaced > 0)
    expect(replaced.length, 'rows published').toBeGreaterThan(5)
    expect(written.length, 'acknowledged').toBeGreaterThan(10)
    expect(staleReads(fromRedis, written, 0)).toEqual([])
    expect(staleReads(fromMemory, written, L1_LIMIT_MS)).toEqual([])
    const rows = await shop.run('select price from products where id <= 4 order by id')
    for (const [at, id] of IDS.entries()) expect((await worker.ask('find', id)).price).toBe(rows[at]?.price)
  })

  it('nor is a row that a trigger has changed once more behind the statement that wrote it', async () => {
    await shop.run(`
      create function raise_price() returns trigger language plpgsql as $$
      begin update products set price = price + 100 where id = new.id; return null; end $$;
      create trigger raise after update on products for each row when (new.id = 9 and pg_trigger_depth() = 0)
      execute function raise_price()`)
    const shared = options()
    const [writer, reader] = [startTier(shared), startTier({ ...shared, l1: { maxEntries: 0 } })]
    await reader.products.find(9)
    await waitUntil('it is cached', 10_000, async () => (await reader.products.explain(9)).l2.state === 'held')
    const written = await writer.products.update(9, { price: 1 })
    expect(written).toMatchObject({ fence: 'fenced', row: { price: 1 } })
    expect(writer.events.of('fence').at(-1)).toMatchObject({ replaced: 0 })
    expect((await reader.products.find(9))?.price).toBe(101)
  })
})
