/** https://github.com/epicweb-dev/cachified: one store of one's own, here three methods over ioredis, or the README's lru-cache. */
import { cachified, totalTtl } from '@epic-web/cachified'
import { Redis } from 'ioredis'
import { LRUCache } from 'lru-cache'

export const tiers = ['memory', 'redis']

export async function open({ redisUrl, namespace, freshMs, refreshMs, tiers, deadlineMs, load }) {
  const redis =
    tiers === 'redis' ? new Redis(redisUrl, { commandTimeout: deadlineMs, maxRetriesPerRequest: 1 }) : undefined
  redis?.on('error', () => {})
  const cache = redis ? redisStore(redis) : memoryStore()
  // Stale-while-revalidate begins early, so that it ends when the entry does.
  const times = { ttl: freshMs - refreshMs, swr: refreshMs }
  return {
    get: (id) => cachified({ cache, key: `${namespace}:${id}`, ...times, getFreshValue: () => load(id) }),
    invalidate: (id) => cache.delete(`${namespace}:${id}`),
    close: async () => redis?.disconnect(),
  }
}

/** As in the README. */
function memoryStore() {
  const lru = new LRUCache({ max: 100_000 })
  return {
    set(key, value) {
      const ttl = totalTtl(value.metadata)
      lru.set(key, value, {
        ttl: ttl === Number.POSITIVE_INFINITY ? undefined : ttl,
        start: value.metadata.createdTime,
      })
    },
    get: (key) => lru.get(key),
    delete: (key) => lru.delete(key),
  }
}

/** What cachified-redis-adapter does over the other client. */
function redisStore(redis) {
  return {
    async get(key) {
      const text = await redis.get(key)
      return text === null ? null : JSON.parse(text)
    },
    async set(key, value) {
      await redis.set(key, JSON.stringify(value), 'PX', Math.max(1, Math.ceil(totalTtl(value.metadata))))
    },
    async delete(key) {
      await redis.del(key)
    },
  }
}
