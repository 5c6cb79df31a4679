import type { Pgoutput } from 'pg-logical-replication'
import { type Lsn, parseLsn } from './lsn.js'

export type SlotRelation = Pgoutput.MessageRelation

/** Values by column, as the type's output function prints them. Undefined: not told; null: NULL. */
export type Tuple = Readonly<Record<string, string | null | undefined>>

/** One change as the slot tells it; `bulk`: more rows of this relation than are told one by one. */
export type SlotChange =
  | { readonly op: 'insert'; readonly relation: SlotRelation; readonly row: Tuple }
  | { readonly op: 'update'; readonly relation: SlotRelation; readonly row: Tuple; readonly old: Tuple | undefined }
  | { readonly op: 'delete'; readonly relation: SlotRelation; readonly old: Tuple }
  | { readonly op: 'truncate' | 'bulk'; readonly relation: SlotRelation }

/** What one transaction changed, once it has committed. */
export interface SlotTransaction {
  /** The lower half of its id: the protocol tells no more. */
  readonly xid: number
  /** By the server's clock. */
  readonly committedAtMs: number
  /** Where its commit record ends. */
  readonly endLsn: Lsn
  readonly changes: readonly SlotChange[]
}

interface Open {
  readonly xid: number
  readonly committedAtMs: number
  readonly changes: SlotChange[]
  readonly bulk: Set<SlotRelation>
  rows: number
}

/**
 * Puts transactions together from the messages of `pgoutput`, protocol 1: begin, changes, commit, and relations before their first use. A
 * transaction that changes more than `maxRows` rows is one event for each of its tables, so that none has to be held in memory whole.
 */
export class SlotDecoder {
  readonly #maxRows: number
  readonly #onTransaction: (transaction: SlotTransaction) => void
  #open: Open | undefined

  constructor(options: { maxRows: number; onTransaction: (transaction: SlotTransaction) => void }) {
    this.#maxRows = options.maxRows
    this.#onTransaction = options.onTransaction
  }

  /** @throws Error for messages out of order. */
  take(message: Pgoutput.Message): void {
    switch (message.tag) {
      case 'begin':
        this.#open = {
          xid: message.xid >>> 0,
          committedAtMs: Number(message.commitTime) / 1_000,
          changes: [],
          bulk: new Set(),
          rows: 0,
        }
        return
      case 'relation':
        // Left alone the values would be what the process' own type parsers make of them, and several texts of one value.
        for (const column of message.columns) column.parser = (text) => text
        return
      case 'insert':
        this.#add({ op: 'insert', relation: message.relation, row: message.new })
        return
      case 'update': {
        const old = message.old ?? message.key ?? undefined
        this.#add({ op: 'update', relation: message.relation, row: message.new, old })
        return
      }
      case 'delete':
        this.#add({ op: 'delete', relation: message.relation, old: message.old ?? message.key ?? {} })
        return
      case 'truncate':
        for (const relation of message.relations) this.#begun().changes.push({ op: 'truncate', relation })
        return
      case 'commit':
        this.#commit(message)
    }
  }

  #add(change: SlotChange): void {
    const open = this.#begun()
    open.rows++
    if (open.rows <= this.#maxRows) {
      open.changes.push(change)
      return
    }
    // The rows before are told by the same event.
    for (const { op, relation } of open.changes) if (op !== 'truncate') open.bulk.add(relation)
    open.changes.splice(0, open.changes.length, ...open.changes.filter(({ op }) => op === 'truncate'))
    open.bulk.add(change.relation)
  }

  #commit({ commitEndLsn }: Pgoutput.MessageCommit): void {
    const { xid, committedAtMs, changes, bulk } = this.#begun()
    this.#open = undefined
    const all = [...changes, ...[...bulk].map((relation) => ({ op: 'bulk' as const, relation }))]
    this.#onTransaction({ xid, committedAtMs, endLsn: parseLsn(commitEndLsn ?? '0/0'), changes: all })
  }

  #begun(): Open {
    if (this.#open === undefined) throw new Error('the slot told of a change outside a transaction')
    return this.#open
  }
}
