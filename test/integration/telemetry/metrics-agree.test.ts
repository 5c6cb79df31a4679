import { once } from 'node:events'
import { connect } from 'node:net'
import { createInterface } from 'node:readline'
import pg from 'pg'
import { expect, it } from 'vitest'
import { waitUntil } from '../../support/servers/wait.js'
import { redisUrl } from '../../support/services.js'
import { ShopLab } from '../../support/shop-lab.js'
import { TelemetryLab } from '../../support/telemetry-lab.js'

/** Counts what reaches Postgres, in the driver. */
function countStatements(): { readonly texts: string[]; stop(): void } {
  const query = pg.Client.prototype.query
  const texts: string[] = []
  pg.Client.prototype.query = function (this: pg.Client, ...args: unknown[]) {
    texts.push((args[0] as { text?: string }).text ?? String(args[0]))
    return (query as (...args: unknown[]) => unknown).apply(this, args)
  } as typeof query
  return {
    texts,
    stop: () => {
      pg.Client.prototype.query = query
    },
  }
}

/** Counts the keys that Redis is asked for, by what MONITOR shows. On a bare socket: it is no command with a reply. */
async function countReads(namespace: string): Promise<{ readonly keys: () => number; stop(): void }> {
  const { hostname, port } = new URL(redisUrl())
  const socket = connect(Number(port), hostname)
  await once(socket, 'connect')
  socket.write('MONITOR\r\n')
  await once(socket, 'data')
  let keys = 0
  createInterface({ input: socket }).on('line', (line) => {
    const [command = '', ...args] = [...line.matchAll(/"((?:[^"\\]|\\.)*)"/g)].map(([, word = '']) => word)
    if (/^m?get$/i.test(command)) keys += args.filter((key) => key.startsWith(`${namespace}:`)).length
  })
  return { keys: () => keys, stop: () => socket.destroy() }
}

const ROWS = 40

it('metrics agree with what Postgres, Redis and the callers have counted', async () => {
  const lab = await ShopLab.open()
  const sdk = TelemetryLab.open()
  await lab.run(`insert into products (slug) select 'p' || n from generate_series(1, ${ROWS}) n`)
  const near = { l1: { maxEntries: 100 } }
  const shops = [lab.start({ telemetry: sdk.options }), lab.start({ telemetry: sdk.options, ...near })]
  for (const { products } of shops) await products.find(ROWS + 1)
  await waitUntil('the absences are stored', 5_000, async () =>
    shops.every(({ events }) => events.count('fill') + events.count('hit') > 0),
  )
  const [requestsBefore, loadsBefore, rowsBefore, writesBefore] = await figures(sdk)
  const statements = countStatements()
  const redis = await countReads(lab.namespace)
  let reads = 0
  let writes = 0
  try {
    for (let round = 0; round < 30; round++) {
      await Promise.all(
        shops.map(async ({ products }, at) => {
          const ids = Array.from({ length: 10 }, (_, n) => ((round * 7 + n * 3 + at) % ROWS) + 1)
          await Promise.all(ids.map((id) => products.find(id)))
          await products.findMany(ids.slice(0, 5))
          reads += ids.length + 5
          if (round % 3 === at) {
            await products.update(ids[0] as number, { price: round })
            writes++
          }
        }),
      )
    }
    await waitUntil('fills have ended', 5_000, async () =>
      shops.every(({ corral }) => corral.stats().loads.running === 0),
    )
    // What MONITOR shows comes over a connection of its own, in order: this is the last of it.
    const last = redis.keys()
    await waitUntil('MONITOR has shown all', 2_000, async () => redis.keys() === last)
  } finally {
    statements.stop()
    redis.stop()
  }
  const [requests, loads, rows, written] = await figures(sdk)
  expect(requests - requestsBefore).toBe(reads)
  const selects = statements.texts.filter((text) => /^select\b.*"products"/is.test(text))
  expect(selects.length).toBeGreaterThan(5)
  expect(loads - loadsBefore).toBe(selects.length)
  expect(rows - rowsBefore).toBeGreaterThanOrEqual(loads - loadsBefore)
  expect(written - writesBefore).toBe(writes)
  expect(statements.texts.filter((text) => /update/i.test(text)).length).toBe(writes)
  // No two reads of one tick are of the same key, so Redis is asked for each that memory did not answer.
  const l1 = await sdk.sum('cache.requests', { 'cache.tier': 'l1' })
  expect(l1).toBeGreaterThan(0)
  const asked = reads - l1
  expect(Math.abs(redis.keys() - asked) / asked).toBeLessThan(0.01)
})

async function figures(sdk: TelemetryLab): Promise<[number, number, number, number]> {
  return [
    await sdk.sum('cache.requests'),
    await sdk.sum('cache.load.duration'),
    await sdk.sum('cache.load.rows'),
    await sdk.sum('cache.operation.duration', { 'cache.operation': 'update' }),
  ]
}
