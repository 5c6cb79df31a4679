import type { Snapshot } from './snapshot.js'
import type { Transaction } from './transaction.js'

type Outcome = 'committed' | 'aborted' | 'in progress'

const FIRST = 700

/** The ids of transactions that write, and how each of them stands: what snapshots are made of. */
export class TransactionIds {
  readonly #outcomes = new Map<number, Outcome>()
  readonly #open = new Set<number>()
  #next = FIRST
  #completed = FIRST - 1
  /** How transactions stood after each commit: what a standby that has come so far knows of them. */
  readonly #sights: Snapshot[] = [this.snapshot]

  /** `pg_current_snapshot()` of the primary. */
  get snapshot(): Snapshot {
    const xmax = this.#completed + 1
    const open = [...this.#open].filter((xid) => xid < xmax).sort((a, b) => a - b)
    return { xmin: Math.min(xmax, ...this.#open), xmax, open }
  }

  /** The same on a standby that has replayed so many commits: it knows which are open, and does not say so. */
  standbySnapshot(commit: number): Snapshot {
    const { xmin, xmax } = this.#sights[commit] as Snapshot
    return { xmin, xmax, open: [] }
  }

  outcomeOf(xid: number): Outcome | null {
    return this.#outcomes.get(xid) ?? null
  }

  /** The transaction's id, which it has from the first time that it is asked for. */
  of(tx: Transaction): number {
    if (tx.xid === undefined) {
      tx.xid = this.#next++
      this.#open.add(tx.xid)
      this.#outcomes.set(tx.xid, 'in progress')
    }
    return tx.xid
  }

  end(xid: number, outcome: 'committed' | 'aborted'): void {
    this.#open.delete(xid)
    this.#outcomes.set(xid, outcome)
    this.#completed = Math.max(this.#completed, xid)
    if (outcome === 'committed') this.#sights.push(this.snapshot)
  }
}
