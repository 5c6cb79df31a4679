import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { type RedisServer, startRedis } from '../../support/servers/redis.js'
import { redisCommand } from '../../support/servers/redis-command.js'
import { waitUntil } from '../../support/servers/wait.js'
import { freshNamespace } from '../../support/services.js'
import { ShopLab } from '../../support/shop-lab.js'
import { TcpProxy } from '../../support/tcp-proxy.js'
import { BUS, startTier, startTierProcess, type Tier, type TierOptions } from '../../support/tier-lab.js'
import { pause, type Sight, staleReads, Watcher, Writer } from '../../support/tier-log.js'

const IDS = [1, 2, 3, 4, 5, 6]
/** What an L1 may still trust, what the bus needs to find a broken connection out, and a busy machine's delays. */
const LIMIT_MS = BUS.trustMs + 2 * BUS.heartbeatMs + 150
const FAULT_MS = 600
/** Of all writers together: rows have to stay as they are long enough to be held, on a busy machine too. */
const WRITE_PAUSE_MS = 20
const DIRECTIONS = ['up', 'down', 'both'] as const

let shop: ShopLab
let redis: RedisServer

beforeAll(async () => {
  shop = await ShopLab.open()
  await shop.run('insert into products (id) select generate_series(1, 6)')
  redis = await startRedis({ own: true })
})
afterAll(() => redis.stop())

/** Processes of one namespace over the private Redis. */
class TierFleet {
  readonly options: TierOptions
  readonly #tiers = new Map<string, Tier>()

  constructor(more: Partial<TierOptions> = {}) {
    this.options = { namespace: freshNamespace(), databaseUrl: shop.databaseUrl, redisUrl: redis.url, ...more }
  }

  start(name: string, more: Partial<TierOptions> = {}): Tier {
    const tier = startTier({ ...this.options, ...more })
    this.#tiers.set(name, tier)
    return tier
  }

  /** A process whose bus goes through the proxy, or its cache as well. */
  async startThroughProxy(name: string, what: 'bus' | 'everything'): Promise<TcpProxy> {
    const proxy = await TcpProxy.start({ port: redis.port })
    onTestFinished(() => proxy.close())
    const url = proxy.through(redis.url)
    this.start(name, what === 'bus' ? { busUrl: url } : { redisUrl: url })
    return proxy
  }

  /** Everybody reads and `writers` write, while `disturb` runs and until all has settled; answers with the log. */
  async observe(writers: readonly Tier[], disturb: () => Promise<void>) {
    const watchers = [...this.#tiers].map(([name, tier]) => new Watcher(name, tier.products, IDS))
    const share = IDS.length / writers.length
    const writing = writers.map(
      ({ products }, at) =>
        new Writer(products, IDS.slice(at * share, (at + 1) * share), WRITE_PAUSE_MS * writers.length),
    )
    await this.#untilL1Answers()
    await disturb()
    await this.#untilL1Answers()
    const acknowledged = () => writing.reduce((sum, writer) => sum + writer.acknowledged.length, 0)
    // However slow the machine: there must have been something to miss.
    await waitUntil('writes are acknowledged', 30_000, () => acknowledged() > 3)
    const written = (await Promise.all(writing.map((writer) => writer.stop()))).flat()
    await pause(LIMIT_MS)
    const sights = (await Promise.all(watchers.map((watcher) => watcher.stop()))).flat()
    await this.#expectCurrent()
    return { sights, written }
  }

  async #untilL1Answers(): Promise<void> {
    for (const tier of this.#tiers.values()) {
      const { length } = tier.events.events
      await waitUntil('L1 answers', 30_000, () => l1HitsSince(tier, length) > 20)
    }
  }

  async #expectCurrent(): Promise<void> {
    const rows = await shop.run('select corral_version from products order by id')
    for (const [name, { products }] of this.#tiers) {
      const shown = await products.findMany(IDS)
      expect(
        shown.map((row) => row?.corral_version),
        name,
      ).toEqual(rows.map((row) => row.corral_version))
    }
  }
}

/** Of the newest events alone: there are many, and it is asked over and over beside what makes them. */
function l1HitsSince({ events }: Tier, at: number): number {
  return events.events.slice(at).filter((event) => event.type === 'hit' && event.tier === 'l1').length
}

async function cut(proxies: readonly TcpProxy[]): Promise<void> {
  proxies.forEach((proxy, at) => void proxy.set({ blackHole: DIRECTIONS[at] }))
  await pause(FAULT_MS)
  for (const proxy of proxies) {
    proxy.heal()
    // Of a stream with a hole in it TCP would deliver nothing more.
    proxy.reset()
  }
}

/** Each wait in them has a limit of its own. */
const BUSY_MS = 180_000

describe('a near tier is never stale past its trust', { timeout: BUSY_MS }, () => {
  it('when the buses of readers are cut without a word: up, down and both', async () => {
    const fleet = new TierFleet()
    const writer = fleet.start('writer')
    const proxies = await Promise.all(DIRECTIONS.map((way) => fleet.startThroughProxy(`reader cut ${way}`, 'bus')))
    const { sights, written } = await fleet.observe([writer], () => cut(proxies))
    expect(staleReads(sights, written, LIMIT_MS)).toEqual([])
  })

  it('when writers are cut without a word: up, down and both', async () => {
    const fleet = new TierFleet()
    fleet.start('reader')
    const writers: Tier[] = []
    const proxies: TcpProxy[] = []
    for (const way of DIRECTIONS) {
      const proxy = await TcpProxy.start({ port: redis.port })
      onTestFinished(() => proxy.close())
      proxies.push(proxy)
      writers.push(fleet.start(`writer cut ${way}`, { redisUrl: proxy.through(redis.url) }))
    }
    const { sights, written } = await fleet.observe(writers, () => cut(proxies))
    expect(staleReads(sights, written, LIMIT_MS)).toEqual([])
  })

  it('when subscribers are killed, over and over', async () => {
    const fleet = new TierFleet()
    const [reader, writer] = [fleet.start('reader'), fleet.start('writer')]
    const { sights, written } = await fleet.observe([writer], async () => {
      for (let time = 0; time < 4; time++) {
        await redisCommand(redis.port, 'CLIENT', 'KILL', 'TYPE', 'pubsub')
        await pause(100)
      }
    })
    expect(reader.events.of('bus.flush').some(({ reason }) => reason === 'interrupted')).toBe(true)
    expect(staleReads(sights, written, LIMIT_MS)).toEqual([])
  })

  it('when Redis is killed and comes back empty, and when it stands still', async () => {
    const fleet = new TierFleet()
    fleet.start('reader')
    const writer = fleet.start('writer')
    const { sights, written } = await fleet.observe([writer], async () => {
      await redis.kill()
      await pause(200)
      await redis.restart()
      await pause(500)
      await redis.freeze()
      await pause(FAULT_MS)
      await redis.thaw()
    })
    expect(staleReads(sights, written, LIMIT_MS)).toEqual([])
  })
})

describe('a process that was stopped', () => {
  /** A child process that is stopped while another goes on, and goes on reading the moment it may. */
  async function stopped(whileStopped: (namespace: string) => Promise<void>) {
    const fleet = new TierFleet()
    const writer = fleet.start('writer')
    const { worker, pid } = await startTierProcess(fleet.options)
    await worker.ask('watch', 'stopped', IDS)
    await waitUntil('its L1 answers', 10_000, async () => (await worker.ask('l1Hits')) > 20)
    const { sights, written } = await fleet.observe([writer], async () => {
      process.kill(pid, 'SIGSTOP')
      await whileStopped(fleet.options.namespace)
      process.kill(pid, 'SIGCONT')
    })
    const before = await worker.ask('l1Hits')
    await waitUntil('its L1 answers again', 15_000, async () => (await worker.ask('l1Hits')) > before)
    const own: Sight[] = await worker.ask('stopWatching')
    return { sights: [...sights, ...own], own, written }
  }

  it('for seconds does not answer from what it held', async () => {
    const { sights, own, written } = await stopped(() => pause(2_000))
    const gapMs = Math.max(...own.slice(1).map(({ atMs }, at) => atMs - (own[at] as Sight).atMs))
    expect(gapMs, 'it was').toBeGreaterThan(1_500)
    expect(staleReads(sights, written, LIMIT_MS)).toEqual([])
  })

  it('not even in the moment it goes on, before it has read anything', async () => {
    const bus = { heartbeatMs: 200, trustMs: 1_000 }
    const fleet = new TierFleet({ bus })
    const writer = fleet.start('writer')
    const { worker, pid } = await startTierProcess(fleet.options)
    const holds = new Promise<void>((resolve) => {
      worker.onSaid = () => resolve()
    })
    const peeking = worker.ask('peekAfterStandingStill', 1, 2 * bus.trustMs)
    await Promise.race([holds, peeking])
    process.kill(pid, 'SIGSTOP')
    const written = await writer.products.update(1, { price: 1_000 })
    await pause(2 * bus.trustMs)
    process.kill(pid, 'SIGCONT')
    expect(written?.fence).toBe('fenced')
    expect(await peeking, 'nothing rather than the old row').toBeUndefined()
    expect((await worker.ask('find', 1)).price).toBe(1_000)
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
    const fleet = new TierFleet({ bus: { heartbeatMs: 50_000, trustMs: 600_000 }, l1: { maxAgeMs: 1_500 } })
    const writer = fleet.start('writer')
    const proxy = await fleet.startThroughProxy('reader', 'bus')
    const { sights, written } = await fleet.observe([writer], async () => {
      proxy.set({ blackHole: 'down' })
      await pause(LIMIT_MS + FAULT_MS)
      proxy.heal()
      proxy.reset()
    })
    expect(staleReads(sights, written, LIMIT_MS).length).toBeGreaterThan(10)
  })
})
