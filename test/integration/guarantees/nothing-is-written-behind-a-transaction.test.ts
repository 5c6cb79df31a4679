import { sql } from 'kysely'
import { beforeAll, describe, expect, it } from 'vitest'
import type { CorralTransaction } from '../../../src/index.js'
import { type ShopDatabase, ShopLab, type ShopProcess, untilFilled } from '../../support/shop-lab.js'

type Tx = CorralTransaction<ShopDatabase>
type Write = (writer: ShopProcess, tx: Tx, id: number, price: number) => Promise<unknown>

/** The ways to write a price. */
const WRITES: readonly (readonly [string, Write])[] = [
  ['a repository', ({ products }, tx, id, price) => products.in(tx).update(id, { price })],
  ['Kysely', (_, tx, id, price) => tx.updateTable('products').set({ price }).where('id', '=', id).execute()],
  ['a savepoint', ({ products }, tx, id, price) => tx.savepoint((inner) => products.in(inner).update(id, { price }))],
]

async function cachedProducts(writer: ShopProcess, reader: ShopProcess, count: number): Promise<number[]> {
  const ids: number[] = []
  for (let at = 0; at < count; at++) {
    const { row } = await writer.products.insert({ price: 1 })
    await reader.products.find(row.id)
    ids.push(row.id)
  }
  await untilFilled(reader, count)
  return ids
}

async function pricesIn(database: ShopLab, ids: readonly number[]): Promise<number[]> {
  const rows = await database.run(`select id, price from products where id in (${ids.join()})`)
  return ids.map((id) => rows.find((row) => row.id === id)?.price as number)
}

async function cachedPrices({ products }: ShopProcess, ids: readonly number[]) {
  return (await products.findMany(ids)).map((row) => row?.price)
}

/**
 * Behind COMMIT or ROLLBACK a statement would be a transaction of its own, on a connection that is somebody else's next: it is refused. What was sent
 * before belongs to the transaction, awaited or not.
 */
describe.each(WRITES)('nothing is written behind a transaction by %s', (_, write) => {
  let shop: ShopLab
  beforeAll(async () => {
    shop = await ShopLab.open()
  })

  it('that was rolled back because one of several writes at once had failed', async () => {
    const [writer, reader] = [shop.start(), shop.start()]
    const ids = await cachedProducts(writer, reader, 6)
    let outcomes: Promise<PromiseSettledResult<unknown>[]> | undefined
    const failing = writer.corral.transaction(async (tx) => {
      const writes = [sql`select 1 / 0`.execute(tx), ...ids.map((id) => write(writer, tx, id, 2))]
      outcomes = Promise.allSettled(writes)
      await Promise.all(writes)
    })
    await expect(failing).rejects.toThrow('division by zero')
    expect((await outcomes)?.map(({ status }) => status)).toEqual(Array(7).fill('rejected'))
    expect(await pricesIn(shop, ids)).toEqual(Array(6).fill(1))
    expect(await cachedPrices(reader, ids)).toEqual(Array(6).fill(1))
  })

  it('that was rolled back while somebody went on with it', async () => {
    const [writer, reader] = [shop.start(), shop.start()]
    const [id] = (await cachedProducts(writer, reader, 1)) as [number]
    let goingOn: Promise<unknown> | undefined
    const failing = writer.corral.transaction(async (tx) => {
      const first = writer.products.in(tx).find(id)
      goingOn = Promise.allSettled([first.then(() => write(writer, tx, id, 2))])
      await first
      throw new Error('no')
    })
    await expect(failing).rejects.toThrow('no')
    await goingOn
    expect(await pricesIn(shop, [id])).toEqual([1])
  })

  it('that has committed without waiting for it: what it did not take along is refused, and of the rest the cache knows', async () => {
    const [writer, reader] = [shop.start(), shop.start()]
    const ids = await cachedProducts(writer, reader, 4)
    let outcomes: Promise<PromiseSettledResult<unknown>[]> | undefined
    const { fence } = await writer.corral.transaction(async (tx) => {
      outcomes = Promise.allSettled(ids.map((id) => write(writer, tx, id, 2)))
    })
    expect(fence).toBe('fenced')
    const written = (await outcomes)?.map(({ status }) => (status === 'fulfilled' ? 2 : 1))
    expect(await pricesIn(shop, ids)).toEqual(written)
    expect(await cachedPrices(reader, ids)).toEqual(written)
  })
})

it('a savepoint that fails behind the end of its transaction takes nothing back', async () => {
  const shop = await ShopLab.open()
  const [writer, reader] = [shop.start(), shop.start()]
  const [id] = (await cachedProducts(writer, reader, 1)) as [number]
  let outcome: Promise<unknown> | undefined
  await writer.corral.transaction(async (tx) => {
    await new Promise<void>((written) => {
      const failing = tx.savepoint(async (inner) => {
        await writer.products.in(inner).update(id, { price: 2 })
        written()
        await new Promise(setImmediate)
        throw new Error('too late')
      })
      outcome = Promise.allSettled([failing])
    })
  })
  await outcome
  expect(await pricesIn(shop, [id])).toEqual([2])
  expect(await cachedPrices(reader, [id])).toEqual([2])
})
