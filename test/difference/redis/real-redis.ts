import type { Redis } from 'ioredis'
import { type CacheKey, guardKey } from '../../../src/core/key.js'

/**
 * Lets time pass for what the real server holds: it moves what is written down there closer, which to whoever asks is the same as the
 * clock's going on. KEYS: any; ARGV: by how many milliseconds.
 */
const PASS = `
for _, key in ipairs(KEYS) do
  local left = redis.call('PTTL', key)
  if left >= 0 and left <= tonumber(ARGV[1]) then
    redis.call('DEL', key)
  elseif left >= 0 then
    redis.call('PEXPIRE', key, left - ARGV[1])
    if redis.call('TYPE', key).ok == 'hash' then
      for _, field in ipairs({'le', 'ls', 'fe'}) do
        local at = redis.call('HGET', key, field)
        if at then redis.call('HSET', key, field, string.format('%013.0f', at - ARGV[1])) end
      end
    end
  end
end
`

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

  async pass(ms: number): Promise<void> {
    await this.#client.eval(PASS, this.#all.length, ...this.#all, ms)
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
