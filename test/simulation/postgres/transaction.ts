import type { Snapshot } from './snapshot.js'
import type { OutboxRow, Row } from './table.js'

/** One write of one row. */
export interface Write {
  readonly id: number
  readonly row: Row | undefined
  /** The row's stamp; of one that is gone, the least that one has that comes back. */
  readonly version: string
}

/** What a transaction has written and nobody else sees yet. */
export class Transaction {
  readonly rows: Write[] = []
  readonly outbox: Omit<OutboxRow, 'xid'>[] = []
  readonly tombs: { readonly id: number; readonly version: bigint }[] = []
  xid: number | undefined
  /** Of REPEATABLE READ: the commit it sees everything up to; undefined before its first statement, and otherwise. */
  sees: number | undefined
  /** And how it sees transactions. */
  sight: Snapshot | undefined
  readonly isRepeatable: boolean
  /** Whose it is. */
  readonly by: string
  hasEnded = false
  hasFailed = false
  readonly #savepoints = new Map<string, readonly [rows: number, outbox: number, tombs: number]>()

  constructor(isRepeatable: boolean, by: string) {
    this.isRepeatable = isRepeatable
    this.by = by
  }

  savepoint(name: string): void {
    this.#savepoints.set(name, [this.rows.length, this.outbox.length, this.tombs.length])
  }

  rollbackTo(name: string): void {
    const [rows, outbox, tombs] = this.#savepoints.get(name) ?? [0, 0, 0]
    this.rows.length = rows
    this.outbox.length = outbox
    this.tombs.length = tombs
    this.hasFailed = false
  }
}
