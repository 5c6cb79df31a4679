import { beforeAll, describe, expect, it } from 'vitest'
import { isCorralError } from '../../../src/index.js'
import { ShopLab, type ShopProcess, untilFilled } from '../../support/shop-lab.js'

/** Rows lie in the cache under the values of their key: by different columns, different rows have one place. */
describe('rows of another key are never shown', () => {
  let shop: ShopLab
  beforeAll(async () => {
    shop = await ShopLab.open()
    await shop.run(`create table codes (id int primary key, code text not null unique, corral_version bigint not null default 1);
      create table seats (hall int, seat int, primary key (hall, seat), corral_version bigint not null default 1,
        ours bigint not null default 1, rev bigint not null default 9);
      insert into codes values (1, '2'), (2, '1');
      insert into seats values (1, 2), (2, 1)`)
  })

  const open = (process: ShopProcess, table: string, key: string | readonly string[]) =>
    process.corral.repository(table as 'products', { key: key as 'id', version: false })

  it('by a service that knows them by another unique column', async () => {
    const [one, other] = [shop.start(), shop.start()]
    expect(await open(one, 'codes', 'id').find(1)).toMatchObject({ id: 1, code: '2' })
    await untilFilled(one)
    expect(await open(other, 'codes', 'code').find('1' as never)).toMatchObject({ id: 2, code: '1' })
  })

  it('nor by one that names the columns of the key in another order', async () => {
    const [one, other] = [shop.start(), shop.start()]
    const row = { hall: 2, seat: 1 } as never
    expect(await open(one, 'seats', ['hall', 'seat']).find({ hall: 1, seat: 2 } as never)).toMatchObject({ hall: 1 })
    await untilFilled(one)
    expect(await open(other, 'seats', ['seat', 'hall']).find(row)).toMatchObject(row)
  })

  it('and one instance refuses to know a table by two keys', async () => {
    const process = shop.start()
    await open(process, 'codes', 'id').find(1)
    const refusal = await open(process, 'codes', 'code')
      .find('1' as never)
      .catch((error) => error)
    expect(isCorralError(refusal, 'CONFIG_INVALID')).toBe(true)
    expect(refusal.message).toContain('`codes.key`: expected id, as in the other repository of public.codes')
    expect(refusal.message).toContain('found "code"')
    const byVersion = (version: string) =>
      process.corral.repository('seats' as 'products', { key: ['hall', 'seat'] as unknown as 'id', version } as never)
    await byVersion('ours').find({ hall: 1, seat: 2 } as never)
    const other = await byVersion('rev')
      .find({ hall: 1, seat: 2 } as never)
      .catch((error) => error)
    expect(other.message, 'fences by the one leave what the other calls newer').toContain(
      '`seats.version`: expected ours, as in the other repository of public.seats',
    )
    // Others of the same key may be opened, with other options.
    expect(await open(process, 'codes', 'id').find(2)).toMatchObject({ id: 2 })
  })
})
