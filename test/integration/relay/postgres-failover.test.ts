import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { machineMs } from '../../../src/core/clock.js'
import { checkHistory, History, type HistoryRecords } from '../../../src/testing.js'
import { observed, readBounded } from '../../support/bounded-reads.js'
import { type PostgresServer, type PostgresStandby, startPostgres } from '../../support/servers/postgres.js'
import { waitUntil } from '../../support/servers/wait.js'
import { freshNamespace } from '../../support/services.js'
import { createProducts, openShopDatabase, ShopLab, type ShopProcess } from '../../support/shop-lab.js'
import { TcpProxy } from '../../support/tcp-proxy.js'
import { relayOf, SOURCES, watchProducts } from './relay-lab.js'

const BOUND_MS = 250
/** How long after the promotion the relay finds its database again. Meanwhile nobody raises the epoch. */
const RELAY_LATE_MS = 3 * BOUND_MS

describe.each(SOURCES)(
  'a standby of Postgres that is promoted, and had not received the last commits, with a relay that reads the %s:',
  (source) => {
    let primary: PostgresServer
    let standby: PostgresStandby
    /** What the application calls its database. */
    let name: TcpProxy
    /** And what the relay calls it. */
    let relayName: TcpProxy
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
      relayName = await TcpProxy.start({ port: primary.port })
      shop = await ShopLab.open()
    }, 120_000)

    afterAll(async () => {
      await Promise.all([name?.close(), relayName?.close()])
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

    it('no copy of a lost version is shown once the epoch has been raised, nor ever to a bounded read beyond its bound', async () => {
      const namespace = freshNamespace()
      const options = { databaseUrl: name.through(databaseUrl), namespace, l1: {} }
      const ofRelay = { ...options, databaseUrl: relayName.through(databaseUrl) }
      const relay = shop.start({ ...ofRelay, relay: relayOf(ofRelay, source, { pollMs: 20, electionMs: 100 }) })
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
      const history = new History()
      const products = observed(writer, 'writer', history)
      await Promise.all(ids.map((id) => products.update(id, { price: 666 })))
      await waitUntil('the versions to be lost are cached', 10_000, async () => {
        reader.events.events.length = 0
        const rows = await reader.products.findMany(ids)
        return rows.every((row) => row?.price === 666) && reader.events.count('hit') === ids.length
      })
      await waitUntil('and the cache can prove them', 10_000, async () => {
        reader.events.events.length = 0
        await reader.products.findMany(ids, { consistency: { maxStaleMs: BOUND_MS } })
        return reader.events.count('hit') === ids.length
      })
      const bounded = readBounded({ history, processes: { writer, reader }, ids, maxStaleMs: BOUND_MS })
      await new Promise((resolve) => setTimeout(resolve, 200))
      await primary.kill()
      const promotion = { startedMs: machineMs(), endedMs: 0 }
      await standby.promote()
      promotion.endedMs = machineMs()
      const before = relay.events.of('epoch').length
      name.pointAt({ port: standby.port })
      name.reset()
      await new Promise((resolve) => setTimeout(resolve, RELAY_LATE_MS))
      relayName.pointAt({ port: standby.port })
      relayName.reset()
      const [row] = await ask(standby, `select count(*)::int as lost from products where price <> 666`)
      expect(row?.lost, 'the new primary has never heard of them').toBe(ids.length)

      await waitUntil('the epoch is raised', 15_000, () => relay.events.of('epoch').length > before)
      const raisedMs = performance.now()
      await waitUntil('everybody knows', 5_000, () => [writer, reader].every(({ events }) => events.count('epoch') > 0))
      expect(performance.now() - raisedMs).toBeLessThan(1_500)
      for (const process of [writer, reader, shop.start(options)]) {
        expect(await pricesOf(process, ids)).toEqual(new Set([1]))
      }
      await bounded.stop()
      const { counts, violations } = checkHistory(withWhatCameBack(history, promotion))
      expect(counts.bound, JSON.stringify(violations)).toBe(0)
      const shown = (since: number, upto: number) =>
        history.reads.filter(({ startedMs, endedMs }) => startedMs > since && endedMs < upto).length
      expect(shown(0, promotion.startedMs), 'reads before').toBeGreaterThan(ids.length)
      expect(shown(promotion.endedMs, Number.POSITIVE_INFINITY), 'reads after').toBeGreaterThan(ids.length)
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

/**
 * The records as the checker can judge them: it takes the higher stamp for the newer state, and the promotion has brought back lower
 * ones. From then on the rows that came back are a state of their own, newer than the one that was lost.
 */
function withWhatCameBack(
  { reads, writes, ...rest }: HistoryRecords,
  promotion: { readonly startedMs: number; readonly endedMs: number },
): HistoryRecords {
  const lost = new Map(writes.map(({ key, version }) => [key, version as string]))
  const cameBack = (key: string) => String(BigInt(lost.get(key) as string) + 1n)
  return {
    ...rest,
    writes: [
      ...writes,
      ...[...lost.keys()].map((key) => {
        return { ...promotion, process: 'standby', key, version: cameBack(key), outcome: 'outside' as const }
      }),
    ],
    reads: reads.map((read) => {
      const isOld = read.version !== lost.get(read.key)
      return isOld && read.endedMs > promotion.startedMs ? { ...read, version: cameBack(read.key) } : read
    }),
  }
}

async function pricesOf({ products }: ShopProcess, ids: readonly number[]): Promise<Set<number | undefined>> {
  return new Set((await products.findMany(ids)).map((row) => row?.price))
}
