import { describe, expect, it } from 'vitest'
import { ShopLab, type ShopProcess, type ShopProcessOptions } from '../support/shop-lab.js'

const ROWS = 1_000
const lab = await ShopLab.open()
await lab.run(`insert into products (slug, price) select 'p' || n, n from generate_series(1, ${ROWS}) n`)

const FAST = { ratePerSecond: 100_000 }
let namespaces = 0

function start(options: ShopProcessOptions = {}): ShopProcess {
  return lab.start({ namespace: `${lab.namespace}-${++namespaces}`, cache: { deadlineMs: 2_000 }, ...options })
}

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from + 1 }, (_, at) => from + at)
}

function loadedIds({ events }: ShopProcess): number {
  return events.of('load').reduce((sum, { ids }) => sum + ids, 0)
}

describe('rebuild', () => {
  it('refills what is cached from the database, without a moment in which it is not, and drops what has no row', async () => {
    const process = start()
    const { corral, products } = process
    await products.warm(range(1, 500), { ratePerSecond: 100_000, concurrency: 500 })
    await products.findBy({ slug: 'p1' })
    await products.find(900_000)
    await lab.run('update products set price = price + 1000 where id between 1 and 300')
    await lab.run('delete from products where id between 301 and 310')
    const before = loadedIds(process)
    const done = await corral.rebuild({ ...FAST, mode: 'refill' })
    expect(done).toMatchObject({ done: 502, refilled: 500, evicted: 2, skipped: 0 })
    expect(loadedIds(process) - before).toBe(500)
    expect((await products.find(1))?.price).toBe(1_001)
    expect(await products.find(301)).toBeUndefined()
    expect((await corral.audit({ ...FAST, recheckMs: 0 })).drifted).toBe(0)
    expect(loadedIds(process) - before, 'all of it was cached').toBe(500)
  })
})
