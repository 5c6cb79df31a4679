import { sql } from 'kysely'
import pg from 'pg'
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { ShopLab, type ShopProcess, untilFilled } from '../../support/shop-lab.js'

describe('a rolled-back write leaves nothing', () => {
  let shop: ShopLab
  beforeAll(async () => {
    shop = await ShopLab.open()
  })

  async function cachedProduct(writer: ShopProcess, reader: ShopProcess): Promise<number> {
    const { row } = await writer.products.insert({ price: 1 })
    await reader.products.find(row.id)
    await untilFilled(reader)
    return row.id
  }

  it('of a transaction that was rolled back: no fence, no floor, nothing to read', async () => {
    const [writer, reader] = [shop.start(), shop.start()]
    const id = await cachedProduct(writer, reader)
    writer.events.story()
    const failing = writer.corral.transaction(async (tx) => {
      await writer.products.in(tx).update(id, { price: 2 })
      expect((await writer.products.in(tx).find(id))?.price, 'its own view of it').toBe(2)
      expect((await writer.products.find(id))?.price, 'outside the transaction').toBe(1)
      expect((await reader.products.find(id))?.price, 'in another process').toBe(1)
      throw new Error('no')
    })
    await expect(failing).rejects.toThrow('no')
    expect(writer.events.count('fence')).toBe(0)
    reader.events.story()
    for (const { products } of [writer, reader]) expect((await products.find(id))?.price).toBe(1)
    expect(reader.events.story(), 'still cached').toMatchInlineSnapshot(`
      "
      1 hit l2 fresh
      "
    `)
    expect(writer.events.count('floor.reset')).toBe(0)
  })

  it('of a savepoint that was rolled back in a transaction that commits', async () => {
    const [writer, reader] = [shop.start(), shop.start()]
    const [undone, done] = [await cachedProduct(writer, reader), await cachedProduct(writer, reader)]
    writer.events.story()
    const { fence } = await writer.corral.transaction(async (tx) => {
      const inside = writer.products.in(tx)
      await inside.update(done, { price: 2 })
      const failing = tx.savepoint(async (inner) => {
        await writer.products.in(inner).update(undone, { price: 2 })
        await writer.products.in(inner).update(done, { price: 3 })
        throw new Error('no')
      })
      await expect(failing).rejects.toThrow('no')
      expect((await inside.find(done))?.price).toBe(2)
    })
    expect(fence).toBe('fenced')
    expect(writer.events.of('fence'), 'of the one product that was changed').toMatchObject([{ keys: 1 }])
    reader.events.story()
    for (const { products } of [writer, reader]) {
      expect((await products.find(undone))?.price).toBe(1)
      expect((await products.find(done))?.price).toBe(2)
    }
    expect(reader.events.of('hit').length, 'the undone one is still cached').toBeGreaterThanOrEqual(1)
    expect(writer.events.count('floor.reset')).toBe(0)
  })

  it('but what a savepoint that was rolled back met under way leaves with the transaction', async () => {
    const [writer, reader] = [shop.start(), shop.start()]
    const [undone, done] = [await cachedProduct(writer, reader), await cachedProduct(writer, reader)]
    const locker = new pg.Client({ connectionString: shop.databaseUrl })
    await locker.connect()
    onTestFinished(() => locker.end())
    await locker.query(`begin; select from products where id = ${done} for update`)
    const { fence } = await writer.corral.transaction(async (tx) => {
      const updating = writer.products.in(tx).update(done, { price: 2 })
      const waiting = `select from pg_locks where not granted and pid in (select pid from pg_stat_activity where datname = current_database())`
      await expect.poll(async () => (await shop.run(waiting)).length, { timeout: 5_000 }).toBe(1)
      const failing = tx.savepoint(async (inner) => {
        await writer.products.in(inner).update(undone, { price: 2 })
        throw new Error('no')
      })
      await locker.query('commit')
      await expect(failing).rejects.toThrow('no')
      await updating
    })
    expect(fence).toBe('fenced')
    for (const { products } of [writer, reader]) {
      expect((await products.find(undone))?.price).toBe(1)
      expect((await products.find(done))?.price).toBe(2)
    }
  })

  it('while a savepoint that was released leaves with the transaction, not before', async () => {
    const [writer, reader] = [shop.start(), shop.start()]
    const id = await cachedProduct(writer, reader)
    writer.events.story()
    await writer.corral.transaction(async (tx) => {
      await tx.savepoint(async (inner) => writer.products.in(inner).update(id, { price: 2 }))
      expect((await reader.products.find(id))?.price).toBe(1)
      expect(writer.events.count('fence')).toBe(0)
    })
    expect((await reader.products.find(id))?.price).toBe(2)
  })

  it('of a statement that failed: the cache is not touched', async () => {
    const writer = shop.start()
    const { row } = await writer.products.insert({ slug: 'taken', price: 1 })
    const other = await writer.products.insert({ price: 1 })
    writer.events.story()
    await expect(writer.products.update(other.row.id, { slug: 'taken' })).rejects.toMatchObject({ code: '23505' })
    await expect(writer.products.insert({ slug: 'taken' })).rejects.toMatchObject({ code: '23505' })
    expect(writer.events.count('fence')).toBe(0)
    expect((await writer.products.findBy({ slug: 'taken' }))?.id).toBe(row.id)
  })

  it('of a COMMIT that the server refused', async () => {
    await shop.run(`create table parts (product int references products deferrable initially deferred)`)
    const [writer, reader] = [shop.start(), shop.start()]
    const id = await cachedProduct(writer, reader)
    writer.events.story()
    const failing = writer.corral.transaction(async (tx) => {
      await writer.products.in(tx).update(id, { price: 2 })
      await tx
        .insertInto('parts' as never)
        .values({ product: -1 } as never)
        .execute()
    })
    await expect(failing).rejects.toMatchObject({ code: '23503' })
    expect(writer.events.count('fence'), 'the server has said no, so nothing is unknown').toBe(0)
    for (const { products } of [writer, reader]) expect((await products.find(id))?.price).toBe(1)
  })

  describe('of a COMMIT that the server turned into a rollback, because a statement had failed and nobody minded', () => {
    type Tx = Parameters<Parameters<ShopProcess['corral']['transaction']>[0]>[0]
    const FAILING: Record<string, (writer: ShopProcess, tx: Tx, id: number) => Promise<unknown>> = {
      'through the repository': (writer, tx, id) => writer.products.in(tx).update(id, { slug: 'occupied' }),
      'made with the transaction': (_, tx, id) =>
        tx.updateTable('products').set({ slug: 'occupied' }).where('id', '=', id).execute(),
      'in raw SQL': (_, tx) => sql`select 1 / 0`.execute(tx),
      'in a savepoint that nobody rolled back': async (_, tx) => {
        await sql`savepoint mine`.execute(tx)
        await sql`select 1 / 0`.execute(tx)
      },
    }

    it.each(Object.entries(FAILING))('%s', async (_, fail) => {
      const [writer, reader] = [shop.start(), shop.start()]
      await shop.run(`insert into products (slug) values ('occupied') on conflict do nothing`)
      const id = await cachedProduct(writer, reader)
      writer.events.story()
      const session = writer.corral.session()
      const before = session.token
      const swallowing = writer.corral.transaction(
        async (tx) => {
          await writer.products.in(tx).update(id, { price: 2 })
          await fail(writer, tx, id).catch(() => {})
          return 'done'
        },
        { session },
      )
      await expect(swallowing).rejects.toMatchObject({ code: 'SOURCE_FAILED', cause: { severity: 'ERROR' } })
      expect(writer.events.count('fence'), 'nothing is said of what never was').toBe(0)
      expect(session.token).toBe(before)
      for (const { products } of [writer, reader]) expect((await products.find(id))?.price).toBe(1)
      expect(writer.events.count('floor.reset')).toBe(0)
    })

    it.each<[string, (writer: ShopProcess, tx: Tx, id: number) => Promise<unknown>]>([
      [
        'a savepoint was rolled back to',
        (writer, tx) => tx.savepoint((inner) => writer.products.in(inner).insert({ slug: 'occupied' })),
      ],
      [
        'a savepoint was rolled back to by hand',
        async (_, tx) => {
          await sql`savepoint mine`.execute(tx)
          await sql`select 1 / 0`.execute(tx).catch(() => {})
          await sql`rollback to savepoint mine`.execute(tx)
        },
      ],
      [
        'the statement never reached the server',
        (_, tx) => tx.insertInto('products').values({ details: circular() }).execute(),
      ],
      [
        'it was refused here',
        (writer, tx, id) => writer.products.in(tx).update(id, { price: 3 }, { expectVersion: '1' }),
      ],
    ])('but not where %s', async (_, fail) => {
      const [writer, reader] = [shop.start(), shop.start()]
      await shop.run(`insert into products (slug) values ('occupied') on conflict do nothing`)
      const id = await cachedProduct(writer, reader)
      const { value, fence } = await writer.corral.transaction(async (tx) => {
        await writer.products.in(tx).update(id, { price: 2 })
        await fail(writer, tx, id).catch(() => {})
        return 'done'
      })
      expect([value, fence]).toEqual(['done', 'fenced'])
      for (const { products } of [writer, reader]) expect((await products.find(id))?.price).toBe(2)
    })
  })
})

function circular(): object {
  const loop: { self?: object } = {}
  loop.self = loop
  return loop
}
