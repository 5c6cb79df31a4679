import type { Redis } from 'ioredis'
import { type CacheKey, guardKey } from '../../../src/core/key.js'
import { passTime } from '../../support/redis-time.js'

/** The hand of fate over some keys of a real Redis. */
export class RealRedis {
  readonly #client: Redis
  readonly #all: readonly string[]

  constructor(client: Redis, namespace: string, keys: readonly CacheKey[]) {
    this.#client = client
    const locks = ['1', '2'].map((name) => `${namespace}:lock:${name}`)
    this.#all = [...keys, ...keys.map(guardKey), ...locks, `{${namespace}}:tick`]
  }

  async clear(): Promise<void> {
    await this.#client.del(...this.#all)
  }

  pass(ms: number): Promise<void> {
    return passTime(this.#client, this.#all, ms)
  }

  async evictEntry(key: CacheKey): Promise<void> {
    await this.#client.del(key)
  }

  async evictGuard(key: CacheKey): Promise<void> {
    await this.#client.del(guardKey(key))
  }

  async putList(key: CacheKey): Promise<void> {
    await this.#client.multi().del(key).rpush(key, 'something of another kind').exec()
  }
}
