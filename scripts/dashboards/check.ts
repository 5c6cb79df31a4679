/**
 * `npm run dashboards:check`: plays the demonstration's traffic in two processes' worth of Corral, has a real Prometheus scrape them, and
 * runs every query of the dashboards in `ops/grafana` and of the alerts in `ops/prometheus` against it.
 *
 * Exits with 1, and says which, if a query is not understood, finds nothing or nothing but NaN, or reads a metric that does not exist.
 */
import { runCommand } from '../../test/support/servers/command.js'
import { freePort } from '../../test/support/servers/free-port.js'
import { startPostgres } from '../../test/support/servers/postgres.js'
import { startRedis } from '../../test/support/servers/redis.js'
import { findPrometheus, Prometheus } from './prometheus.js'
import {
  alertQueries,
  groupingsIn,
  metricsIn,
  panelQueries,
  type Query,
  RULES_FILE,
  variableQueries,
} from './queries.js'
import { prepareShop, ShopProcess } from './shop-traffic.js'

const tools = await findPrometheus()
await runCommand(tools.promtool, ['check', 'rules', RULES_FILE])
await runCommand(tools.promtool, ['test', 'rules', RULES_FILE.replace(/\.yml$/, '.test.yml')])
console.log('promtool: the rules are sound, and alerts go off when they should')

const [postgres, redis] = await Promise.all([startPostgres({ own: true }), startRedis({ own: true })])
const ports = [await freePort(), await freePort()]
let prometheus: Prometheus | undefined
const shops: ShopProcess[] = []
try {
  const postgresUrl = await postgres.createDatabase('dashboards')
  await prepareShop(postgresUrl)
  for (const port of ports) shops.push(new ShopProcess({ postgresUrl, redisUrl: redis.url, port }))
  prometheus = await Prometheus.start(tools, ports)
  console.log('Playing the traffic ...')
  await Promise.all(shops.map((shop, process) => shop.play(process)))
  await Promise.all(shops.map((shop) => shop.meetEverything(redis)))
  // The last of it has to be scraped.
  await new Promise((resolve) => setTimeout(resolve, 2_500))

  const queries = [...panelQueries(), ...variableQueries(), ...alertQueries()]
  const names = await prometheus.metricNames()
  const faults: string[] = []
  for (const query of queries) {
    const fault = await faultOf(prometheus, query, names)
    if (fault !== undefined) faults.push(`${query.place}: ${fault}\n    ${query.expression}`)
  }
  for (const fault of faults) console.error(fault)
  console.log(`${queries.length} queries, ${faults.length} at fault`)
  process.exitCode = faults.length === 0 ? 0 : 1
} finally {
  await Promise.all(shops.map((shop) => shop.close()))
  await prometheus?.stop()
  await Promise.all([postgres.stop(), redis.stop()])
}

async function faultOf(server: Prometheus, query: Query, names: ReadonlySet<string>): Promise<string | undefined> {
  const missing = metricsIn(query).filter((name) => !names.has(name))
  if (missing.length > 0) return `there is no metric ${missing.join(', ')}`
  try {
    const samples = await server.query(query.expression)
    if (samples.length === 0) return 'finds nothing'
    const unknown = groupingsIn(query).filter((label) => samples.every(({ labels }) => labels[label] === undefined))
    if (unknown.length > 0) return `no series has a label ${unknown.join(', ')}`
    return samples.every(({ value }) => Number.isNaN(value)) ? 'finds nothing but NaN' : undefined
  } catch (error) {
    return (error as Error).message
  }
}
