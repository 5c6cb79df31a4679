/** https://cacheable.org: memory, Redis as secondary, CacheableSync over Redis to keep the memories in step. It has no refresh behind readers. */
import KeyvRedis from '@keyv/redis'
import { RedisMessageProvider } from '@qified/redis'
import { Cacheable, CacheableMemory } from 'cacheable'
import { Keyv } from 'keyv'

export const tiers = ['memory', 'both']

export async function open({ redisUrl, namespace, freshMs, tiers, load }) {
  // Not `nonBlocking`: its reads look into memory alone and would load what lies in Redis.
  const secondary = tiers === 'both' ? new Keyv({ store: new KeyvRedis(redisUrl), namespace }) : undefined
  secondary?.on('error', () => {})
  const provider = tiers === 'both' ? new RedisMessageProvider({ uri: redisUrl }) : undefined
  // node-redis ends the process over the error of a client that nobody listens to.
  for (const client of [provider?.pub, provider?.sub]) client?.on('error', () => {})
  const sync = provider && { qified: provider }
  const cache = new Cacheable({
    // Rows are not changed by their readers, so they need not be cloned.
    primary: new Keyv({ store: new CacheableMemory({ lruSize: 100_000, useClone: false }) }),
    namespace,
    ttl: freshMs,
    ...(secondary && { secondary }),
    ...(sync && { sync }),
  })
  cache.on('error', () => {})
  return {
    get: (id) => cache.getOrSet(String(id), () => load(id), { ttl: freshMs, throwErrors: true }),
    invalidate: (id) => cache.delete(String(id)),
    close: async () => {
      await secondary?.disconnect().catch(() => {})
      await cache.disconnect().catch(() => {})
    },
  }
}
