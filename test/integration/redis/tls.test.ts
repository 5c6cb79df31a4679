import { chmodSync, chownSync, statSync } from 'node:fs'
import { Redis } from 'ioredis'
import { Kysely, PostgresDialect } from 'kysely'
import pg from 'pg'
import { afterAll, describe, expect, it, onTestFinished } from 'vitest'
import { createCorral } from '../../../src/client.js'
import { Certificates } from '../../support/certificates.js'
import { Recorder } from '../../support/recorder.js'
import { freePort } from '../../support/servers/free-port.js'
import { startPostgres } from '../../support/servers/postgres.js'
import { startRedis } from '../../support/servers/redis.js'
import { waitUntil } from '../../support/servers/wait.js'
import { freshDatabase } from '../../support/services.js'
import { createProducts, openShopDatabase, type ShopDatabase } from '../../support/shop-lab.js'

/** Certificates of an authority that was made for this test, and of one that nobody trusts. */
describe('TLS', () => {
  const certificates = new Certificates()
  afterAll(() => certificates.remove())

  /** A row is read from the cache by one process after another has filled it, and both hear each other. */
  async function use(open: () => Redis, db: Kysely<ShopDatabase>, namespace: string): Promise<void> {
    const parts = [1, 2].map(() => {
      const [redis, events] = [open(), new Recorder()]
      redis.on('error', () => {})
      const cache = { deadlineMs: 5_000, fenceDeadlineMs: 5_000 }
      const corral = createCorral<ShopDatabase>({ db, redis, namespace, cache, onEvent: events.emit })
      onTestFinished(async () => {
        await corral.close()
        redis.disconnect()
      })
      return { events, products: corral.repository('products', { key: 'id', l1: false }) }
    })
    await waitUntil('both listen', 10_000, () => parts.every(({ events }) => events.count('bus.flush') > 0))
    const [first, second] = parts as [(typeof parts)[0], (typeof parts)[0]]
    const { row, fence } = await first.products.insert({ price: 1 })
    expect(fence).toBe('fenced')
    await first.products.find(row.id)
    await waitUntil('it is filled', 5_000, () => first.events.count('fill') > 0)
    expect((await second.products.find(row.id))?.price).toBe(1)
    expect(second.events.count('hit')).toBe(1)
    for (const { events } of parts) expect(events.of('cache.unavailable')).toEqual([])
  }

  it('to Redis, by the settings of the client that is handed in', async () => {
    const port = await freePort()
    const server = await startRedis({
      own: true,
      settings: { ...certificates.redisSettings(), 'tls-port': String(port) },
    })
    onTestFinished(() => server.stop())
    const options = { host: 'localhost', port, tls: { ca: certificates.ca } }
    const db = openShopDatabase(await freshDatabase('tls'), 4)
    await createProducts(db)
    onTestFinished(() => db.destroy())
    await use(() => new Redis(options), db, 'tls')
    // By a client that trusts another authority nothing is said, and reads are answered by the database.
    const wary = new Redis({ ...options, tls: { ca: certificates.stranger }, lazyConnect: true })
    wary.on('error', () => {})
    const events = new Recorder()
    const corral = createCorral<ShopDatabase>({ db, redis: wary, namespace: 'tls', onEvent: events.emit })
    onTestFinished(async () => {
      await corral.close()
      wary.disconnect()
    })
    expect((await corral.repository('products', { key: 'id' }).find(1))?.price).toBe(1)
    expect(events.count('hit')).toBe(0)
    expect(events.count('cache.unavailable')).toBeGreaterThan(0)
  })

  it('to Postgres, by the pool that is handed in', async () => {
    const server = await startPostgres({ own: true })
    onTestFinished(() => server.stop())
    const databaseUrl = await server.createDatabase('tls')
    const admin = new pg.Client({ connectionString: databaseUrl })
    await admin.connect()
    // Postgres wants its key for itself.
    chownSync(certificates.file('server.key'), statSync(`/proc/${server.pid}`).uid, 0)
    chmodSync(certificates.file('server.key'), 0o600)
    for (const [name, value] of Object.entries({
      ssl_cert_file: certificates.file('server.crt'),
      ssl_key_file: certificates.file('server.key'),
      ssl: 'on',
    })) {
      await admin.query(`alter system set ${name} = '${value}'`)
    }
    await admin.query('select pg_reload_conf()')
    await waitUntil('it speaks TLS', 5_000, async () => (await admin.query('show ssl')).rows[0].ssl === 'on')
    await admin.end()

    const pool = new pg.Pool({ connectionString: databaseUrl, max: 4, ssl: { ca: certificates.ca.toString() } })
    const db = new Kysely<ShopDatabase>({ dialect: new PostgresDialect({ pool }) })
    onTestFinished(() => db.destroy())
    await createProducts(db)
    const corral = createCorral<ShopDatabase>({ db, namespace: 'tls' })
    onTestFinished(() => corral.close())
    const products = corral.repository('products', { key: 'id' })
    const { row } = await products.insert({ price: 1 })
    expect((await products.find(row.id))?.price).toBe(1)
    const { rows } = await pool.query(
      'select bool_and(s.ssl) as all_by_tls from pg_stat_ssl s join pg_stat_activity a using (pid) where a.datname = current_database()',
    )
    expect(rows).toEqual([{ all_by_tls: true }])

    const wary = new pg.Pool({
      connectionString: databaseUrl,
      ssl: { ca: certificates.stranger.toString() },
    })
    onTestFinished(() => wary.end())
    await expect(wary.query('select 1')).rejects.toThrow(/certificate/)
  })
})
