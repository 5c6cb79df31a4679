import { describe, expect, it } from 'vitest'
import { type MarkedTable, type MarkedWrite, TableMarks } from '../../../src/engine/table-marks.js'

const PLAIN: MarkedTable = { roots: ['public.reviews'], bases: [], rewrites: false, cascades: [] }
const PRODUCT = { column: 'product_id', type: { name: 'integer' }, generated: false }
const AUTHOR = { column: 'author', type: { name: 'text' }, generated: false }

function marksOf(columns = [PRODUCT], marked: Partial<MarkedTable> = {}): TableMarks {
  return new TableMarks({ namespace: 'shop', marked: { ...PLAIN, ...marked }, columns })
}

/** The marks a write changes; `?` behind one that is left alone where the same columns are declared. */
function changesOf(marks: TableMarks, write: Partial<MarkedWrite>): string[] {
  const row: Record<string, string> = { product_id: '5', author: 'ann' }
  const full: MarkedWrite = { kind: 'insert', touched: undefined, valueIn: ({ column }) => row[column], ...write }
  return marks.ofWrite(full).map(({ key, unless }) => {
    expect(unless === undefined || unless === marks.declared).toBe(true)
    return key.replace(/^shop:\{(.*)\}$/, '$1') + (unless === undefined ? '' : '?')
  })
}

const TABLE = 'public.reviews#table'
const VALUES = 'public.reviews#values'
const FIVE = 'public.reviews#product_id=5'

describe('the marks a write changes', () => {
  it.each<[string, Partial<MarkedWrite>, string[]]>([
    ['an insert', { kind: 'insert' }, [TABLE, FIVE, `${VALUES}?`]],
    ['a delete', { kind: 'delete' }, [TABLE, FIVE, `${VALUES}?`]],
    ['an update of another column', { kind: 'update', touched: ['stars'] }, [TABLE, FIVE, `${VALUES}?`]],
    ['an update of the column', { kind: 'update', touched: ['product_id'] }, [TABLE, FIVE, VALUES]],
    ['an update of who knows what', { kind: 'update', touched: undefined }, [TABLE, FIVE, VALUES]],
    ['an insert that may have replaced a row', { kind: 'replace' }, [TABLE, FIVE, VALUES]],
    ['a row without the value', { kind: 'insert', valueIn: () => undefined }, [TABLE, `${VALUES}?`]],
  ])('%s', (_, write, expected) => {
    expect(changesOf(marksOf(), write)).toEqual(expected)
  })

  it('an unknown write changes both marks of the table for sure', () => {
    expect(marksOf().ofUnknownWrite()).toMatchObject([{ key: `shop:{${TABLE}}` }, { key: `shop:{${VALUES}}` }])
    expect(
      marksOf()
        .ofUnknownWrite()
        .some(({ unless }) => unless),
    ).toBe(false)
  })

  it('nobody leaves the values alone who has declared none', () => {
    for (const kind of ['insert', 'update', 'delete'] as const) {
      expect(changesOf(marksOf([]), { kind, touched: [] })).toEqual([TABLE, VALUES])
    }
  })

  it('an update is never trusted where a trigger may set the column, or the database computes it', () => {
    const write = { kind: 'update', touched: ['stars'] } as const
    expect(changesOf(marksOf([PRODUCT], { rewrites: true }), write)).toEqual([TABLE, FIVE, VALUES])
    expect(changesOf(marksOf([{ ...PRODUCT, generated: true }]), write)).toEqual([TABLE, FIVE, VALUES])
  })

  it('go by the roots of the tree the table is in', () => {
    expect(changesOf(marksOf([], { roots: ['a', 'b'] }), {})).toEqual(['a#table', 'b#table', 'a#values', 'b#values'])
  })

  it('include those of the tables below a view', () => {
    expect(changesOf(marksOf([], { bases: ['base'] }), {})).toEqual([TABLE, VALUES, 'base#table', 'base#values'])
  })

  it('include what cascades: deletes by a delete, updates by an update of a column that is referred to', () => {
    const cascades = [
      { by: 'delete', columns: ['id'], reaches: ['gone'] },
      { by: 'update', columns: ['id'], reaches: ['moved'] },
    ] as const
    const marks = marksOf([], { cascades })
    const along = (write: Partial<MarkedWrite>) => changesOf(marks, write).slice(2)
    expect(along({ kind: 'insert' })).toEqual([])
    expect(along({ kind: 'delete' })).toEqual(['gone#table', 'gone#values'])
    expect(along({ kind: 'update', touched: ['stars'] })).toEqual([])
    expect(along({ kind: 'update', touched: ['id'] })).toEqual(['moved#table', 'moved#values'])
    expect(along({ kind: 'unknown' })).toEqual(['gone#table', 'moved#table', 'gone#values', 'moved#values'])
  })
})

describe('what a process has declared', () => {
  it('is the same whatever the order, and another for other columns or types', () => {
    const declared = (columns: (typeof PRODUCT)[]) => marksOf(columns).declared
    expect(declared([PRODUCT, AUTHOR])).toBe(declared([AUTHOR, PRODUCT]))
    const all = [[], [PRODUCT], [AUTHOR], [PRODUCT, AUTHOR], [{ ...PRODUCT, type: { name: 'text' } }]]
    expect(new Set(all.map(declared)).size).toBe(all.length)
  })
})
