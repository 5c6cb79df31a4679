/**
 * Audit and rebuild at full size, on servers of its own: 100,000 cached rows, 100 planted drifts that are found, repaired and then gone, and a
 * rebuild that is killed with SIGKILL half way and gone on with. Prints what it saw; exits with 1 if any of it is wrong.
 *
 * Usage: npm run audit:size [-- <rows>]
 */
import { Redis } from 'ioredis'
import { sql } from 'kysely'
import { createCorral } from '../src/client.js'
import { rebuildUntilKilled } from '../test/support/rebuild-until-killed.js'
import { startPostgres } from '../test/support/servers/postgres.js'
import { startRedis } from '../test/support/servers/redis.js'
import { createProducts, openProducts, openShopDatabase } from '../test/support/shop-lab.js'

const rows = Number(process.argv[2] ?? 100_000)
const DRIFTS = 100
const RATE = 1_000_000

const [postgres, redisServer] = await Promise.all([startPostgres({ own: true }), startRedis({ own: true })])
const db = openShopDatabase(postgres.url)
const redis = new Redis(redisServer.url)
const namespace = 'at-size'
let loads = 0
const corral = createCorral({
  ...{ db, redis, namespace },
  cache: { deadlineMs: 10_000, fenceDeadlineMs: 10_000 },
  // Nothing is to expire by itself, however slow the machine.
  ttl: { freshMs: 3_600_000 },
  onEvent: (event) => {
    if (event.type === 'load') loads += event.ids
  },
})
const products = openProducts(corral)
const expect = (what: string, wanted: unknown, found: unknown) => {
  const isRight = wanted === found
  if (!isRight) process.exitCode = 1
  console.log(`${isRight ? 'ok   ' : 'WRONG'} ${what}: ${found}${isRight ? '' : `, not ${wanted}`}`)
}

try {
  await createProducts(db)
  await sql`insert into products (slug, price) select 'p' || n, n from generate_series(1, ${sql.lit(rows)}) n`.execute(
    db,
  )
  const cached = await products.warm((from) => from.selectFrom('products').select('id'), {
    ratePerSecond: RATE,
    concurrency: 500,
  })
  expect('rows cached', rows, cached.filled)

  const clean = await corral.audit({ ratePerSecond: RATE })
  expect('drifts where there are none', 0, clean.drifted)
  console.log(`      ${clean.compared} copies compared in ${clean.durationMs} ms`)

  await sql`update products set price = price + 1 where id % ${sql.lit(rows / DRIFTS)} = 1`.execute(db)
  const found = await corral.audit({ ratePerSecond: RATE, repair: true })
  expect('planted drifts found', DRIFTS, found.drifted)
  expect('planted drifts repaired', DRIFTS, found.repaired)
  expect('drifts left', 0, (await corral.audit({ ratePerSecond: RATE })).drifted)
  console.log(`      ${found.compared} copies compared and ${found.repaired} dropped in ${found.durationMs} ms`)

  await products.warm((from) => from.selectFrom('products').select('id'), { ratePerSecond: RATE, concurrency: 500 })
  await sql`update products set price = price + 1`.execute(db)
  const killed = await rebuildUntilKilled({
    ...{ databaseUrl: postgres.url, redisUrl: redisServer.url, namespace },
    ratePerSecond: RATE,
    killAfter: rows / 2,
  })
  console.log(`      rebuild killed after ${killed.refilled} rows`)
  const before = loads
  const startedMs = performance.now()
  const rest = await corral.rebuild({ mode: 'refill', ratePerSecond: RATE, after: killed.cursor })
  const loaded = loads - before
  const tookMs = Math.round(performance.now() - startedMs)
  console.log(`      ${loaded} rows loaded by the second process in ${tookMs} ms`)
  expect('rows loaded twice', 0, Math.max(0, killed.refilled + loaded - rows))
  expect('rows the figures know of', killed.refilled + loaded, rest.refilled)
  const after = await corral.audit({ ratePerSecond: RATE })
  expect('copies after the rebuild', rows, after.compared)
  expect('drifts after the rebuild', 0, after.drifted)
} finally {
  await corral.close()
  redis.disconnect()
  await db.destroy()
  await Promise.all([postgres.stop(), redisServer.stop()])
}
