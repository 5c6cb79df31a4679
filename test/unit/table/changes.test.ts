import { expect, it } from 'vitest'
import type { TableFacts } from '../../../src/adapters/postgres/catalog.js'
import { KeyColumn } from '../../../src/adapters/postgres/key-column.js'
import { isMark } from '../../../src/core/key.js'
import { TableChanges } from '../../../src/table/changes.js'

const ENTITY = 'public.shelves'
const KEY = ['hall', 'shelf'].map((name) => new KeyColumn({ column: name, property: name, type: { name: 'integer' } }))
const FACTS = { entity: ENTITY, key: KEY, unique: [], queryBy: [], columns: [] } as unknown as TableFacts

/** The rows that a write may have made old of which nobody knows whether it was made. */
function rowsOf(id: readonly string[] | undefined, values: object, facts = FACTS): string[] {
  const changes = new TableChanges('shop', facts, () => undefined).ofUnknownWrite(id, values)
  return changes.filter(({ key }) => !isMark(key)).map(({ key }) => key.slice(key.search(/[/=]/) + 1, -1))
}

it('of a write without an answer what is known of the row goes, under the key it had and under the one it was to have', () => {
  expect(rowsOf(['1', '2'], { books: 5 })).toEqual(['1,2'])
  expect(rowsOf(['1', '2'], { hall: 1, books: 5 })).toEqual(['1,2'])
  expect(rowsOf(['1', '2'], { shelf: 3 }), 'a part of it is set').toEqual(['1,2', '1,3'])
  expect(rowsOf(['1', '2'], { hall: undefined, shelf: 3 }), 'what is undefined is left as it was').toEqual([
    '1,2',
    '1,3',
  ])
  expect(rowsOf(['1', '2'], { shelf: {} }), 'by an expression').toEqual(['1,2'])
  expect(rowsOf(undefined, { hall: 1, shelf: 2 }), 'of an insert').toEqual(['1,2'])
  expect(rowsOf(undefined, { shelf: 2 }), 'whose key the database makes').toEqual([])
})

it('of a write without an answer a lookup goes by the number that the driver has sent, safe or not', () => {
  const ref = new KeyColumn({ column: 'ref', property: 'ref', type: { name: 'bigint' } })
  const lookupsOf = (value: unknown) => rowsOf(undefined, { ref: value }, { ...FACTS, unique: [[ref]] })
  expect(lookupsOf(7)).toEqual(['7'])
  expect(lookupsOf(2 ** 53 + 2)).toEqual(['9007199254740994'])
  expect(lookupsOf('9007199254740993')).toEqual(['9007199254740993'])
  expect(lookupsOf(0.5)).toEqual([])
})
