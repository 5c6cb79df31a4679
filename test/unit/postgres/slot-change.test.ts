import { describe, expect, it } from 'vitest'
import { changesOf, type SlotTable } from '../../../src/adapters/postgres/slot-change.js'
import type { SlotChange, SlotRelation, Tuple } from '../../../src/adapters/postgres/slot-decoder.js'

const TABLE: SlotTable = {
  entity: 'public.products',
  key: ['id'],
  version: 'corral_version',
  unique: [['slug']],
  columns: ['shop'],
  types: new Map([
    ['id', 'int4'],
    ['slug', 'text'],
    ['shop', 'int4'],
  ]),
}

const ROW = { id: '1', slug: 'tea', shop: '5', price: '3', corral_version: '70' }

/** @param identity columns whose former values are told, @param columns all that are told of. */
function changes(
  change: object,
  identity: readonly string[] = Object.keys(ROW),
  table = TABLE,
  columns = Object.keys(ROW),
) {
  const relation = { keyColumns: identity, columns: columns.map((name) => ({ name })) } as unknown as SlotRelation
  return changesOf({ ...change, relation } as SlotChange, table, '900').map((each) =>
    each.kind === 'row'
      ? {
          ...{ id: each.id.join('|'), version: each.version, absent: each.absent },
          lookups: each.lookups.map(({ columns, value }) => `${columns}=${value}`),
          values: each.values.map(({ column, value }) => `${column}=${value}`),
        }
      : each.kind,
  )
}

const update = (row: Tuple, old?: Tuple) => ({ op: 'update', row, old })

describe('a change that the slot tells', () => {
  it('of a new row has all its lookups and values', () => {
    expect(changes({ op: 'insert', row: ROW })).toEqual([
      { id: '1', version: '70', absent: false, lookups: ['slug=tea'], values: ['shop=5'] },
    ])
  })

  it('of a row that is gone has the least stamp it may come back with; without the former row, none', () => {
    expect(changes({ op: 'delete', old: ROW })).toEqual([
      { id: '1', version: '71', absent: true, lookups: ['slug=tea'], values: ['shop=5'] },
    ])
    expect(changes({ op: 'delete', old: { id: '1', shop: '5' } }, ['id', 'shop'])).toEqual([
      { id: '1', version: null, absent: true, lookups: [], values: ['shop=5'] },
    ])
  })

  it('of a key that moves names both keys', () => {
    const moved = changes(update({ ...ROW, id: '2' }, ROW))
    expect(moved).toMatchObject([
      { id: '1', absent: true },
      { id: '2', absent: false },
    ])
    expect(changes(update({ ...ROW, id: '2' }, { id: '1', shop: '5' }), ['id', 'shop'])).toMatchObject([
      { id: '1', absent: true },
      { id: '2', absent: false },
    ])
  })

  it('names lookups that lead elsewhere, and values before and after', () => {
    expect(changes(update({ ...ROW, price: '9' }, ROW))).toMatchObject([{ lookups: [], values: ['shop=5'] }])
    expect(changes(update({ ...ROW, slug: 'mate', shop: '6' }, ROW))).toMatchObject([
      { lookups: ['slug=tea', 'slug=mate'], values: ['shop=6', 'shop=5'] },
    ])
    expect(changes(update({ ...ROW, slug: null, shop: null }, ROW))).toMatchObject([
      { lookups: ['slug=tea'], values: ['shop=null', 'shop=5'] },
    ])
  })

  it('takes what it was not told for changed, unless the identity would have told', () => {
    // The identity has not changed, or the former row would be there.
    expect(changes(update(ROW), ['id', 'shop'])).toMatchObject([{ lookups: ['slug=tea'], values: ['shop=5'] }])
    expect(changes(update(ROW), ['id', 'shop', 'slug'])).toMatchObject([{ lookups: [], values: ['shop=5'] }])
    expect(changes(update(ROW), ['id']), 'all queries of the table').toMatchObject([{ values: [] }])
    expect(changes(update(ROW), []), 'nobody knows which key it had').toEqual(['bulk'])
    expect(changes({ op: 'delete', old: {} }, [])).toEqual(['bulk'])
  })

  it('takes a value that lies apart and is not told again from the former row', () => {
    const { slug: _, ...untold } = ROW
    expect(changes(update(untold, ROW))).toMatchObject([{ lookups: [], values: ['shop=5'] }])
  })

  it('is one of the whole table where nobody can say by what key or value the row is looked up now', () => {
    const isSilentOf = (
      column: keyof typeof ROW,
      change: { op: string; row?: Tuple; old?: Tuple | undefined },
      table = TABLE,
    ) => {
      const without = (row: Tuple | undefined) =>
        row && Object.fromEntries(Object.entries(row).filter(([name]) => name !== column))
      const columns = Object.keys(ROW).filter((name) => name !== column)
      return changes({ ...change, row: without(change.row), old: without(change.old) }, columns, table, columns)
    }
    const both = { ...TABLE, unique: [['slug', 'shop']] }
    for (const change of [{ op: 'insert', row: ROW }, update(ROW), update(ROW, ROW)]) {
      expect(isSilentOf('slug', change)).toEqual(['bulk'])
      expect(isSilentOf('slug', change, both)).toEqual(['bulk'])
      expect(isSilentOf('id', change)).toEqual(['bulk'])
    }
    expect(isSilentOf('slug', { op: 'delete', old: ROW }), 'a pointer to it is found out').toMatchObject([
      { id: '1', absent: true, lookups: [] },
    ])
  })

  it('of a value that lies apart and the identity does not tell: unchanged by itself, unknown beside another', () => {
    const { slug: _, ...untold } = ROW
    expect(changes(update(untold), ['id'])).toMatchObject([{ lookups: [] }])
    expect(changes(update(untold), ['id'], { ...TABLE, unique: [['slug', 'shop']] })).toEqual(['bulk'])
  })

  it('spells booleans and padded characters as keys do', () => {
    const types = new Map([
      ['id', 'bpchar'],
      ['slug', 'bool'],
    ])
    const table = { ...TABLE, columns: [], types }
    const row = { id: 'ab  ', slug: 't', corral_version: '1' }
    expect(changes({ op: 'insert', row }, undefined, table)).toMatchObject([{ id: 'ab', lookups: ['slug=true'] }])
    const gone = { ...row, slug: 'f' }
    expect(changes({ op: 'delete', old: gone }, undefined, table)).toMatchObject([{ lookups: ['slug=false'] }])
  })

  it('of a whole table is one event', () => {
    expect([changes({ op: 'truncate' }), changes({ op: 'bulk' })]).toEqual([['truncate'], ['bulk']])
  })
})
