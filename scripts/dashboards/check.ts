/**
 * `npm run dashboards:check [-- --pictures <folder>]`: plays the demonstration's traffic in two processes' worth of Corral, has a real Prometheus scrape them, holds
 * their metrics against what Postgres and Redis themselves have counted meanwhile, and runs every query of the dashboards in `ops/grafana`
 * and of the alerts in `ops/prometheus` against it.
 *
 * Exits with 1, and says which, if a metric and a count are more than 1 % apart; or if a query is not understood, finds nothing or nothing but
 * NaN, or reads a metric that does not exist. With `--pictures` leaves pictures of some of the queries as Prometheus draws them; needs a Chromium.
 */
import { parseArgs } from 'node:util'
import { runCommand } from '../../test/support/servers/command.js'
import { freePort } from '../../test/support/servers/free-port.js'
import { type PostgresStandby, startPostgres } from '../../test/support/servers/postgres.js'
import { startRedis } from '../../test/support/servers/redis.js'
import { disagreements } from './agreement.js'
import { COUNTING, ServerCounters } from './counts.js'
import { takePictures } from './pictures.js'
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

const { values } = parseArgs({ options: { pictures: { type: 'string' } } })
const tools = await findPrometheus()
await runCommand(tools.promtool, ['check', 'rules', RULES_FILE])
await runCommand(tools.promtool, ['test', 'rules', RULES_FILE.replace(/\.yml$/, '.test.yml')])
console.log('promtool: the rules are sound, and alerts go off when they should')

const [postgres, redis] = await Promise.all([
  startPostgres({ own: true, settings: COUNTING }),
  startRedis({ own: true }),
])
const ports = [await freePort(), await freePort(), await freePort()] as const
let standby: PostgresStandby | undefined
let prometheus: Prometheus | undefined
const shops: ShopProcess[] = []
const faults: string[] = []
/** Until all that has been counted so far is scraped. */
const untilScraped = () => new Promise((resolve) => setTimeout(resolve, 2_500))
try {
  const postgresUrl = await postgres.createDatabase('dashboards')
  await prepareShop(postgresUrl)
  const counters = await ServerCounters.start({ postgresUrl, redisPort: redis.port, namespace: 'shop' })
  const [one, other, third] = ports
  for (const port of [one, other]) shops.push(new ShopProcess({ postgresUrl, redisUrl: redis.url, port }))
  prometheus = await Prometheus.start(tools, ports)
  console.log('Playing the traffic ...')
  await Promise.all(shops.map((shop, process) => shop.play(process)))
  await untilScraped()
  faults.push(...(await disagreements(prometheus, await counters.read())))
  counters.stop()
  if (values.pictures !== undefined) await takePictures(prometheus.url, values.pictures)

  await Promise.all(shops.map((shop) => shop.meetEverything(redis)))
  standby = await postgres.makeStandby()
  const replicaUrl = postgresUrl.replace(`:${postgres.port}/`, `:${standby.port}/`)
  const relay = { source: 'slot', slot: { connection: { connectionString: postgresUrl } } } as const
  const bySlot = { namespace: 'shop-by-slot', relay, replicaUrl }
  const reader = new ShopProcess({ postgresUrl, redisUrl: redis.url, port: third, ...bySlot })
  shops.push(reader)
  await reader.visit()
  await untilScraped()

  const queries = [...panelQueries(), ...variableQueries(), ...alertQueries()]
  const names = await prometheus.metricNames()
  for (const query of queries) {
    const fault = await faultOf(prometheus, query, names)
    if (fault !== undefined) faults.push(`${query.place}: ${fault}\n    ${query.expression}`)
  }
  for (const fault of faults) console.error(fault)
  console.log(`${queries.length} queries and 3 counts, ${faults.length} at fault`)
  process.exitCode = faults.length === 0 ? 0 : 1
} finally {
  await Promise.all(shops.map((shop) => shop.close()))
  await prometheus?.stop()
  await standby?.stop()
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
