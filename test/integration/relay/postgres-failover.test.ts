import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type PostgresServer, type PostgresStandby, startPostgres } from '../../support/servers/postgres.js'
import { waitUntil } from '../../support/servers/wait.js'
import { freshNamespace } from '../../support/services.js'
import { createProducts, openShopDatabase, ShopLab, type ShopProcess } from '../../support/shop-lab.js'
import { TcpProxy } from '../../support/tcp-proxy.js'
import { relayOf, SOURCES, watchProducts } from './relay-lab.js'

describe.each(SOURCES)(
  'a standby of Postgres that is promoted, and had not received the last commits, with a relay that reads the %s:',
  (source) => {
    let primary: PostgresServer
    let standby: PostgresStandby
    /** What the application calls its database. */
    let name: TcpProxy
    let shop: ShopLab
    let databaseUrl: string

    beforeAll(async () => {
      primary = await startPostgres({ own: true, settings: { synchronous_commit: 'local', wal_level: 'logical' } })
      databaseUrl = await primary.createDatabase('shop')
      const db = openShopDatabase(databaseUrl, 1)
      await createProducts(db)
      await watchProducts(db, source)
      await db.destroy()
      standby = await primary.makeStandby()
      name = await TcpProxy.start({ port: primary.port })
      shop = await ShopLab.open()
    }, 120_000)

    afterAll(async () => {
      await name?.close()
      await standby?.stop()
      await primary?.stop()
    })

    async function ask(server: PostgresServer, statement: string): Promise<Record<string, unknown>[]> {
      const url = new URL(databaseUrl)
      url.port = String(server.port)
      const client = new pg.Client({ connectionString: url.href })
      client.on('error', () => {})
      await client.connect()
      try {
        return (await client.query(statement)).rows
      } finally {
        await client.end().catch(() => {})
      }
    }

    it('no copy of a lost version is shown once the epoch has been raised', async () => {
      const namespace = freshNamespace()
      const options = { databaseUrl: name.through(databaseUrl), namespace, l1: {} }
      const relay = shop.start({ ...options, relay: relayOf(options, source, { pollMs: 20, electionMs: 100 }) })
      const [writer, reader] = [shop.start(options), shop.start(options)]
      const ids = (
        await ask(primary, 'insert into products (price) select 1 from generate_series(1, 20) returning id')
      ).map(({ id }) => Number(id))
      await waitUntil('the relay leads', 10_000, () => relay.corral.stats().relay === 'leader')
      const [{ lsn } = {}] = await ask(primary, 'select pg_current_wal_lsn() as lsn')
      await waitUntil('the standby has it', 10_000, async () => {
        const [row] = await ask(standby, `select pg_last_wal_replay_lsn() >= '${lsn}' as has`)
        return row?.has === true
      })
      await ask(standby, `alter system set primary_conninfo = 'host=127.0.0.1 port=1'`)
      await ask(standby, 'select pg_reload_conf()')
      await waitUntil('nothing reaches the standby', 10_000, async () => {
        return (
          (
            await ask(
              primary,
              'select 1 from pg_stat_replication where pid not in (select active_pid from pg_replication_slots where active)',
            )
          ).length === 0
        )
      })

      // These commits are acknowledged, cached everywhere, and about to be lost.
      await Promise.all(ids.map((id) => writer.products.update(id, { price: 666 })))
      await waitUntil('the versions to be lost are cached', 10_000, async () => {
        reader.events.events.length = 0
        const rows = await reader.products.findMany(ids)
        return rows.every((row) => row?.price === 666) && reader.events.count('hit') === ids.length
      })
      await primary.kill()
      await standby.promote()
      const before = relay.events.of('epoch').length
      name.pointAt({ port: standby.port })
      name.reset()
      const [row] = await ask(standby, `select count(*)::int as lost from products where price <> 666`)
      expect(row?.lost, 'the new primary has never heard of them').toBe(ids.length)

      await waitUntil('the epoch is raised', 15_000, () => relay.events.of('epoch').length > before)
      const raisedMs = performance.now()
      await waitUntil('everybody knows', 5_000, () => [writer, reader].every(({ events }) => events.count('epoch') > 0))
      expect(performance.now() - raisedMs).toBeLessThan(1_500)
      for (const process of [writer, reader, shop.start(options)]) {
        expect(await pricesOf(process, ids)).toEqual(new Set([1]))
      }
      // And it goes on from here.
      await writer.products.update(ids[0] as number, { price: 7 })
      await waitUntil(
        'a new write is shown',
        5_000,
        async () => (await reader.products.find(ids[0] as number))?.price === 7,
      )
    }, 90_000)
  },
)

async function pricesOf({ products }: ShopProcess, ids: readonly number[]): Promise<Set<number | undefined>> {
  return new Set((await products.findMany(ids)).map((row) => row?.price))
}
