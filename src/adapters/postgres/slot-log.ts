import type { Lsn } from './lsn.js'
import type { SlotChange, SlotTransaction } from './slot-decoder.js'

/** One change and the transaction it is of. */
export interface LoggedChange {
  readonly change: SlotChange
  readonly xid: number
  readonly committedAtMs: number
  readonly endLsn: Lsn
}

/**
 * What a slot has told, in memory: what has not been read yet, and behind that what may have to be read again. A slot itself tells
 * nothing twice once it was confirmed, nor to anybody else meanwhile.
 *
 * Bounded: beyond `maxChanges` the oldest goes. If that was never read the reader has missed something (`isOverrun`): so many changes take
 * longer to tell one by one than everything takes to be forgotten.
 */
export class SlotLog {
  readonly #maxChanges: number
  #changes: LoggedChange[] = []
  /** How many of them have been read. */
  #read = 0
  /** All that ended after this place, and was told, is here. */
  #start: Lsn
  #received: Lsn
  #isOverrun = false

  /** @param start where the slot begins to tell. */
  constructor(options: { maxChanges: number; start: Lsn }) {
    this.#maxChanges = options.maxChanges
    this.#start = options.start
    this.#received = options.start
  }

  /** Up to here everything that has committed is known. */
  get received(): Lsn {
    return this.#received
  }

  get start(): Lsn {
    return this.#start
  }

  get unread(): number {
    return this.#changes.length - this.#read
  }

  add({ xid, committedAtMs, endLsn, changes }: SlotTransaction): void {
    // Not spread into one call: a transaction may have more changes than a call may have arguments.
    for (const change of changes) this.#changes.push({ change, xid, committedAtMs, endLsn })
    this.passed(endLsn)
    // A tenth more, so that not each of them moves all others.
    if (this.#changes.length > 1.1 * this.#maxChanges) this.#forget(this.#changes.length - this.#maxChanges)
  }

  /** The slot has nothing to tell up to here that it has not told. */
  passed(lsn: Lsn): void {
    if (lsn > this.#received) this.#received = lsn
  }

  /** Counts as read what ended up to here. */
  skipTo(lsn: Lsn): void {
    while (this.#read < this.#changes.length && (this.#changes[this.#read] as LoggedChange).endLsn <= lsn) this.#read++
  }

  /** The next ones, `limit` at most. */
  next(limit: number): LoggedChange[] {
    const page = this.#changes.slice(this.#read, this.#read + limit)
    this.#read += page.length
    return page
  }

  /** True once after changes were forgotten that nobody had read. */
  takeOverrun(): boolean {
    const isOverrun = this.#isOverrun
    this.#isOverrun = false
    return isOverrun
  }

  /** All that ended after this place. Undefined: some of it has been forgotten. */
  since(lsn: Lsn): LoggedChange[] | undefined {
    return lsn < this.#start ? undefined : this.#changes.filter(({ endLsn }) => endLsn > lsn)
  }

  /** Lets go of what has been read and ended up to here. */
  forgetUpTo(lsn: Lsn): void {
    let count = 0
    while (count < this.#read && (this.#changes[count] as LoggedChange).endLsn <= lsn) count++
    this.#changes = this.#changes.slice(count)
    this.#read -= count
    if (lsn > this.#start) this.#start = lsn
  }

  #forget(count: number): void {
    if (count > this.#read) {
      this.#isOverrun = true
      count = this.#changes.length
      this.#start = this.#received
    } else this.#start = (this.#changes[count - 1] as LoggedChange).endLsn
    this.#changes = this.#changes.slice(count)
    this.#read = Math.max(0, this.#read - count)
  }
}
