import { PgError } from './pg-error.js'
import type { Transaction } from './transaction.js'

/** Row locks: held until their transaction ends. One who waits in a circle is told so, as Postgres does after a second. */
export class Locks {
  readonly #holders = new Map<string, Transaction>()
  readonly #queues = new Map<string, { readonly who: Transaction; readonly wake: () => void }[]>()
  readonly #waitsFor = new Map<Transaction, string>()

  async take(name: string, who: Transaction): Promise<void> {
    for (;;) {
      const holder = this.#holders.get(name)
      if (holder === undefined || holder === who) {
        this.#holders.set(name, who)
        return
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

  release(who: Transaction): void {
    for (const [name, holder] of this.#holders) {
      if (holder !== who) continue
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
