/**
 * https://github.com/mcollina/async-cache-dedupe: a defined function over Redis or memory. TTLs are whole seconds, and so is `stale`, by which an entry would be refreshed behind its readers: too coarse for entries that live for one or two.
 */
import { createCache } from 'async-cache-dedupe'
import { Redis } from 'ioredis'

export const tiers = ['memory', 'redis']

export async function open({ redisUrl, namespace, freshMs, tiers, deadlineMs, load }) {
  const client =
    tiers === 'redis' ? new Redis(redisUrl, { commandTimeout: deadlineMs, maxRetriesPerRequest: 1 }) : undefined
  client?.on('error', () => {})
  const name = `${namespace}-product`
  const cache = createCache({
    ttl: Math.max(1, Math.round(freshMs / 1_000)),
    storage: client ? { type: 'redis', options: { client } } : { type: 'memory', options: { size: 100_000 } },
    onError: () => {},
  })
  cache.define(name, (id) => load(id))
  return {
    get: (id) => cache[name](id),
    invalidate: (id) => cache.clear(name, id),
    close: async () => client?.disconnect(),
  }
}
