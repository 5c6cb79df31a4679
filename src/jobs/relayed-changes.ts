import { type Change, newer } from '../core/change.js'
import { type CacheKey, cacheKey, keyPrefix } from '../core/key.js'
import type { ChangedTable, SourceChange } from '../core/ports.js'
import { TableMarks } from '../engine/table-marks.js'

type RowChange = Extract<SourceChange, { kind: 'row' }>

/**
 * The keys that rows' changes have made old, without anybody having declared the tables in this process: each row's own, those of
 * lookups that now lead elsewhere, and the marks of queries.
 *
 * @param describe what queries know of a table; asked once for each table.
 */
export async function relayedChanges(
  namespace: string,
  rows: readonly RowChange[],
  describe: (entity: string, columns: readonly string[]) => Promise<ChangedTable>,
): Promise<Change[]> {
  const changes = [...rowChanges(namespace, rows), ...rows.flatMap((row) => lookupChanges(namespace, row))]
  const byEntity = new Map<string, RowChange[]>()
  for (const row of rows) byEntity.set(row.entity, [...(byEntity.get(row.entity) ?? []), row])
  for (const [entity, ofEntity] of byEntity) changes.push(...(await markChanges(namespace, entity, ofEntity, describe)))
  return changes
}

/**
 * Each row once: only one fence is sent for a key, and it has to end what any of the changes would. The last of them need not have the
 * highest stamp: a transaction that had its id early may write a row after one with a higher id has committed it.
 */
function rowChanges(namespace: string, rows: readonly RowChange[]): Iterable<Change> {
  const changes = new Map<CacheKey, Change>()
  for (const row of rows) {
    const change = rowChange(namespace, row)
    const known = changes.get(change.key)
    changes.set(change.key, known ? merge(known, change) : change)
  }
  return changes.values()
}

/** What the later of the two left of the row, and to be held against both. */
function merge(a: Change, b: Change): Change {
  const both = newer(a, b)
  return { ...(both.version === b.version ? b : a), ...both }
}

function rowChange(namespace: string, { entity, id, version, xid, absent }: RowChange): Change {
  return { key: cacheKey(keyPrefix(namespace, 'row', entity), id), version, xid, absent, hasFloor: true }
}

function lookupChanges(namespace: string, { entity, lookups, xid }: RowChange): Change[] {
  return lookups.map(({ columns, value }) => ({
    key: cacheKey(keyPrefix(namespace, 'lookup', entity, columns), value),
    version: null,
    xid,
    absent: false,
    hasFloor: false,
  }))
}

/** Each mark once, however many rows changed it. */
async function markChanges(
  namespace: string,
  entity: string,
  rows: readonly RowChange[],
  describe: (entity: string, columns: readonly string[]) => Promise<ChangedTable>,
): Promise<Change[]> {
  // All rows of one table come from one trigger and list the same columns; a migration in between may have changed which.
  const declared = rows.map(({ values }) => [...new Set(values.map(({ column }) => column))])
  const columns = declared[0] ?? []
  const { roots, types } = await describe(entity, columns)
  const marked = { roots, bases: [], rewrites: false, cascades: [] }
  const typed = columns.map((column) => ({ column, type: { name: types.get(column) ?? '' }, generated: false }))
  const marks = new TableMarks({ namespace, marked, columns: typed })
  const keys = new Set<CacheKey>(marks.table)
  for (const { values } of rows) {
    for (const { column, value } of values) {
      if (value !== null) for (const key of marks.valueKeys(column, value)) keys.add(key)
    }
  }
  // Queries bounded by the same columns have been told by the values above, and need not be told that some value changed.
  const isExact =
    columns.length > 0 &&
    columns.every((column) => types.get(column) !== undefined) &&
    declared.every((each) => each.join() === columns.join())
  return [
    ...[...keys].map((key) => markChange(key)),
    ...marks.values.map((key) => markChange(key, isExact ? marks.declared : undefined)),
  ]
}

function markChange(key: CacheKey, unless?: string): Change {
  const change = { key, version: null, xid: null, absent: false, hasFloor: false }
  return unless === undefined ? change : { ...change, unless }
}
