/** https://github.com/kibertoad/layered-loader: memory, Redis with a timeout, and a notification pair between processes. */
import { Redis } from 'ioredis'
import { createNotificationPair, Loader, RedisCache } from 'layered-loader'

export const tiers = ['memory', 'redis', 'both']

const SILENT = { error: () => {} }

export async function open({ redisUrl, namespace, freshMs, refreshMs, tiers, deadlineMs, load, loadMany }) {
  const clients = []
  const client = () => {
    const made = new Redis(redisUrl, { maxRetriesPerRequest: 1 })
    made.on('error', () => {})
    clients.push(made)
    return made
  }
  // "Preemptive background refresh".
  const refresh = refreshMs > 0 ? { ttlLeftBeforeRefreshInMsecs: refreshMs } : {}
  const memory =
    tiers === 'redis' ? false : { cacheType: 'lru-object', ttlInMsecs: freshMs, maxItems: 100_000, ...refresh }
  const options = { json: true, prefix: namespace, ttlInMsecs: freshMs, timeoutInMsecs: deadlineMs, ...refresh }
  const pair =
    tiers === 'both'
      ? createNotificationPair({ channel: `${namespace}:changes`, publisherRedis: client(), consumerRedis: client() })
      : undefined
  const loader = new Loader({
    logger: SILENT,
    inMemoryCache: memory,
    ...(tiers !== 'memory' && { asyncCache: new RedisCache(client(), options) }),
    ...(pair && { notificationConsumer: pair.consumer, notificationPublisher: pair.publisher }),
    cacheKeyFromLoadParamsResolver: String,
    cacheKeyFromValueResolver: ({ id }) => String(id),
    dataSources: [{ name: 'database', get: (id) => load(Number(id)), getMany: (ids) => loadMany(ids.map(Number)) }],
  })
  await loader.init()
  return {
    get: (id) => loader.get(String(id)),
    getMany: (ids) => loader.getMany(ids.map(String)),
    invalidate: (id) => loader.invalidateCacheFor(String(id)),
    close: async () => {
      await loader.close().catch(() => {})
      for (const client of clients) client.disconnect()
    },
  }
}
