import { PgError } from './pg-error.js'
import type { Transaction } from './transaction.js'

/** Locks: held until their transaction ends, or goes back to before it took them. One who waits in a circle is told so, as Postgres does after a second. */
export class Locks {
  readonly #holders = new Map<string, Transaction>()
  readonly #queues = new Map<string, { readonly who: Transaction; readonly wake: () => void }[]>()
  readonly #waitsFor = new Map<Transaction, string>()

  /** Who waits, and for whom. */
  get waits(): readonly { readonly who: Transaction; readonly holder: Transaction }[] {
    return [...this.#waitsFor].flatMap(([who, name]) => {
      const holder = this.#holders.get(name)
      return holder ? [{ who, holder }] : []
    })
  }

  /** True: it has it since just now. */
  async take(name: string, who: Transaction): Promise<boolean> {
    for (;;) {
      const holder = this.#holders.get(name)
      if (holder === who) return false
      if (holder === undefined) {
        this.#holders.set(name, who)
        who.locks.push(name)
        return true
      }
      if (this.#leadsTo(holder, who)) throw new PgError('40P01', 'deadlock detected')
      this.#waitsFor.set(who, name)
      await new Promise<void>((wake) => {
        const queue = this.#queues.get(name) ?? []
        queue.push({ who, wake })
        this.#queues.set(name, queue)
      })
      this.#waitsFor.delete(who)
      if (who.hasEnded) throw new PgError('57P01', 'terminating connection')
    }
  }

  /** @param from how many of its locks, the oldest ones, it keeps. */
  release(who: Transaction, from = 0): void {
    for (const name of who.locks.splice(from)) {
      this.#holders.delete(name)
      const queue = this.#queues.get(name) ?? []
      this.#queues.delete(name)
      for (const { wake } of queue) wake()
    }
  }

  #leadsTo(from: Transaction, who: Transaction): boolean {
    const name = this.#waitsFor.get(from)
    const holder = name === undefined ? undefined : this.#holders.get(name)
    return holder !== undefined && (holder === who || this.#leadsTo(holder, who))
  }
}
