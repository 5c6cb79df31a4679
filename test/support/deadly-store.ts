import type { Redis } from 'ioredis'
import { RedisStore } from '../../src/adapters/redis/redis-store.js'
import { systemClock } from '../../src/core/clock.js'
import type { CacheStore } from '../../src/core/ports.js'

/** A store that kills this process by SIGKILL when its first fence is about to leave: after COMMIT, before anybody has heard of it. */
export function deadlyStore(client: Redis, namespace: string): CacheStore {
  const store = new RedisStore({ client, namespace, clock: systemClock })
  return new Proxy(store, {
    get(target, property) {
      if (property === 'fence') {
        return () => {
          process.kill(process.pid, 'SIGKILL')
          return new Promise(() => {})
        }
      }
      const value = Reflect.get(target, property, target)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}
