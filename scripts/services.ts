/**
 * `npm run services`: a Postgres and a Redis for the time you work, on free ports, with everything they hold gone
 * afterwards. Prints their addresses as variables: with DATABASE_URL and REDIS_URL set, tests and benches use these
 * servers. Ctrl-C ends it.
 *
 * Usage: npm run services [-- --cluster]
 */
import { parseArgs } from 'node:util'
import { startPostgres } from '../test/support/servers/postgres.js'
import { startRedis } from '../test/support/servers/redis.js'
import { startRedisCluster } from '../test/support/servers/redis-cluster.js'
import { toldToEnd } from '../test/support/servers/told-to-end.js'

const { values } = parseArgs({ options: { cluster: { type: 'boolean', default: false } } })

const [postgres, redis, cluster] = await Promise.all([
  startPostgres({ own: true }),
  startRedis({ own: true }),
  values.cluster ? startRedisCluster({ replicas: 1 }) : undefined,
])

console.log(`export DATABASE_URL=${postgres.url}`)
console.log(`export REDIS_URL=${redis.url}`)
if (cluster !== undefined) {
  const nodes = cluster.startNodes.map(({ host, port }) => `${host}:${port}`)
  console.log(`export REDIS_CLUSTER_NODES=${nodes.join(',')}`)
}
console.error('Paste the lines above into another shell. Ctrl-C here ends the servers and removes their data.')

// Sockets of the servers do not keep this process alive, so something has to.
const stayAlive = setInterval(() => undefined, 60_000)
await toldToEnd()
clearInterval(stayAlive)
await Promise.all([postgres.stop(), redis.stop(), cluster?.stop()])
