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
  /** Names of the locks it holds, in the order in which it took them. */
  readonly locks: string[] = []
  /** Oldest first. */
  #savepoints: readonly Savepoint[] = []

  constructor(isRepeatable: boolean, by: string) {
    this.isRepeatable = isRepeatable
    this.by = by
  }

  /** What it has made of each row it wrote: nobody ever sees what came in between. */
  get left(): readonly Write[] {
    return [...new Map(this.rows.map((write) => [write.id, write])).values()]
  }

  savepoint(name: string): void {
    const { rows, outbox, tombs, locks } = this
    const point = { rows: rows.length, outbox: outbox.length, tombs: tombs.length, locks: locks.length }
    this.#savepoints = [...this.#savepoints, { name, ...point }]
  }

  /** What was done since stays. */
  release(name: string): void {
    this.#savepoints = this.#savepoints.slice(0, this.#at(name))
  }

  /** Forgets what was written since the savepoint; undefined: since the last one. Returns how many locks it had then, or undefined: there is none. */
  undo(name: string | undefined): number | undefined {
    const at = name === undefined ? this.#savepoints.length - 1 : this.#at(name)
    const point = this.#savepoints[at]
    if (point === undefined) return undefined
    this.#savepoints = this.#savepoints.slice(0, at + 1)
    this.rows.length = point.rows
    this.outbox.length = point.outbox
    this.tombs.length = point.tombs
    return point.locks
  }

  #at(name: string): number {
    return this.#savepoints.findLastIndex((point) => point.name === name)
  }
}

/** How much there was of everything. */
interface Savepoint {
  readonly name: string
  readonly rows: number
  readonly outbox: number
  readonly tombs: number
  readonly locks: number
}
