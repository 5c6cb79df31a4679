/**
 * `npm run example -- <name>`: starts servers of its own (or uses DATABASE_URL and REDIS_URL), sets one of the examples up in them and
 * serves it until Ctrl-C. `npm run example` lists them. PORT chooses the port.
 */
import { startPostgres } from '../test/support/servers/postgres.js'
import { startRedis } from '../test/support/servers/redis.js'
import { toldToEnd } from '../test/support/servers/told-to-end.js'
import { EXAMPLES, isExample } from './index.js'

const [name = ''] = process.argv.slice(2)
if (!isExample(name)) {
  console.error(`npm run example -- <name>, with one of: ${Object.keys(EXAMPLES).join(', ')}`)
  process.exit(1)
}
const [postgres, redis] = await Promise.all([startPostgres(), startRedis()])
const { start } = await EXAMPLES[name]()
const port = Number(process.env.PORT ?? 0)
const service = await start({ databaseUrl: postgres.url, redisUrl: redis.url, port })
console.log(`${name} is at ${service.url}; examples/${name}/README.md says what to ask it. Ctrl-C ends it.`)
console.log('In another shell:')
const variables = { URL: service.url, DATABASE_URL: postgres.url, REDIS_URL: redis.url }
for (const [variable, value] of Object.entries(variables)) console.log(`export ${variable}='${value}'`)
await toldToEnd()
await service.close()
await Promise.all([postgres.stop(), redis.stop()])
