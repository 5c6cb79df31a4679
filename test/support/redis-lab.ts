import { Cluster, Redis } from 'ioredis'
import { Cluster as OldestCluster, Redis as OldestRedis } from 'ioredis-oldest'
import { afterAll } from 'vitest'
import type { RedisClient } from '../../src/adapters/redis/connection.js'
import { RedisStore } from '../../src/adapters/redis/redis-store.js'
import { systemClock } from '../../src/core/clock.js'
import { type CacheKey, cacheKey, guardKey, keyPrefix } from '../../src/core/key.js'
import type { StoreUnderTest } from '../contract/store-lab.js'
import { passTime } from './redis-time.js'
import { freshNamespace, redisClusterNodes, redisUrl } from './services.js'

/** A store in the shared Redis, the client it was opened from, and keys nobody else uses. Closed after the file's tests. */
export interface RedisLab extends StoreUnderTest {
  readonly client: Client
  readonly store: RedisStore
}

type Client = Redis | Cluster | OldestRedis | OldestCluster

export function openStandalone(): RedisLab {
  return lab(new Redis(redisUrl()))
}

export function openCluster(): RedisLab {
  return lab(new Cluster(redisClusterNodes()))
}

/** Under the oldest ioredis that may be handed in, and with a prefix: which of a command's values are keys differs between versions. */
export function openOldestStandalone(): RedisLab {
  return lab(new OldestRedis(redisUrl(), { keyPrefix: 'oldest:' }))
}

export function openOldestCluster(): RedisLab {
  return lab(new OldestCluster(redisClusterNodes(), { keyPrefix: 'oldest:' }))
}

function lab(client: Client): RedisLab {
  const namespace = freshNamespace()
  const store = new RedisStore({ client: client as RedisClient, namespace, clock: systemClock })
  afterAll(async () => {
    await store.close()
    client.disconnect()
  })
  const keys: CacheKey[] = []
  return {
    client,
    store,
    newKey() {
      const key = cacheKey(keyPrefix(namespace, 'row', 'public.products'), [String(keys.length + 1)])
      keys.push(key)
      return key
    },
    async pass(ms) {
      await Promise.all(keys.map((key) => passTime(client, [key, guardKey(key)], ms)))
    },
    evictEntry: async (key: CacheKey) => void (await client.del(key)),
    evictGuard: async (key: CacheKey) => void (await client.del(guardKey(key))),
  }
}
