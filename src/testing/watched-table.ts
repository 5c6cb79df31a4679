/** What there is to know of a table whose repository is observed. */
export interface WatchedTable {
  /** As its rows are called in records: `products` for `products/42`. */
  readonly name: string
  /** The key column, or columns, as rows have them. */
  readonly key: string | readonly string[]
  /** The stamp column, as rows have it. Default `corral_version`. */
  readonly version?: string
  /** Where rows carry their key and stamp a second time: what they say. Then a row under another's label is found out. */
  readonly says?: (row: object) => { readonly key: string; readonly version: string } | undefined
}

/** What a row is called in records, by its id as repositories take it, or by the row itself. */
export function rowKeyOf({ name, key }: WatchedTable, id: unknown): string {
  const columns = typeof key === 'string' ? [key] : key
  const parts = typeof id === 'object' && id !== null ? columns.map((column) => (id as never)[column]) : [id]
  return `${name}/${parts.map(String).join(',')}`
}
