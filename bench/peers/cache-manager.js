/** https://cacheable.org/docs/cache-manager: `wrap` over a list of Keyv stores. It has no bus, so memory is not put before Redis. */
import KeyvRedis from '@keyv/redis'
import { createCache } from 'cache-manager'
import { CacheableMemory } from 'cacheable'
import { Keyv } from 'keyv'

export const tiers = ['memory', 'redis']

export async function open({ redisUrl, namespace, freshMs, refreshMs, tiers, load }) {
  const store =
    tiers === 'redis'
      ? new Keyv({ store: new KeyvRedis(redisUrl), namespace })
      : new Keyv({ store: new CacheableMemory({ lruSize: 100_000, useClone: false }) })
  store.on('error', () => {})
  // "Background Refresh".
  const refresh = refreshMs > 0 ? { refreshThreshold: refreshMs } : {}
  const cache = createCache({ stores: [store], ttl: freshMs, ...refresh })
  return {
    get: (id) => cache.wrap(String(id), () => load(id), { ttl: freshMs, ...refresh }),
    invalidate: (id) => cache.del(String(id)),
    close: () => cache.disconnect().catch(() => {}),
  }
}
