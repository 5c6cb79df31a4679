import { describe, expect, it } from 'vitest'
import type { SourceChange } from '../../../src/core/ports.js'
import type { Version } from '../../../src/core/version.js'
import { TableMarks } from '../../../src/engine/table-marks.js'
import { relayedChanges } from '../../../src/jobs/relayed-changes.js'

type Row = Extract<SourceChange, { kind: 'row' }>

const row: Row = {
  kind: 'row',
  entity: 'public.products',
  id: ['42'],
  xid: '7',
  version: '5' as Version,
  absent: false,
  lookups: [],
  values: [],
}
const describeTable =
  (types: Record<string, string | undefined> = {}) =>
  async (entity: string) => ({ roots: [entity], types: new Map(Object.entries(types)) })

const MARKS = ['shop:{public.products#table}', 'shop:{public.products#values}']

describe('the keys that a change has made old', () => {
  it("are the row's own, with its stamp, and the marks of queries", async () => {
    const changes = await relayedChanges('shop', [row], describeTable())
    expect(changes[0]).toEqual({
      key: 'shop:{public.products/42}',
      version: '5',
      xid: '7',
      absent: false,
      hasFloor: true,
    })
    expect(changes.slice(1).map(({ key }) => key)).toEqual(MARKS)
    expect(changes.slice(1).every(({ version, hasFloor }) => version === null && !hasFloor)).toBe(true)
  })

  /**
   * Found by the simulator. A page comes in the order of transactions' ids. One that had its id early, by a row it wrote first, may change
   * a row after one with a higher id has changed and committed it.
   */
  it('are each row once, up to the highest stamp and transaction of its changes, whatever order they come in', async () => {
    const later = { ...row, xid: '6', version: '10' as Version, absent: true }
    const own = (await relayedChanges('shop', [later, row, { ...row, id: ['43'] }], describeTable())).slice(0, 2)
    expect(own).toEqual([
      { key: 'shop:{public.products/42}', version: '10', xid: '7', absent: true, hasFloor: true },
      { key: 'shop:{public.products/43}', version: '5', xid: '7', absent: false, hasFloor: true },
    ])
    const unknown = await relayedChanges('shop', [{ ...later, version: null }, row], describeTable())
    expect(unknown[0]).toMatchObject({ key: 'shop:{public.products/42}', version: null, xid: '7' })
  })

  it('are lookups by their columns, whatever is in their values', async () => {
    const lookups = [
      { columns: 'slug', value: ['tea/1'] },
      { columns: 'shop,code', value: ['1', 'a,b'] },
    ]
    const changes = await relayedChanges('shop', [{ ...row, lookups }], describeTable())
    expect(changes.map(({ key }) => key).slice(1, 3)).toEqual([
      'shop:{public.products@slug=tea%2F1}',
      'shop:{public.products@shop%2Ccode=1,a%2Cb}',
    ])
  })

  it('are each mark once, however many rows there are', async () => {
    const rows = [row, { ...row, id: ['43'] }, { ...row, id: ['44'], entity: 'public.orders' }]
    const keys = (await relayedChanges('shop', rows, describeTable())).map(({ key }) => key)
    expect(keys).toEqual([
      ...['shop:{public.products/42}', 'shop:{public.products/43}', 'shop:{public.orders/44}'],
      ...MARKS,
      ...['shop:{public.orders#table}', 'shop:{public.orders#values}'],
    ])
  })

  it('are the marks of the values before and after, and queries bounded by the same columns need no more', async () => {
    const values = [
      { column: 'price', value: '2' },
      { column: 'price', value: '1' },
      { column: 'price', value: null },
    ]
    const changes = await relayedChanges('shop', [{ ...row, values }], describeTable({ price: 'integer' }))
    const marks = new TableMarks({
      namespace: 'shop',
      marked: { roots: ['public.products'], bases: [], rewrites: false, cascades: [] },
      columns: [{ column: 'price', type: { name: 'integer' }, generated: false }],
    })
    expect(changes.slice(1).map(({ key, unless }) => [key, unless])).toEqual([
      [MARKS[0], undefined],
      [marks.valueKeys('price', '2')[0], undefined],
      [marks.valueKeys('price', '1')[0], undefined],
      [MARKS[1], marks.declared],
    ])
  })

  it.each([
    ['a column has no key type', { price: undefined }, [row]],
    ['rows list different columns', { price: 'integer' }, [row, { ...row, values: [] }]],
  ])('include all bounded queries where %s', async (_, types, rows) => {
    const listed = rows.map((each, at) => (at === 0 ? { ...each, values: [{ column: 'price', value: '2' }] } : each))
    const changes = await relayedChanges('shop', listed, describeTable(types))
    expect(changes.at(-1)).toMatchObject({ key: MARKS[1] })
    expect(changes.at(-1)?.unless).toBeUndefined()
  })
})
