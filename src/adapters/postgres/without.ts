import { copyRow } from '../../core/row-object.js'

/** A copy of a row without some of its properties. */
export function without(row: Readonly<Record<string, unknown>>, names: ReadonlySet<string>): Record<string, unknown> {
  return copyRow(
    row,
    Object.keys(row).filter((name) => !names.has(name)),
  )
}
