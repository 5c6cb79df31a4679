import { beforeAll, expect, it, vi } from 'vitest'
import type { Assembly } from '../../src/assembly.js'
import { SourceError } from '../../src/core/errors.js'
import { insideOf } from '../../src/inside.js'
import { ShopLab } from '../support/shop-lab.js'

let shop: ShopLab
beforeAll(async () => {
  shop = await ShopLab.open()
})

/** A process, and how many have told it that they hold or read rows. */
function start() {
  const { corral, products } = shop.start({ l1: {} })
  const assembly = insideOf(corral)?.assembly as Assembly
  const register = vi.spyOn(assembly.table.invalidation, 'register')
  return { corral, products, assembly, holders: () => register.mock.calls.length }
}

it('a table that cannot be opened leaves nothing behind, however often it is tried', async () => {
  const { corral, holders } = start()
  const unfit = corral.repository('products', { key: 'id', version: false, hotKeys: { copies: 2 } })
  for (let attempt = 0; attempt < 3; attempt++) {
    await expect(unfit.find(1)).rejects.toThrow('hotKeys.copies')
  }
  expect(holders()).toBe(0)
})

it('and one that the database keeps from being opened is there once when it is', async () => {
  const healthy = start()
  await healthy.products.find(1)
  const troubled = start()
  vi.spyOn(troubled.assembly, 'opened').mockRejectedValueOnce(
    new SourceError('looking for the outbox', new Error('no')),
  )
  await expect(troubled.products.find(1)).rejects.toMatchObject({ code: 'SOURCE_FAILED' })
  await troubled.products.find(1)
  expect(troubled.holders()).toBe(healthy.holders())
})
