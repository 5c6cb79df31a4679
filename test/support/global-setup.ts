import type { TestProject } from 'vitest/node'
import { startPostgres } from './servers/postgres.js'
import { startRedis } from './servers/redis.js'
import { startRedisCluster } from './servers/redis-cluster.js'
import './services.js'

/** Of this run: projects that follow one another use the same servers. */
interface Shared {
  readonly starting: ReturnType<typeof start>
  users: number
}

/** A project's setup is a module of its own, all of them in one process. */
const HELD = globalThis as { corralTestServers?: Shared }

/**
 * Starts the servers that tests on servers share, once for the whole run; vitest calls what it returns at the end.
 * When one cannot be started, the tests that need servers fail with the reason; all others run.
 */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  HELD.corralTestServers ??= { starting: start(), users: 0 }
  const shared = HELD.corralTestServers
  shared.users++
  const starts = await shared.starting
  const [postgres, redis, cluster] = starts
  if (postgres.status === 'fulfilled' && redis.status === 'fulfilled' && cluster.status === 'fulfilled') {
    project.provide('services', {
      postgresUrl: postgres.value.url,
      redisUrl: redis.value.url,
      redisClusterNodes: [...cluster.value.startNodes],
    })
  } else {
    const failures = starts.flatMap((each) => (each.status === 'rejected' ? [(each.reason as Error).message] : []))
    project.provide('services', { failure: [...new Set(failures)].join('\n') })
  }
  return async () => {
    if (--shared.users > 0) return
    delete HELD.corralTestServers
    await Promise.all(starts.map((each) => (each.status === 'fulfilled' ? each.value.stop() : undefined)))
  }
}

function start() {
  return Promise.allSettled([startPostgres(), startRedis(), startRedisCluster()])
}
