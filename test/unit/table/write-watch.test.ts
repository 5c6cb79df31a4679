import { expect, it } from 'vitest'
import { KeyColumn } from '../../../src/adapters/postgres/key-column.js'
import type { DoneWrite } from '../../../src/adapters/postgres/write-capture.js'
import type { Change } from '../../../src/core/change.js'
import { cacheKey, isMark, keyPrefix } from '../../../src/core/key.js'
import { TableWatch, type UnseenWrite, type WatchParts } from '../../../src/table/write-watch.js'

const TABLE = { schema: undefined, name: 'shelves' }
const ENTITY = 'public.shelves'
const KEY = ['hall', 'shelf'].map((name) => new KeyColumn({ column: name, property: name, type: { name: 'integer' } }))

/** What is told of a deletion of rows with these values in the two columns of the key, of which no row was returned. */
async function deletionWhere(halls: number, shelves: number) {
  const told: Change[] = []
  const unseen: UnseenWrite[] = []
  const table = {
    facts: { entity: ENTITY, key: KEY, unique: [], queryBy: [], columns: [], version: undefined },
    idOf: (id: Record<string, string>) => KEY.map(({ property }) => id[property]),
    unknownChanges: (id: readonly string[]) => [
      { key: cacheKey(keyPrefix('shop', 'row', ENTITY), id), version: null, xid: null, absent: false, hasFloor: true },
    ],
  }
  const relation = { entity: ENTITY, roots: [ENTITY], bases: [], rewrites: false, cascades: [] }
  const tables = { of: () => [table], openInside: async () => [] }
  const parts = { namespace: 'shop', relations: { find: async () => [relation] }, tables }
  const log = {
    run: <Answer>(statement: () => Promise<Answer>) => statement(),
    add: (changes: readonly Change[]) => void told.push(...changes),
    addUnseen: (write: UnseenWrite) => void unseen.push(write),
    statementFailed: () => {},
  }
  const watch = new TableWatch(parts as unknown as WatchParts, {} as never, log)
  const values = (count: number) => Array.from({ length: count }, (_, at) => String(at))
  const bounds = [
    { column: 'hall', values: values(halls), direct: true },
    { column: 'shelf', values: values(shelves), direct: true },
  ]
  const write: DoneWrite = {
    ...{ table: TABLE, kind: 'delete', touched: undefined, bounds, isOuter: false, rows: undefined, xid: '7' },
  }
  await watch.expect([write], {} as never)
  watch.happened([write])
  return {
    rows: told.filter(({ key }) => !isMark(key)).length,
    marks: told.filter(({ key }) => isMark(key)).length,
    unseen,
  }
}

it('tells every row that conditions name', async () => {
  expect(await deletionWhere(3, 4)).toEqual({ rows: 12, marks: 2, unseen: [] })
  expect(await deletionWhere(1, 20_000)).toMatchObject({ rows: 20_000, unseen: [] })
})

it('does not multiply conditions to millions of rows, and says that some are unseen', async () => {
  const told = await deletionWhere(1_000, 1_000)
  expect(told).toEqual({ rows: 0, marks: 2, unseen: [{ statement: 'delete', entity: ENTITY }] })
})
