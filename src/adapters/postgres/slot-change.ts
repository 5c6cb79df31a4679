import type { SourceChange } from '../../core/ports.js'
import { successor, toVersion, type Version } from '../../core/version.js'
import type { SlotChange, SlotRelation, Tuple } from './slot-decoder.js'

/** What the relay has to know of a table whose changes come through the slot. Names are the database's own. */
export interface SlotTable {
  /** Of partitions: the table they are part of. */
  readonly entity: string
  readonly key: readonly string[]
  /** Undefined: rows have none. */
  readonly version: string | undefined
  readonly unique: readonly (readonly string[])[]
  readonly columns: readonly string[]
  /** Of columns above, where it is not the text that Postgres prints: internal name of the type below all domains. */
  readonly types: ReadonlyMap<string, string>
}

/**
 * One change of a row as the relay carries it; two where its key has changed.
 *
 * An update whose former row was not told has not changed the replica identity's columns. What was not told at all (a value that
 * lies apart from its row and has not changed, or columns outside the identity) counts as changed: that costs loads, and hides nothing. Where that
 * leaves open which row it is, or by what values it is looked up now, the change is one of the whole table.
 *
 * @param xid all 64 bits of it.
 */
export function changesOf(change: SlotChange, table: SlotTable, xid: string): SourceChange[] {
  const { entity } = table
  const row = (kind: { absent: boolean; row: Tuple }, lookups: Named[], values: Value[]): SourceChange => {
    const version = versionOf(table, kind.row, kind.absent)
    return { kind: 'row', entity, id: idOf(table, kind.row), xid, version, absent: kind.absent, lookups, values }
  }
  const gone = (old: Tuple) => row({ absent: true, row: old }, lookupsOf(table, old), valuesOf(table, [old]))
  switch (change.op) {
    case 'truncate':
    case 'bulk':
      return [{ kind: change.op, entity }]
    case 'insert':
      if (!isTold(change.row, table.key) || hidesLookup(change, table, change.row)) return [{ kind: 'bulk', entity }]
      return [row({ absent: false, row: change.row }, lookupsOf(table, change.row), valuesOf(table, [change.row]))]
    case 'delete':
      return isTold(change.old, table.key) ? [gone(change.old)] : [{ kind: 'bulk', entity }]
  }
  const covers = (columns: readonly string[]) => columns.every((each) => change.relation.keyColumns.includes(each))
  // Somebody has taken the key out of the replica identity: whether this row had another one before is not to be known.
  if (!covers(table.key) && !(change.old && isTold(change.old, table.key))) return [{ kind: 'bulk', entity }]
  const now = { ...(covers(table.key) ? change.old : undefined), ...told(change.row) }
  if (!isTold(now, table.key) || hidesLookup(change, table, now)) return [{ kind: 'bulk', entity }]
  const { old } = change
  const lookups = table.unique.flatMap((columns) => {
    if (old === undefined && covers(columns)) return []
    if (old === undefined || !isTold(old, columns)) return lookupsOf({ ...table, unique: [columns] }, now)
    return differ(table, columns, old, now)
      ? [old, now].flatMap((each) => lookupsOf({ ...table, unique: [columns] }, each))
      : []
  })
  const isValued = covers(table.columns) && (old === undefined || isTold(old, table.columns))
  const values = isValued ? valuesOf(table, old === undefined ? [now] : [now, old]) : []
  const left = old !== undefined && differ(table, table.key, old, now) ? [gone(old)] : []
  return [...left, row({ absent: false, row: now }, lookups, values)]
}

type RowChange = Extract<SourceChange, { kind: 'row' }>
type Named = RowChange['lookups'][number]
type Value = RowChange['values'][number]

/** As `column::text` prints it, which is how keys spell values; the slot has what the type's output function prints. */
function spelled(table: SlotTable, column: string, row: Tuple): string | null | undefined {
  const text = row[column]
  if (typeof text !== 'string') return text
  const type = table.types.get(column)
  if (type === 'bool') return text === 't' ? 'true' : 'false'
  return type === 'bpchar' ? text.replace(/ +$/, '') : text
}

function idOf(table: SlotTable, row: Tuple): string[] {
  return table.key.map((column) => String(spelled(table, column, row)))
}

/** After a delete: the least stamp a row will have that comes back under the key. */
function versionOf({ version }: SlotTable, row: Tuple, absent: boolean): Version | null {
  const stamp = version === undefined ? null : toVersion(row[version] ?? null)
  if (!stamp) return null
  return absent ? successor(stamp) : stamp
}

function lookupsOf(table: Pick<SlotTable, 'unique' | 'types'>, row: Tuple): Named[] {
  return table.unique.flatMap((columns) => {
    const value = columns.map((column) => spelled(table as SlotTable, column, row))
    return value.every((part) => typeof part === 'string')
      ? [{ columns: columns.join(','), value: value as string[] }]
      : []
  })
}

/** Of each column the values these rows have in it, once each; none at all unless all are told. */
function valuesOf(table: SlotTable, rows: readonly Tuple[]): Value[] {
  if (!rows.every((row) => isTold(row, table.columns))) return []
  return table.columns.flatMap((column) => {
    const values = rows.map((row) => spelled(table, column, row) ?? null)
    return [...new Set(values)].map((value) => ({ column, value }))
  })
}

function differ(table: SlotTable, columns: readonly string[], one: Tuple, other: Tuple): boolean {
  return columns.some((column) => spelled(table, column, one) !== spelled(table, column, other))
}

/**
 * Whether the row can be looked up now by values that are not told, for which an absence may be remembered. A lookup of which every value lies
 * apart and has not changed leads where it did. Former values need not be told: what leads to the row by them is found out.
 */
function hidesLookup({ relation }: SlotChange, { unique }: SlotTable, now: Tuple): boolean {
  return unique.some((columns) => {
    const untold = columns.filter((column) => now[column] === undefined)
    const isUnchanged = untold.length === columns.length && untold.every((column) => publishes(relation, column))
    return untold.length > 0 && !isUnchanged
  })
}

/** False: it was renamed or is gone, it is generated and the server tells of no such columns, or somebody has left it out. */
function publishes({ columns }: SlotRelation, column: string): boolean {
  return columns.some(({ name }) => name === column)
}

function isTold(row: Tuple, columns: readonly string[]): boolean {
  return columns.every((column) => row[column] !== undefined)
}

function told(row: Tuple): Tuple {
  return Object.fromEntries(Object.entries(row).filter(([, value]) => value !== undefined))
}
