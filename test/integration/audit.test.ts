import { describe, expect, it } from 'vitest'
import { type ProductsOptions, ShopLab, type ShopProcess, type ShopProcessOptions } from '../support/shop-lab.js'

const ROWS = 4_000
const lab = await ShopLab.open()
await lab.run(`insert into products (slug, price) select 'p' || n, n from generate_series(1, ${ROWS}) n`)

const FAST = { ratePerSecond: 200_000, recheckMs: 20 }

let namespaces = 0

/** A process in a namespace of its own, which has these rows cached. */
async function start(ids: readonly number[], options: ShopProcessOptions & ProductsOptions = {}): Promise<ShopProcess> {
  const process = lab.start({ namespace: `${lab.namespace}-${++namespaces}`, cache: { deadlineMs: 2_000 }, ...options })
  await process.products.warm(ids, { ratePerSecond: 200_000, concurrency: 500 })
  return process
}

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from + 1 }, (_, at) => from + at)
}

/** SQL that no trigger and no fence tells of. */
function silently(statement: string): Promise<unknown> {
  return lab.run(statement)
}

describe('audit', () => {
  it('finds planted drifts of every kind among many rows, repairs them, and then finds none', async () => {
    const ids = range(1, 2_000)
    const process = await start(ids)
    const { corral, products } = process
    const clean = await corral.audit(FAST)
    expect(clean).toMatchObject({ compared: 2_000, drifted: 0, transient: 0, unused: 0 })

    await products.findMany([900_001, 900_002])
    await silently(`update products set price = price + 1 where id between 1 and 60`)
    await silently(`delete from products where id between 61 and 90`)
    await silently(`insert into products (id, slug, price) values (900001, 'late', 1)`)
    const found = await corral.audit(FAST)
    expect(found).toMatchObject({ compared: 2_002, drifted: 91, repaired: 0 })
    expect(found.kinds).toEqual({ behind: 60, ahead: 0, gone: 30, hidden: 1, astray: 0, differs: 0 })
    expect(found.places).toEqual({ redis: 91, copy: 0, memory: 0 })
    expect(found.ages.upTo10s).toBe(91)
    expect(found.drifts).toHaveLength(91)

    const repaired = await corral.audit({ ...FAST, repair: true })
    expect(repaired).toMatchObject({ drifted: 91, repaired: 91 })
    expect((await corral.audit(FAST)).drifted).toBe(0)
    expect((await products.find(1))?.price).toBe(2)
    expect(await products.find(61)).toBeUndefined()
    expect((await products.find(900_001))?.slug).toBe('late')
  })
})
