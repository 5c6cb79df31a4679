import type { TestProject } from 'vitest/node'
import { startPostgres } from './servers/postgres.js'
import { startRedis } from './servers/redis.js'
import { startRedisCluster } from './servers/redis-cluster.js'
import './services.js'

/**
 * Starts the servers that integration tests share, once for the whole run; vitest calls what it returns at the end.
 * When one cannot be started, the tests that need servers fail with the reason; all others run.
 */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const starts = await Promise.allSettled([startPostgres(), startRedis(), startRedisCluster()])
  const [postgres, redis, cluster] = starts
  if (postgres.status === 'fulfilled' && redis.status === 'fulfilled' && cluster.status === 'fulfilled') {
    project.provide('services', {
      postgresUrl: postgres.value.url,
      redisUrl: redis.value.url,
      redisClusterNodes: [...cluster.value.startNodes],
    })
  } else {
    const failures = starts.flatMap((start) => (start.status === 'rejected' ? [(start.reason as Error).message] : []))
    project.provide('services', { failure: [...new Set(failures)].join('\n') })
  }
  return async () => {
    await Promise.all(starts.map((start) => (start.status === 'fulfilled' ? start.value.stop() : undefined)))
  }
}
