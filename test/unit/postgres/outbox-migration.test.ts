import { describe, expect, it } from 'vitest'
import { isCorralError } from '../../../src/core/errors.js'
import { outboxTable, slotTable } from '../../../src/migrations.js'

const RIGHT = { table: 'products', key: 'id' }
type Wrong = readonly [option: string, options: unknown]
const WRONG: readonly Wrong[] = [
  ['table', { key: 'id' }],
  ['table', { ...RIGHT, table: 'sales.products' }],
  ['key', { table: 'products' }],
  ['key', { ...RIGHT, key: 7 }],
  ['key', { ...RIGHT, key: ['id', 7] }],
  ['version', { ...RIGHT, version: true }],
  ['unique', { ...RIGHT, unique: 'slug' }],
  ['unique', { ...RIGHT, unique: [[]] }],
  ['unique', { ...RIGHT, unique: ['slug', 7] }],
  ['columns', { ...RIGHT, columns: 'shop' }],
  ['columns', { ...RIGHT, columns: [['shop']] }],
  ['queryBy', { ...RIGHT, queryBy: ['shop'] }],
]

describe.each([
  ['outboxTable', outboxTable, { ...RIGHT, maxRows: 0.5 }],
  ['slotTable', slotTable, { ...RIGHT, maxRows: 5 }],
] as const)('the options of %s', (name, migrate, wrongMaxRows) => {
  it.each<Wrong>([
    ...WRONG,
    ['maxRows', wrongMaxRows],
    [`${name} options`, undefined],
    [`${name} options`, ['products']],
  ])('name what is wrong with %s: %j', (option, options) => {
    let error: unknown
    try {
      migrate(options as never)
    } catch (thrown) {
      error = thrown
    }
    expect(isCorralError(error, 'CONFIG_INVALID'), String(error)).toBe(true)
    expect(String(error)).toContain(`\`${option}\``)
  })
})
