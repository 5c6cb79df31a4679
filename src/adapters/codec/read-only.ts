import { Buffer } from 'node:buffer'
import { types } from 'node:util'
import { copyRow } from '../../core/row-object.js'
import { isInterval } from './interval-class.js'
import { lockDate } from './locked-date.js'

/**
 * Rows are shared: between the readers of one load, and between all readers of the in-process tier. So they are frozen
 * all the way down. Two kinds of object keep their content where `Object.freeze` does not reach: dates, which are
 * locked, and bytes, of which every reader gets a copy of its own.
 */

/** Where a row or a list carries bytes: its properties, or the indexes of such rows. Absent for all others. */
const carriers = new WeakMap<object, readonly string[]>()

/**
 * Freezes a row as the driver returned it, and all that is in it; returns the same row. Instances of classes the
 * codec does not know are left alone: freezing could break them, and their rows are never stored.
 */
export function freezeRow(row: object): object {
  const carried: string[] = []
  for (const [property, value] of Object.entries(row)) {
    if (freezeDeep(value)) carried.push(property)
  }
  markCarrier(row, carried)
  return Object.freeze(row)
}

/** Remembers that a frozen row (or list) carries bytes at these properties, so that `handOut` copies them. */
export function markCarrier(carrier: object, properties: readonly string[]): void {
  if (properties.length > 0) carriers.set(carrier, properties)
}

/** Freezes a query's rows as the driver returned them, and their list; returns the same list, with copies of plain rows (see `copyRow`). */
export function freezeList<Row extends object>(rows: Row[]): readonly Row[] {
  for (let i = 0; i < rows.length; i++) rows[i] = freezeRow(lean(rows[i] as Row)) as Row
  return closeList(rows)
}

function lean<Row extends object>(row: Row): Row {
  const names = Object.keys(row)
  const isPlain = Object.getPrototypeOf(row) === Object.prototype && Reflect.ownKeys(row).length === names.length
  return isPlain ? (copyRow(row as Record<string, unknown>, names) as Row) : row
}

/** Freezes a list whose rows are frozen already. */
export function closeList<Row extends object>(rows: Row[]): readonly Row[] {
  const carried: string[] = []
  for (let i = 0; i < rows.length; i++) {
    if (carriers.has(rows[i] as Row)) carried.push(String(i))
  }
  markCarrier(rows, carried)
  return Object.freeze(rows)
}

/**
 * What one reader may have of a shared, frozen row or list of rows: the same object, or, when it carries bytes,
 * a frozen copy with the same order of keys and with bytes of its own, which can be handed out in its turn.
 */
export function handOut<Shared extends object>(shared: Shared): Shared {
  const carried = carriers.get(shared)
  if (carried === undefined) return shared
  const row = shared as Record<string, unknown>
  const copy = (Array.isArray(shared) ? [...shared] : copyRow(row, Object.keys(row))) as Record<string, unknown>
  for (const property of carried) copy[property] = copyBytes(copy[property])
  // Readers who share a look are handed copies of what a load has handed out.
  markCarrier(copy, carried)
  return Object.freeze(copy) as Shared
}

/** Freezes one value of a row, and all that is in it. True when it is, or contains, bytes. */
export function freezeDeep(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false
  if (types.isDate(value)) lockDate(value)
  else if (types.isUint8Array(value)) return true
  else if (isInterval(value)) Object.freeze(value)
  else if (isContainer(value)) return freezeContainer(value)
  return false
}

/** A list of work instead of recursion, because `jsonb` may be nested deeper than the stack. */
function freezeContainer(root: object): boolean {
  let hasBytes = false
  const seen = new Set<object>([root])
  for (const container of seen) {
    for (const value of Object.values(container)) {
      if (typeof value === 'object' && value !== null && isContainer(value)) seen.add(value)
      else if (freezeDeep(value)) hasBytes = true
    }
    Object.freeze(container)
  }
  return hasBytes
}

function copyBytes(value: unknown): unknown {
  if (types.isUint8Array(value)) return Buffer.isBuffer(value) ? Buffer.from(value) : value.slice()
  if (Array.isArray(value)) return Object.freeze(value.map(copyBytes))
  if (typeof value !== 'object' || value === null || !isContainer(value)) return value
  // A spread makes `__proto__` an own property; `Object.assign` does so only where no prototype has a setter for it.
  const copy: Record<string, unknown> =
    Object.getPrototypeOf(value) === null ? Object.assign(Object.create(null), value) : { ...value }
  for (const key of Object.keys(copy)) copy[key] = copyBytes(copy[key])
  return Object.freeze(copy)
}

function isContainer(value: object): boolean {
  if (Array.isArray(value)) return true
  const prototype = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}
