import { Redis } from 'ioredis'
import type { RedisClient } from '../../../src/adapters/redis/connection.js'
import { RedisStore } from '../../../src/adapters/redis/redis-store.js'
import { systemClock } from '../../../src/core/clock.js'
import type { Story } from '../story.js'
import { keysIn } from './keys.js'
import { RealRedis } from './real-redis.js'
import { Walk } from './walk.js'

/** Random calls on a real Redis and on the simulator's, each run decided by its seed. */
export class RedisWalks {
  readonly #client: Redis
  readonly #namespace: string
  readonly #store: RedisStore

  private constructor(client: Redis, namespace: string) {
    this.#client = client
    this.#namespace = namespace
    this.#store = new RedisStore({ client: client as RedisClient, namespace, clock: systemClock })
  }

  /** @param namespace whose keys nobody else uses. */
  static async open(url: string, namespace = 'difference'): Promise<RedisWalks> {
    return new RedisWalks(new Redis(url), namespace)
  }

  async run(seed: number): Promise<Story> {
    const keys = keysIn(this.#namespace)
    const real = new RealRedis(this.#client, this.#namespace, [...keys.entries, keys.mark])
    await real.clear()
    return new Walk(seed, keys, real, this.#store, this.#namespace).run()
  }

  async close(): Promise<void> {
    await this.#store.close()
    this.#client.disconnect()
  }
}
