import { beforeAll, describe, expect, it } from 'vitest'
import { outboxTable, outboxTables } from '../../../src/migrations.js'
import { checkHistory, History } from '../../../src/testing.js'
import { readBounded, writeOutside } from '../../support/bounded-reads.js'
import { waitUntil } from '../../support/servers/wait.js'
import { openShopDatabase, ShopLab, type ShopProcess } from '../../support/shop-lab.js'
import { untilLeads } from './relay-lab.js'

/** `CORRAL_JOB_ROWS=100000` for the night itself. */
const ROWS = Number(process.env.CORRAL_JOB_ROWS ?? 20_000)
/** Of these every one is cached, and looked at afterwards. */
const CACHED = 500
/** And these are read all the time, by one who says how old they may be. */
const BOUNDED = 20
const BOUND_MS = 500

describe(`a job that changes ${ROWS.toLocaleString('en')} rows by SQL`, () => {
  let shop: ShopLab
  let ids: number[]

  beforeAll(async () => {
    shop = await ShopLab.open()
    const db = openShopDatabase(shop.databaseUrl, 1)
    await outboxTables().up(db)
    await shop.run(`insert into products (price) select 1 from generate_series(1, ${ROWS});
      create function reprice(factor int) returns void language plpgsql as '
        declare start int;
        begin
          for start in select generate_series(1, ${ROWS}, 4000) loop
            update products set price = price * factor where id between start and start + 3999;
          end loop;
        end'`)
    await outboxTable({ table: 'products', key: 'id', unique: ['slug', 'slug_key'] }).up(db)
    await db.destroy()
    ids = Array.from({ length: CACHED }, (_, at) => 1 + at * (ROWS / CACHED))
  }, 60_000)

  /** All are cached, with this price. */
  async function cache(reader: ShopProcess, price: number): Promise<void> {
    await waitUntil('all are cached', 20_000, async () => {
      reader.events.events.length = 0
      const rows = await reader.products.findMany(ids)
      return reader.events.count('hit') === ids.length && rows.every((row) => row?.price === price)
    })
  }

  /** How long after its end the job shows in all of them. */
  async function shownAfterMs(reader: ShopProcess, price: number): Promise<number> {
    const startedMs = performance.now()
    await waitUntil('all show it', 60_000, async () => {
      const rows = await reader.products.findMany(ids)
      return rows.every((row) => row?.price === price)
    })
    return performance.now() - startedMs
  }

  it.each([
    ['in one statement: one event, and everything is a miss', 'update products set price = price * 2', 2, 5_000],
    ['one by one, in one transaction: within a millisecond a row', 'select reprice(3)', 6, ROWS],
  ])(
    '%s',
    async (_, statement, price, limitMs) => {
      const relay = shop.start({ relay: true })
      await untilLeads(relay)
      const reader = shop.start()
      await cache(reader, price === 2 ? 1 : 2)
      const history = new History()
      const watched = ids.slice(-BOUNDED)
      const bounded = readBounded({ history, processes: { reader }, ids: watched, maxStaleMs: BOUND_MS })
      await writeOutside(shop, statement, watched, history)
      const shownMs = await shownAfterMs(reader, price)
      expect(shownMs).toBeLessThan(limitMs)
      // What a process without a memory finds in Redis is new, to the last row.
      const rows = await shop.start().products.findMany(ids)
      expect(rows.filter((row) => row?.price !== price)).toEqual([])
      const { lagMs = 0 } = relay.events.of('relay.batch').at(-1) ?? {}
      expect(lagMs).toBeLessThan(limitMs)
      await bounded.stop()
      const { counts, violations } = checkHistory(history)
      expect(counts.bound, JSON.stringify(violations.filter(({ check }) => check === 'bound'))).toBe(0)
      expect(history.reads.length).toBeGreaterThan(BOUNDED)
    },
    120_000,
  )
})
