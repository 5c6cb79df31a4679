import { describe, expect, it } from 'vitest'
import { isCorralError } from '../../../src/core/errors.js'
import { type StampTableOptions, stampTable, stampTableSql } from '../../../src/migrations.js'

const functionNames = (options: StampTableOptions) =>
  stampTableSql(options).up.flatMap((statement) => {
    const [, found] = /^create or replace function "corral"\."((?:[^"]|"")*)"/.exec(statement) ?? []
    return found === undefined ? [] : [found.replaceAll('""', '"')]
  })

describe('the options of a stamp', () => {
  it.each([
    ['table', { table: '', key: 'id' }],
    ['table', { table: 'sales.products', key: 'id' }],
    ['schema', { table: 'products', schema: 'a.b', key: 'id' }],
    ['key', { table: 'products', key: [] }],
    ['key', { table: 'products', key: ['id', ''] }],
    ['key', { table: 'products' }],
    ['column', { table: 'products', key: 'id', column: 'a\0b' }],
    ['corralSchema', { table: 'products', key: 'id', corralSchema: '' }],
    ['key', { table: 'products', key: 7 }],
    ['column', { table: 'products', key: 'id', column: 'id' }],
    ['column', { table: 'products', key: ['shop', 'id'], column: 'id' }],
    ['colum', { table: 'products', key: 'id', colum: 'x' }],
    ['tombstones', { table: 'products', key: 'id', tombstones: 'no' }],
    ['stampTable options', undefined],
    ['stampTable options', 'products'],
  ])('name what is wrong with %s', (option, options) => {
    let error: unknown
    try {
      stampTable(options as StampTableOptions)
    } catch (thrown) {
      error = thrown
    }
    expect(isCorralError(error, 'CONFIG_INVALID')).toBe(true)
    expect(String(error)).toContain(`\`${option}\``)
  })

  it('leave out everything about tombstones when there are to be none', () => {
    const { up } = stampTableSql({ table: 'products', key: 'id', tombstones: false })
    expect(up.join('\n')).not.toMatch(
      /\.tombstones|corral\.restamp|create trigger zz_corral_(?:stamp_restamp|tombstone|rekey)/,
    )
  })
})

describe('the functions of a stamp', () => {
  it('have names of their own, for tables whose names differ only beyond what Postgres keeps of a name', () => {
    const long = 'ü'.repeat(31)
    const names = [`${long}a`, `${long}b`].flatMap((table) => functionNames({ table, key: 'id' }))
    expect(names).toHaveLength(6)
    expect(new Set(names).size).toBe(6)
    for (const name of names) expect(Buffer.byteLength(name)).toBeLessThanOrEqual(63)
  })

  it('take no snapshot where each write calls them: they are stable', () => {
    const { up } = stampTableSql({ table: 'products', key: 'id' })
    const calledByWrites = up.filter((statement) =>
      /^create or replace function "corral"\."products_(?:re)?stamp_/.test(statement),
    )
    expect(calledByWrites.map((statement) => /language plpgsql stable as/.test(statement))).toEqual([true, true])
  })

  it('have the same names every time, so that down finds what up made', () => {
    expect(functionNames({ table: 'products', key: 'id' })).toEqual(
      functionNames({ table: 'products', key: ['a', 'b'] }),
    )
    const [stamp] = functionNames({ table: 'products', key: 'id' })
    expect(stampTableSql({ table: 'products', key: 'id' }).down.join('\n')).toContain(
      `drop function if exists "corral"."${stamp}"()`,
    )
  })
})
