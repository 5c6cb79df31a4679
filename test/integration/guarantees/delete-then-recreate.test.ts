import pg from 'pg'
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { ShopLab, type ShopProcess, untilFilled } from '../../support/shop-lab.js'

describe('delete, then re-create, on real servers', () => {
  let shop: ShopLab
  beforeAll(async () => {
    shop = await ShopLab.open()
  })

  it('shows each state as soon as it was fenced, in every process', async () => {
    const [writer, reader] = [shop.start(), shop.start()]
    const { row } = await writer.products.insert({ slug: 'phoenix', price: 1 })
    const everywhere = async () =>
      Promise.all(
        [writer, reader].flatMap(({ products }) => [products.find(row.id), products.findBy({ slug: 'phoenix' })]),
      )
    for (let price = 2; price < 8; price++) {
      expect((await everywhere()).map((each) => each?.price)).toEqual([price - 1, price - 1, price - 1, price - 1])
      expect((await writer.products.delete(row.id))?.fence).toBe('fenced')
      expect(await everywhere()).toEqual([undefined, undefined, undefined, undefined])
      const again = await writer.products.insert({ id: row.id, slug: 'phoenix', price })
      expect(BigInt(again.version as string)).toBeGreaterThan(BigInt(row.corral_version))
    }
  })

  it('leaves nothing of the old row where both are one transaction, and the stamps of the table begin anew with each row', async () => {
    await shop.run(`create table things (id int primary key, price int not null, revision int not null default 1);
      create function revise() returns trigger language plpgsql as 'begin new.revision := old.revision + 1; return new; end';
      create trigger revise before update on things for each row execute function revise();
      insert into things values (1, 1); update things set price = 1; update things set price = 1`)
    const open = ({ corral }: ShopProcess) =>
      corral.repository('things' as 'products', { key: 'id', version: 'revision' as 'corral_version' })
    const [writer, reader] = [shop.start(), shop.start()]
    await open(reader).find(1)
    await untilFilled(reader)
    const things = open(writer)
    const written = await writer.corral.transaction(async (tx) => {
      await things.in(tx).delete(1)
      await things.in(tx).insert({ id: 1, price: 2 })
    })
    expect(written.fence).toBe('fenced')
    // The first of them has heard nothing of it.
    for (const process of [shop.start(), reader, writer]) expect((await open(process).find(1))?.price).toBe(2)
  })

  it.each(['row', 'absence'])('leaves nothing of the %s that a paused fill brings late', async (late) => {
    const [writer, reader] = [shop.start(), shop.start()]
    const { row } = await writer.products.insert({ price: 1 })
    if (late === 'absence') await writer.products.delete(row.id)
    const fill = reader.cache.pause('before fill')
    await reader.products.find(row.id)
    await fill.reached
    if (late === 'row') await writer.products.delete(row.id)
    await writer.products.insert({ id: row.id, price: 2 })
    fill.resume()
    await untilFilled(reader)
    for (const { products } of [writer, reader]) expect((await products.find(row.id))?.price).toBe(2)
  })

  describe('of a row that an insert waits for, whose stamp is younger than the one which that has drawn', () => {
    /** Calls `insert` while somebody writes the row, who deletes it then. */
    async function meet<Result>(id: number, insert: () => Promise<Result>): Promise<Result> {
      const deleter = new pg.Client({ connectionString: shop.databaseUrl })
      await deleter.connect()
      onTestFinished(() => deleter.end())
      await deleter.query(`begin; update products set price = 8 where id = ${id}`)
      const inserting = insert()
      const waiting = `select from pg_locks where not granted and locktype = 'transactionid'`
      await expect.poll(async () => (await shop.run(waiting)).length, { timeout: 5_000 }).toBe(1)
      await deleter.query(
        `update products set price = 9 where id = ${id}; delete from products where id = ${id}; commit`,
      )
      return inserting
    }

    const stampOf = async (id: number) =>
      (await shop.run(`select corral_version::text as stamp from products where id = ${id}`))[0]?.stamp

    it.each(['insert', 'upsert'] as const)('%s says which stamp the row keeps', async (call) => {
      const { products } = shop.start()
      const { row } = await products.insert({ price: 1 })
      const again = await meet(row.id, () => products[call]({ id: row.id, price: 2 }))
      expect([again.row.price, again.version]).toEqual([2, await stampOf(row.id)])
      expect(again.row.corral_version).toBe(again.version)
      const next = await products.update(row.id, { price: 3 }, { expectVersion: again.version as string })
      expect(next?.row.price, 'so that it can be expected').toBe(3)
    })

    it('and gives the row with all that the database has made of that stamp', async () => {
      await shop.run('alter table products add column stamped text generated always as (corral_version::text) stored')
      onTestFinished(async () => void (await shop.run('alter table products drop column stamped')))
      const { products } = shop.start()
      const { row } = await products.insert({ price: 1 })
      const again = await meet(row.id, () => products.insert({ id: row.id, price: 2 }))
      expect(again.row).toMatchObject({ price: 2, corral_version: again.version, stamped: again.version })
      expect(Object.keys(again.row)).toEqual(Object.keys(row))
    })

    it('so it does in a transaction, and in a savepoint of it', async () => {
      const { corral, products } = shop.start()
      const { row } = await products.insert({ price: 1 })
      const { value } = await meet(row.id, () =>
        corral.transaction((tx) => tx.savepoint((inner) => products.in(inner).insert({ id: row.id, price: 2 }))),
      )
      expect([value.row.price, value.version]).toEqual([2, await stampOf(row.id)])
    })
  })

  it('caches the new row: its stamp is not below the fence of the delete', async () => {
    const [writer, reader] = [shop.start(), shop.start()]
    const { row } = await writer.products.insert({ price: 1 })
    await reader.products.find(row.id)
    await writer.products.delete(row.id)
    await writer.products.insert({ id: row.id, price: 2 })
    await reader.products.find(row.id)
    await untilFilled(reader, 2)
    expect(reader.events.of('fill').at(-1)).toMatchObject({ outcome: 'filled' })
  })
})
