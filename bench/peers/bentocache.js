/**
 * https://bentocache.dev: two tiers and a bus ("Multi-tier"). Memory alone goes without serialization ("serialize option"); behind a bus that ends
 * the process in 1.6.1, when the first message for a row it holds comes in.
 */
import { BentoCache, bentostore } from 'bentocache'
import { memoryDriver } from 'bentocache/drivers/memory'
import { redisBusDriver, redisDriver } from 'bentocache/drivers/redis'
import { Redis } from 'ioredis'

export const tiers = ['memory', 'redis', 'both']

export async function open({ redisUrl, namespace, freshMs, refreshMs, tiers, deadlineMs, load }) {
  const clients = []
  const client = (options) => {
    const made = new Redis(redisUrl, options)
    made.on('error', () => {})
    clients.push(made)
    return made
  }
  let store = bentostore()
  if (tiers !== 'redis') store = store.useL1Layer(memoryDriver({ maxItems: 100_000, serialize: tiers === 'both' }))
  // Without a deadline for commands an unreachable Redis holds reads for seconds; the breaker then spares the rest the wait.
  const deadline = { commandTimeout: deadlineMs, maxRetriesPerRequest: 1 }
  if (tiers !== 'memory') store = store.useL2Layer(redisDriver({ connection: client(deadline) }))
  if (tiers === 'both') store = store.useBus(redisBusDriver({ connection: client() }))
  const cache = new BentoCache({
    default: 'products',
    stores: { products: store },
    prefix: namespace,
    // "Grace periods" with `timeout: 0` answer with the expired value and refresh behind it: begun early, so that both end together.
    ttl: freshMs - refreshMs,
    ...(refreshMs > 0 ? { grace: freshMs, timeout: 0 } : { grace: false, timeout: null }),
    l2CircuitBreakerDuration: '1s',
  })
  cache.on('error', () => {})
  return {
    get: (id) => cache.getOrSet({ key: String(id), factory: () => load(id) }),
    invalidate: (id) => cache.delete({ key: String(id) }),
    close: async () => {
      await cache.disconnectAll().catch(() => {})
      for (const client of clients) client.disconnect()
    },
  }
}
