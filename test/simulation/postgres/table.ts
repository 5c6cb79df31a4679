/** A row of the simulated table, as the driver returns it. */
export interface Row {
  readonly id: number
  readonly sku: string
  readonly price: number
  /** Micro-seconds, kept by the stamp trigger. */
  readonly corral_version: string
  /** Key and stamp once more, as a generated column: shows a row under another one's stamp. */
  readonly says: string
}

/** What `says` is generated as. */
export function saysOf(id: number, version: bigint): string {
  return `products/${id} ${version}`
}

export function rowOf(id: number, sku: string, price: number, version: bigint): Row {
  return { id, sku, price, corral_version: String(version), says: saysOf(id, version) }
}

/** What stands in `column_values`, `lookups` and the rest of an outbox row. */
export interface OutboxRow {
  readonly id: number
  readonly xid: number
  readonly op: 'i' | 'u' | 'd' | 't' | 'b'
  readonly key: readonly string[] | null
  readonly version: string | null
  readonly lookups: readonly (readonly [columns: string, value: string] | null)[] | null
  readonly atMs: number
}

/** A committed state of one row. */
export interface Version {
  /** Position in the order of commits. */
  readonly commit: number
  /** The transaction that made it. */
  readonly xid: number
  readonly row: Row | undefined
}
