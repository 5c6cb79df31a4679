import pg from 'pg'
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { freshNamespace } from '../../support/services.js'
import { ShopLab, type ShopProcess } from '../../support/shop-lab.js'

/** The first read of each process has to be done within it, on a busy machine too. */
const HARD_MS = 1_000

/** Reads that ask the database, and then perhaps once more. */
const READS: Record<string, (process: ShopProcess, id: number) => Promise<unknown>> = {
  verified: ({ products }, id) => products.find(id, { consistency: 'verified' }),
  'by a unique column, verified': ({ products }, id) =>
    products.findBy({ slug: `s${id}` }, { consistency: 'verified' }),
}

describe('a read of several questions ends in time', () => {
  let shop: ShopLab
  beforeAll(async () => {
    shop = await ShopLab.open()
    await shop.run(`insert into products (id, slug, price) select n, 's' || n, 1 from generate_series(1, 9) n`)
  })

  it.each(Object.keys(READS))('%s', async (kind) => {
    const read = READS[kind] as (typeof READS)[string]
    const process = shop.start({ namespace: freshNamespace(), load: { hardTimeoutMs: HARD_MS } })
    await read(process, 1)
    const locker = new pg.Client({ connectionString: shop.databaseUrl })
    await locker.connect()
    onTestFinished(() => locker.end())
    await locker.query('begin; lock table products in access exclusive mode')
    const outcome = await Promise.race([
      read(process, 1).catch((error) => error.code),
      new Promise((resolve) => setTimeout(resolve, 10 * HARD_MS, 'still waiting')),
    ])
    expect(outcome).toBe('FILL_TIMEOUT')
    await locker.query('rollback')
  })
})
