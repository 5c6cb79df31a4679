import { Cluster } from 'ioredis'
import { onTestFinished } from 'vitest'
import { RedisStore } from '../../src/adapters/redis/redis-store.js'
import { type Corral, createWithSeams } from '../../src/client.js'
import { type Chance, systemChance, systemClock } from '../../src/core/clock.js'
import { WIRE } from '../../src/core/wire.js'
import { keySlot } from '../../src/policy/slot-copies.js'
import { PausableStore } from './pausable-store.js'
import { Recorder } from './recorder.js'
import { waitUntil } from './servers/wait.js'
import { freshDatabase, freshNamespace, redisClusterNodes } from './services.js'
import { createProducts, openShopDatabase, type ShopDatabase } from './shop-lab.js'

export const COPIES = 6

export interface HotProcess {
  readonly corral: Corral<ShopDatabase>
  readonly products: ReturnType<typeof openProducts>
  readonly events: Recorder
  /** This process' own way to Redis, where it can be paused. */
  readonly cache: PausableStore
}

/** A shop on the real Redis Cluster, whose products have six copies, hot after one second in which they were read. Nothing is held in memory. */
export class HotShop {
  readonly databaseUrl: string
  readonly #namespace = freshNamespace()

  private constructor(databaseUrl: string) {
    this.databaseUrl = databaseUrl
  }

  static async open(): Promise<HotShop> {
    const url = await freshDatabase()
    const db = openShopDatabase(url, 1)
    await createProducts(db)
    await db.destroy()
    return new HotShop(url)
  }

  /** A process that keeps to this copy. */
  start(copy = 0): HotProcess {
    const db = openShopDatabase(this.databaseUrl, 4)
    const redis = openCluster()
    const events = new Recorder()
    const namespace = this.#namespace
    const cache = new PausableStore(new RedisStore({ client: redis, namespace, clock: systemClock }), systemClock)
    const corral = createWithSeams(
      {
        db,
        redis,
        namespace,
        onEvent: events.emit,
        // A machine that runs other tests as well must not look like a cache that does not answer.
        cache: { deadlineMs: 5_000, fenceDeadlineMs: 20_000 },
        hotKeys: { perSecond: 0, share: 0 },
      },
      { store: cache, chance: keepingTo(copy) },
    )
    onTestFinished(async () => {
      await corral.close()
      redis.disconnect()
      await db.destroy()
    })
    return { corral, products: openProducts(corral), events, cache }
  }

  /** One process for each copy, in order, for which this row is hot, and whose copy is made. */
  async spread(id: number): Promise<{ processes: HotProcess[]; entry: string; copies: string[] }> {
    const processes = Array.from({ length: COPIES }, (_, copy) => this.start(copy))
    await waitUntil('every process reads from its copy', 20_000, async () => {
      await Promise.all(processes.map(({ products }) => products.find(id)))
      return processes.every(({ events }) => events.of('hit').some(({ tier }) => tier === 'copy'))
    })
    const explained = await (processes[0] as HotProcess).products.explain(id)
    return { processes, entry: explained.key, copies: explained.copies.map(({ key }) => key) }
  }
}

/** A row that is hot everywhere, who may write it, and what lies of it where. */
export async function spreadProduct(shop: HotShop) {
  const writer = shop.start()
  const { row } = await writer.products.insert({ price: 1 })
  return { writer, id: row.id, eyes: new ClusterEyes(), ...(await shop.spread(row.id)) }
}

/** Looks into the cluster past Corral, as eviction and a person would. */
export class ClusterEyes {
  readonly #cluster = openCluster()

  constructor() {
    onTestFinished(() => this.#cluster.disconnect())
  }

  /** The stamps of what is stored under these keys; undefined: nothing. */
  async versions(keys: readonly string[]): Promise<(string | undefined)[]> {
    const held = await Promise.all(keys.map((key) => this.#cluster.getBuffer(key)))
    const { at, width } = WIRE.version
    return held.map((bytes) => bytes?.toString('latin1', at, at + width).replace(/^0+/, ''))
  }

  /** Which shard each key lies on. */
  async shardsOf(keys: readonly string[]): Promise<string[]> {
    // Slots are known once the cluster is connected.
    await this.#cluster.ping()
    return keys.map((key) => this.#cluster.slots[keySlot(key)]?.[0] ?? '')
  }

  async evict(...keys: readonly string[]): Promise<void> {
    await Promise.all(keys.map((key) => this.#cluster.unlink(key)))
  }
}

export function openProducts(corral: Corral<ShopDatabase>) {
  return corral.repository('products', { key: 'id', l1: false, hotKeys: { copies: COPIES } })
}

function openCluster(): Cluster {
  const cluster = new Cluster(redisClusterNodes())
  cluster.on('error', () => {})
  return cluster
}

/** One of the tokens a process draws is its own, and decides which copy it reads: so all of them speak for the same one. */
function keepingTo(copy: number): Chance {
  const token = () => {
    let drawn = systemChance.token()
    while (keySlot(drawn) % COPIES !== copy) drawn = systemChance.token()
    return drawn
  }
  return { number: systemChance.number, token }
}
