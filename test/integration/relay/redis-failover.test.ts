import { performance } from 'node:perf_hooks'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { checkHistory, History } from '../../../src/testing.js'
import { observed, readBounded, writeOutside } from '../../support/bounded-reads.js'
import { type RedisServer, startRedis } from '../../support/servers/redis.js'
import { redisCommand } from '../../support/servers/redis-command.js'
import { waitUntil } from '../../support/servers/wait.js'
import type { ShopLab, ShopProcess, ShopProcessOptions } from '../../support/shop-lab.js'
import { TcpProxy } from '../../support/tcp-proxy.js'
import { openRelayedShop, relayOf, SOURCES, untilLeads } from './relay-lab.js'

const ROWS = 40
const BOUND_MS = 1_000
const DEADLINE_MS = 500
/** Detection and replay: what may pass from the promotion until no old row is left. */
const LIMIT_MS = 2_000
/** What one bounded read may take on a busy machine, whatever becomes of the cache: its deadline, and a query. */
const READ_LIMIT_MS = DEADLINE_MS + 1_500

describe.each(SOURCES)('a replica of Redis that is made primary, with a relay that reads the %s,', (source) => {
  let shop: ShopLab
  let primary: RedisServer
  let replica: RedisServer
  /** Between the two servers. */
  let link: TcpProxy
  /** What the application calls its Redis. */
  let name: TcpProxy
  let ids: number[]
  /** A row that is written when the old primary is not told any more. */
  let late: number

  beforeAll(async () => {
    shop = await openRelayedShop(source)
    primary = await startRedis({ own: true })
    link = await TcpProxy.start({ port: primary.port })
    name = await TcpProxy.start({ port: primary.port })
    replica = await startRedis({ own: true, settings: { replicaof: `127.0.0.1 ${link.port}` } })
    await waitUntil('the replica follows', 10_000, async () =>
      (await redisCommand(replica.port, 'INFO', 'replication')).includes('master_link_status:up'),
    )
    const rows = await shop.run(`insert into products (price) select 1 from generate_series(0, ${ROWS}) returning id`)
    ;[late = 0, ...ids] = rows.map(({ id }) => Number(id))
  })

  afterAll(async () => {
    await Promise.all([link.close(), name.close()])
    await Promise.all([primary.stop(), replica.stop()])
  })

  const start = (options: ShopProcessOptions = {}) =>
    shop.start({
      redisUrl: name.through(primary.url),
      cache: { deadlineMs: DEADLINE_MS, fenceDeadlineMs: 5_000 },
      ...options,
    })

  async function untilProven(process: ShopProcess): Promise<void> {
    await waitUntil('the cache can prove what it holds', 10_000, async () => {
      process.events.events.length = 0
      const all = [late, ...ids]
      await Promise.all(all.map((id) => process.products.find(id, { consistency: { maxStaleMs: BOUND_MS } })))
      return process.events.count('hit') === all.length
    })
  }

  it('and lacks fences that were acknowledged gets them again, and bounded reads never noticed', async () => {
    const relay = start({ relay: relayOf(shop, source, { pollMs: 50 }) })
    await untilLeads(relay)
    const [writer, reader] = [start(), start()]
    /** Goes on talking to the old primary: nobody has told it. */
    const isolated = start({ redisUrl: primary.url, isMute: true })
    for (const process of [reader, isolated]) await untilProven(process)
    await waitUntil('the replica has it all', 5_000, async () => {
      const [of, at] = [
        await redisCommand(primary.port, 'INFO', 'replication'),
        await redisCommand(replica.port, 'INFO', 'replication'),
      ]
      return (
        /master_repl_offset:(\d+)/.exec(of)?.[1] === /master_repl_offset:(\d+)/.exec(at)?.[1] ||
        offsetOf(of) - offsetOf(at) < 200
      )
    })

    link.set({ blackHole: 'both' })
    const history = new History()
    const products = observed(writer, 'writer', history)
    const writes = await Promise.all(ids.map((id) => products.update(id, { price: 2 })))
    expect(new Set(writes.map((write) => write?.fence)), 'all were acknowledged').toEqual(new Set(['fenced']))
    await waitUntil(
      'the relay has fenced them, too',
      5_000,
      () => relay.events.of('relay.batch').reduce((sum, { changes }) => sum + changes, 0) >= ROWS,
    )

    const watching = readBounded({
      ...{ history, processes: { reader, isolated }, maxStaleMs: BOUND_MS },
      ids: ids.flatMap((id) => [late, id]),
    })
    expect(await redisCommand(replica.port, 'REPLICAOF', 'NO', 'ONE')).toBe('OK')
    const promotedMs = performance.now()
    const keys = ids.map((id) => `${shop.namespace}:{public.products/${id}}`)
    expect(await redisCommand(replica.port, 'EXISTS', ...keys), 'the fences are lost').toBe(String(ROWS))
    name.pointAt({ port: replica.port })
    name.reset()
    await writeOutside(shop, `update products set price = 2 where id = ${late}`, [late], history)
    // A process that knows nothing reads what is in the cache.
    const fresh = start({ isMute: true })
    let stale = Number.POSITIVE_INFINITY
    let lastStaleMs = promotedMs
    let worst = 0
    await waitUntil('there has been no old row for a while', 10_000, async () => {
      const rows = await Promise.all(ids.map((id) => fresh.products.find(id)))
      stale = rows.filter((row) => row?.price !== 2).length
      worst = Math.max(worst, stale)
      if (stale > 0) lastStaleMs = performance.now()
      return performance.now() - lastStaleMs > 1_000
    })
    expect(lastStaleMs - promotedMs).toBeLessThan(LIMIT_MS)
    expect(
      relay.events
        .of('relay.shard')
        .map(({ standing }) => standing)
        .slice(-2),
    ).toEqual(['replaying', 'current'])

    // And on: the old primary is still there, and shows what it had.
    for (let price = 3; price < 8; price++) {
      await Promise.all(ids.map((id) => products.update(id, { price })))
      await new Promise((resolve) => setTimeout(resolve, 300))
    }
    expect(await watching.stop(), 'reads that failed').toEqual({ failed: 0 })
    const { violations, staleness } = checkHistory(history)
    expect(violations.filter(({ check }) => check === 'bound')).toEqual([])
    expect(staleness.maxMs, 'the old primary has shown what was old, within the bound').toBeGreaterThan(0)
    for (const name of ['reader', 'isolated']) {
      const reads = history.reads.filter(({ process }) => process === name)
      // How many depends on the machine; none that is held up does.
      expect(reads.length, name).toBeGreaterThan(20)
      const longestMs = Math.max(...reads.map(({ startedMs, endedMs }) => endedMs - startedMs))
      expect(longestMs, `the longest read of ${name}`).toBeLessThan(READ_LIMIT_MS)
    }
    const hits = isolated.events.count('hit')
    expect((await isolated.products.find(ids[0] as number))?.price, 'bounded reads have shown it better').toBe(7)
    expect(isolated.events.count('hit')).toBe(hits)
    await untilProven(reader)
  })
})

function offsetOf(info: string): number {
  return Number(/(?:slave_repl_offset|master_repl_offset):(\d+)/.exec(info)?.[1] ?? 0)
}
