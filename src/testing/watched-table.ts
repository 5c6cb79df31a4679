import { ConfigError } from '../core/errors.js'
import { refuseUnknown } from '../core/known-options.js'
import { toVersion } from '../core/version.js'

/** What there is to know of a table whose repository is observed. */
export interface WatchedTable {
  /** As its rows are called in records: `products` for `products/42`. */
  readonly name: string
  /** The key column, or columns, as rows have them. */
  readonly key: string | readonly string[]
  /** The stamp column, as rows have it; false: rows have none, so nothing that is read is held against any write. Default: `corral_version` or `corralVersion`, whichever a row has. */
  readonly version?: string | false
  /** Where rows carry their key and stamp a second time: what they say. Then a row under another's label is found out. */
  readonly says?: (row: object) => { readonly key: string; readonly version: string } | undefined
}

const OPTION_NAMES = ['name', 'key', 'version', 'says']
const STAMPS = ['corral_version', 'corralVersion']
/** A row without a stamp cannot be ordered; as the oldest it breaks no promise that it does not make. */
const OLDEST = '0'

/** @throws ConfigError */
export function checkWatched(table: WatchedTable): void {
  if (typeof table !== 'object' || table === null) throw new ConfigError('watch', 'a table: `{ name, key }`', table)
  refuseUnknown('watch', table, OPTION_NAMES)
  const { name, key, version, says } = table
  if (typeof name !== 'string' || name === '') throw new ConfigError('watch.name', 'a name for the table', name)
  if (!isColumns(key)) throw new ConfigError('watch.key', 'a column or a list of columns', key)
  if (version !== undefined && version !== false && (typeof version !== 'string' || version === '')) {
    throw new ConfigError('watch.version', 'a column, or false', version)
  }
  if (says !== undefined && typeof says !== 'function') throw new ConfigError('watch.says', 'a function', says)
}

/** A column, or a list of some. */
export function isColumns(given: unknown): given is string | readonly string[] {
  const list = Array.isArray(given) ? given : [given]
  return list.length > 0 && list.every((column) => typeof column === 'string' && column !== '')
}

/** The name of a row in records. @param id as repositories take it, or the row itself. @throws ConfigError if it lacks a column of the key. */
export function rowKeyOf(table: WatchedTable, id: unknown): string {
  const { name, key } = table
  const columns = typeof key === 'string' ? [key] : key
  if (typeof id === 'object' && id !== null) checkKeyIn(table, id)
  const parts = typeof id === 'object' && id !== null ? columns.map((column) => (id as never)[column]) : [id]
  return `${name}/${parts.map(String).join(',')}`
}

/** @throws ConfigError where the row has another key than the table was said to have. */
export function checkKeyIn({ name, key }: WatchedTable, row: object): void {
  const missing = (typeof key === 'string' ? [key] : key).find((column) => !(column in row))
  if (missing === undefined) return
  throw new ConfigError(`watch ${name}.key`, `${missing} in what rows and ids have`, Object.keys(row).join(', '))
}

/** The stamp of a row. @throws ConfigError where it has none by the name that the table was said to have it by. */
export function stampOf({ name, version }: WatchedTable, row: object): string {
  if (version === false) return OLDEST
  const property = version ?? STAMPS.find((stamp) => stamp in row)
  const value = property === undefined ? undefined : (row as Record<string, unknown>)[property]
  const stamp = toVersion(value)
  if (stamp !== undefined) return stamp
  const expected = 'the column of rows that is their stamp, a whole number; or false where they have none'
  const found = property !== undefined && property in row ? `${property}: ${typeof value}` : Object.keys(row).join(', ')
  throw new ConfigError(`watch ${name}.version`, expected, found)
}
