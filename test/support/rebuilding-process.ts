/**
 * A process that rebuilds what a namespace has cached of the shop's products, and tells its cursor after every page, one line each. It is
 * killed by whoever started it.
 *
 * Usage: node --import tsx test/support/rebuilding-process.ts <database URL> <Redis URL> <namespace> <rows a second>
 */
import { Redis } from 'ioredis'
import { createCorral } from '../../src/client.js'
import { openProducts, openShopDatabase } from './shop-lab.js'

const [databaseUrl = '', redisUrl = '', namespace = '', ratePerSecond = ''] = process.argv.slice(2)
const corral = createCorral({
  db: openShopDatabase(databaseUrl),
  redis: new Redis(redisUrl),
  namespace,
  cache: { deadlineMs: 5_000, fenceDeadlineMs: 5_000 },
})
openProducts(corral)
await corral.rebuild({
  mode: 'refill',
  ratePerSecond: Number(ratePerSecond),
  onProgress: ({ refilled, cursor }) => process.stdout.write(`${JSON.stringify({ refilled, cursor })}\n`),
})
process.exit()
