import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { type RedisServer, startRedis } from '../../support/servers/redis.js'
import { redisCommand } from '../../support/servers/redis-command.js'
import { waitUntil } from '../../support/servers/wait.js'
import { freshNamespace } from '../../support/services.js'
import { ShopLab } from '../../support/shop-lab.js'
import { TcpProxy } from '../../support/tcp-proxy.js'
import { BUS, startTier, startTierProcess, type TierOptions } from '../../support/tier-lab.js'
import { pause, type Sight, staleReads, Watcher, Writer } from '../../support/tier-log.js'

const IDS = [1, 2, 3, 4, 5]
/** What an L1 may still trust, what the bus needs to find a broken connection out, and a busy machine's delays. */
const LIMIT_MS = BUS.trustMs + 2 * BUS.heartbeatMs + 150
const FAULT_MS = 700
const SETTLE_MS = 500

let shop: ShopLab
let redis: RedisServer

beforeAll(async () => {
  shop = await ShopLab.open()
  await shop.run('insert into products (id) select generate_series(1, 5)')
  redis = await startRedis({ own: true })
})
afterAll(() => redis.stop())

/** Two readers and a writer, each with a bus connection of its own that can be cut. */
async function fleet(more: Partial<TierOptions> = {}) {
  const options = { namespace: freshNamespace(), databaseUrl: shop.databaseUrl, redisUrl: redis.url, ...more }
  const proxies = await Promise.all([1, 2, 3].map(() => TcpProxy.start({ port: redis.port })))
  onTestFinished(async () => void (await Promise.all(proxies.map((proxy) => proxy.close()))))
  const [first, second, third] = proxies as [TcpProxy, TcpProxy, TcpProxy]
  const tier = (proxy: TcpProxy) => startTier({ ...options, busUrl: proxy.through(redis.url) })
  return {
    options,
    reader: { tier: tier(first), proxy: first },
    other: { tier: tier(second), proxy: second },
    writer: { tier: tier(third), proxy: third },
  }
}

type Fleet = Awaited<ReturnType<typeof fleet>>

/** Reads and writes while `disturb` runs and until all has settled; answers with what was read and acknowledged. */
async function observe({ reader, other, writer }: Fleet, disturb: () => Promise<void>) {
  const watchers = [
    new Watcher('reader', reader.tier.products, IDS),
    new Watcher('other', other.tier.products, IDS),
    new Watcher('writer', writer.tier.products, IDS),
  ]
  const writing = new Writer(writer.tier.products, IDS)
  await waitUntil('L1 answers', 5_000, () => l1Hits(reader) > 20 && l1Hits(other) > 20)
  await disturb()
  await pause(SETTLE_MS)
  const before = l1Hits(reader)
  await waitUntil('L1 answers again', 5_000, () => l1Hits(reader) > before + 20)
  const written = await writing.stop()
  await pause(LIMIT_MS)
  const sights = (await Promise.all(watchers.map((watcher) => watcher.stop()))).flat()
  return { sights, written }
}

function l1Hits({ tier }: Fleet['reader']): number {
  return tier.events.of('hit').filter((hit) => hit.tier === 'l1').length
}

/** The version of each row now, as this process shows it and as the database has it. */
async function expectCurrent(...processes: Fleet['reader'][]): Promise<void> {
  const rows = await shop.run('select id, corral_version from products order by id')
  for (const { tier } of processes) {
    const shown = await tier.products.findMany(IDS)
    expect(shown.map((row) => row?.corral_version)).toEqual(rows.map((row) => row.corral_version))
  }
}

describe('a near tier is never stale past its trust', () => {
  it.each<['reader' | 'writer', 'up' | 'down' | 'both']>([
    ['reader', 'up'],
    ['reader', 'down'],
    ['reader', 'both'],
    ['writer', 'up'],
    ['writer', 'down'],
    ['writer', 'both'],
  ])('when the bus of a %s is cut %s without a word', async (who, blackHole) => {
    const processes = await fleet()
    const { sights, written } = await observe(processes, async () => {
      processes[who].proxy.set({ blackHole })
      await pause(FAULT_MS)
      processes[who].proxy.heal()
      processes[who].proxy.reset()
    })
    expect(written.length).toBeGreaterThan(20)
    expect(staleReads(sights, written, LIMIT_MS)).toEqual([])
    await expectCurrent(processes.reader, processes.other, processes.writer)
  })

  it('when one half-open connection of a writer is all that is wrong, and stays so', async () => {
    const processes = await fleet()
    const { sights, written } = await observe(processes, async () => {
      const { proxy } = processes.writer
      proxy.set({ blackHole: 'up' })
      await waitUntil('new connections were made', 5_000, () => proxy.connections > 2)
      // What was swallowed stays lost, and the old connections stay as they are: only the new ones work.
      proxy.heal()
    })
    expect(staleReads(sights, written, LIMIT_MS)).toEqual([])
    await expectCurrent(processes.reader, processes.other, processes.writer)
  })

  it('when subscribers are killed, over and over', async () => {
    const processes = await fleet()
    const { sights, written } = await observe(processes, async () => {
      for (let time = 0; time < 5; time++) {
        await redisCommand(redis.port, 'CLIENT', 'KILL', 'TYPE', 'pubsub')
        await pause(100)
      }
    })
    expect(processes.reader.tier.events.of('bus.flush').some(({ reason }) => reason === 'interrupted')).toBe(true)
    expect(staleReads(sights, written, LIMIT_MS)).toEqual([])
    await expectCurrent(processes.reader, processes.other, processes.writer)
  })

  it('when Redis is killed and comes back empty', async () => {
    const processes = await fleet()
    const { sights, written } = await observe(processes, async () => {
      await redis.kill()
      await pause(300)
      await redis.restart()
    })
    expect(staleReads(sights, written, LIMIT_MS)).toEqual([])
    await expectCurrent(processes.reader, processes.other, processes.writer)
  })

  it('when Redis stands still', async () => {
    const processes = await fleet()
    const { sights, written } = await observe(processes, async () => {
      await redis.freeze()
      await pause(FAULT_MS)
      await redis.thaw()
    })
    expect(staleReads(sights, written, LIMIT_MS)).toEqual([])
    await expectCurrent(processes.reader, processes.other, processes.writer)
  })
})

describe('a process that was stopped', () => {
  /** A child process that is stopped while the others go on, and goes on reading the moment it may. */
  async function stopped(whileStopped: (namespace: string) => Promise<void>) {
    const processes = await fleet()
    const { worker, pid } = await startTierProcess(processes.options)
    await worker.ask('watch', 'stopped', IDS)
    await waitUntil('its L1 answers', 10_000, async () => (await worker.ask('l1Hits')) > 20)
    const { sights, written } = await observe(processes, async () => {
      process.kill(pid, 'SIGSTOP')
      await whileStopped(processes.options.namespace)
      process.kill(pid, 'SIGCONT')
    })
    const before = await worker.ask('l1Hits')
    await waitUntil('its L1 answers again', 5_000, async () => (await worker.ask('l1Hits')) > before)
    const own: Sight[] = await worker.ask('stopWatching')
    return { sights: [...sights, ...own], own, written }
  }

  it('for seconds does not answer from what it held', async () => {
    const { sights, own, written } = await stopped(() => pause(2_500))
    const gapMs = Math.max(...own.slice(1).map(({ atMs }, at) => atMs - (own[at] as Sight).atMs))
    expect(gapMs, 'it was').toBeGreaterThan(2_000)
    expect(staleReads(sights, written, LIMIT_MS)).toEqual([])
  })

  it('nor when Redis has given it up meanwhile, with all that it had not read', async () => {
    await redisCommand(redis.port, 'CONFIG', 'SET', 'client-output-buffer-limit', 'pubsub 64kb 64kb 1')
    const clients = async () => (await redisCommand(redis.port, 'CLIENT', 'LIST', 'TYPE', 'pubsub')).split('\n').length
    const { sights, written } = await stopped(async (namespace) => {
      const before = await clients()
      // What the sockets on the way do not take piles up in Redis, until that is more than it allows.
      await waitUntil('Redis has closed its connection', 10_000, async () => {
        await redisCommand(redis.port, 'PUBLISH', `${namespace}:bus`, 'x'.repeat(500_000))
        return (await clients()) < before
      })
    })
    expect(staleReads(sights, written, LIMIT_MS)).toEqual([])
  })
})

describe('the log itself', () => {
  it('finds stale reads where nothing keeps an L1 from trusting what it has not heard', async () => {
    const processes = await fleet({ bus: { heartbeatMs: 50_000, trustMs: 600_000 }, l1: { maxAgeMs: 60_000 } })
    const { sights, written } = await observe(processes, async () => {
      processes.reader.proxy.set({ blackHole: 'down' })
      await pause(LIMIT_MS + FAULT_MS)
    })
    expect(staleReads(sights, written, LIMIT_MS).length).toBeGreaterThan(10)
  })
})
