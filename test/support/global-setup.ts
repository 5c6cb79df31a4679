import type { TestProject } from 'vitest/node'
import { startPostgres } from './servers/postgres.js'
import { startRedis } from './servers/redis.js'
import { startRedisCluster } from './servers/redis-cluster.js'
import './services.js'

/** Starts the servers that integration tests share, once for the whole run; vitest calls what it returns at the end. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const starts = await Promise.allSettled([startPostgres(), startRedis(), startRedisCluster()])
  const [postgres, redis, cluster] = starts
  const stop = async (): Promise<void> => {
    await Promise.all(starts.map((start) => (start.status === 'fulfilled' ? start.value.stop() : undefined)))
  }
  if (postgres.status === 'rejected' || redis.status === 'rejected' || cluster.status === 'rejected') {
    await stop()
    throw starts.find((start) => start.status === 'rejected')?.reason
  }
  project.provide('services', {
    postgresUrl: postgres.value.url,
    redisUrl: redis.value.url,
    redisClusterNodes: [...cluster.value.startNodes],
  })
  return stop
}
