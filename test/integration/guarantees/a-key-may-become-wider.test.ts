import { beforeAll, describe, expect, it } from 'vitest'
import { stampTable } from '../../../src/migrations.js'
import { openShopDatabase, ShopLab, type ShopProcess } from '../../support/shop-lab.js'

/** A process has looked at a table, and a deploy alters it: `id` from integer to bigint, `code` from three characters to ten. */
describe('a key may become wider under a process that knows the table', () => {
  const WIDE = 3_000_000_000
  let shop: ShopLab
  beforeAll(async () => {
    shop = await ShopLab.open()
    await shop.run('create table parts (id int, line int, code varchar(3) unique, price int, primary key (id))')
    await shop.run('create table seats (id int, line smallint, code text, price int, primary key (id, line))')
    const db = openShopDatabase(shop.databaseUrl, 1)
    // With tombstones, a trigger would have to be made anew for the altered key.
    for (const table of ['parts', 'seats']) {
      await stampTable({ table, key: table === 'parts' ? 'id' : ['id', 'line'], tombstones: false }).up(db as never)
    }
    await db.destroy()
  })

  const open = ({ corral }: ShopProcess) =>
    corral.repository('parts' as 'products', { key: 'id', unique: ['code' as 'slug'] })

  it('which finds, writes and fences the rows that were not possible before', async () => {
    const process = shop.start()
    const [parts, others] = [open(process), open(shop.start())]
    const seats = process.corral.repository('seats' as 'products', { key: ['id', 'line'] as never })
    expect(await parts.find(WIDE), 'nothing is wrong with asking').toBeUndefined()
    expect(await seats.find({ id: WIDE, line: 40_000 } as never)).toBeUndefined()
    expect(await parts.update(WIDE, { price: 1 })).toBeUndefined()
    expect(await parts.findBy({ code: 'teapot' } as never)).toBeUndefined()
    expect(await others.findBy({ code: 'teapot' } as never)).toBeUndefined()

    await shop.run('alter table parts alter id type bigint, alter code type varchar(10)')
    await shop.run('alter table seats alter id type bigint, alter line type int')
    const written = await parts.insert({ id: WIDE, code: 'teapot', price: 1 } as never)
    expect(written.fence).toBe('fenced')
    for (const each of [parts, others]) {
      expect(await each.findBy({ code: 'teapot' } as never)).toMatchObject({ code: 'teapot' })
      expect(await each.findMany([1, WIDE])).toMatchObject([undefined, { price: 1 }])
    }
    expect(await parts.update(WIDE, { price: 2 })).toMatchObject({ row: { price: 2 } })
    expect(await others.find(WIDE, { consistency: 'primary' })).toMatchObject({ price: 2 })
    await shop.run(`insert into seats values (${WIDE}, 40000, '', 5)`)
    expect(await seats.find({ id: WIDE, line: 40_000 } as never, { consistency: 'primary' })).toMatchObject({
      price: 5,
    })
    expect(await parts.delete(WIDE)).toMatchObject({ row: { price: 2 } })
    expect(await others.find(WIDE)).toBeUndefined()
  })
})
