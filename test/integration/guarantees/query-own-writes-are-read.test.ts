import { beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { QueryLab, type QueryProcess } from '../../support/query-lab.js'

describe('own writes are read by queries', () => {
  let lab: QueryLab
  beforeAll(async () => {
    lab = await QueryLab.open()
  })
  beforeEach(() => lab.emptyCache())

  function priceOf(process: QueryProcess) {
    const price = process.corral.query('price', (db, p: { id: number }) =>
      db.selectFrom('products').select('price').where('id', '=', p.id),
    )
    return async (options: Parameters<typeof price>[1] = {}) => (await price({ id: 2 }, options))[0]?.price
  }

  it('in the process that wrote, while the cache cannot be told, and in all others once it can', async () => {
    const [writer, other] = [lab.start(), lab.start()]
    const [own, elsewhere] = [priceOf(writer), priceOf(other)]
    await elsewhere()
    await expect.poll(() => other.events.count('fill')).toBe(1)
    writer.store.breakAlways('fail', ['fence'])
    const written = await writer.products.update(2, { price: 101 })
    expect(written?.fence).toBe('pending')
    expect(await own(), 'here').toBe(101)
    expect(await elsewhere(), 'elsewhere, where nobody can know yet').not.toBe(101)
    writer.store.heal()
    await expect.poll(() => writer.corral.stats().pendingFences, { timeout: 10_000 }).toBe(0)
    expect(await elsewhere(), 'elsewhere, once the fence has arrived').toBe(101)
  })

  it('under a session in another process, even while the cache cannot be told', async () => {
    const [writer, other] = [lab.start(), lab.start()]
    const elsewhere = priceOf(other)
    await elsewhere()
    await expect.poll(() => other.events.count('fill')).toBe(1)
    writer.store.breakAlways('fail', ['fence'])
    const session = writer.corral.session()
    const { fence } = await writer.corral.transaction(
      (tx) => tx.updateTable('products').set({ price: 102 }).where('id', '=', 2).execute(),
      { session },
    )
    expect(fence).toBe('pending')
    const continued = other.corral.session(session.token)
    expect(await elsewhere(), 'without the session').not.toBe(102)
    expect(await elsewhere({ session: continued }), 'with it').toBe(102)
    writer.store.heal()
  })

  it('and a session that could tell the cache does not keep its holder from cached results', async () => {
    const process = lab.start()
    const price = priceOf(process)
    const session = process.corral.session()
    await process.products.update(2, { price: 103 }, { session })
    await price({ session })
    await expect.poll(() => process.events.count('fill')).toBe(1)
    const loads = process.events.count('load')
    expect(await price({ session })).toBe(103)
    expect(process.events.count('load')).toBe(loads)
  })

  it('inside a transaction, and nobody else sees them or gets them from the cache', async () => {
    const [writer, other] = [lab.start(), lab.start()]
    const [own, elsewhere] = [priceOf(writer), priceOf(other)]
    await elsewhere()
    const failing = writer.corral.transaction(async (tx) => {
      await tx.updateTable('products').set({ price: 999 }).where('id', '=', 2).execute()
      expect(await own({ tx }), 'in the transaction').toBe(999)
      expect(await own(), 'beside it').not.toBe(999)
      expect(await elsewhere()).not.toBe(999)
      throw new Error('no')
    })
    await expect(failing).rejects.toThrow('no')
    expect(await own()).not.toBe(999)
    expect(await elsewhere()).not.toBe(999)
    expect(writer.events.count('fence')).toBe(0)
  })
})
