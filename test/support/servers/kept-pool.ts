import { randomUUID } from 'node:crypto'
import pg, { type PoolClient, type PoolOptions } from 'pg'
import { poolOf, releaseAsNew } from './database.js'

/**
 * What Kysely takes for a pool of `max` connections of its own. They outlive it: when it ends they are made like new, and the next one for the same database
 * gets them. A session that has looked into the catalog before plans in a tenth of the time, and to make new ones learn was most of what tests took.
 */
export class KeptPool {
  /** With its `options`, what Kysely makes the connections of that cancel a statement. */
  readonly Client = pg.Client
  readonly #url: string
  readonly #idle: Loan[] = []
  readonly #turns: (() => void)[] = []
  #free: number
  #isEnded = false

  constructor(url: string, max: number) {
    this.#url = url
    this.#free = max
  }

  get options(): PoolOptions {
    return poolOf(this.#url).options
  }

  async connect(): Promise<PoolClient> {
    if (this.#isEnded) throw new Error('Cannot use a pool after calling end on the pool')
    if (this.#free > 0) this.#free--
    else await new Promise<void>((resolve) => this.#turns.push(resolve))
    try {
      const loan = this.#fromIdle() ?? new Loan(await poolOf(this.#url).connect())
      return loan.lend(() => this.#takeBack(loan))
    } catch (error) {
      this.#giveTurn()
      throw error
    }
  }

  /** As of `pg`: who holds a connection keeps it, and it goes when it is released. */
  async end(): Promise<void> {
    this.#isEnded = true
    await Promise.all(this.#idle.splice(0).map((loan) => loan.end()))
  }

  #fromIdle(): Loan | undefined {
    for (;;) {
      const loan = this.#idle.pop()
      if (loan === undefined || !loan.isLost) return loan
      void loan.end()
    }
  }

  #takeBack(loan: Loan): void {
    if (loan.isLost || this.#isEnded) void loan.end()
    else this.#idle.push(loan)
    this.#giveTurn()
  }

  #giveTurn(): void {
    const turn = this.#turns.shift()
    if (turn) turn()
    else this.#free++
  }
}

/** A connection while one pool has it. */
class Loan {
  isLost = false
  readonly #client: PoolClient
  readonly #release: PoolClient['release']
  readonly #lose = () => {
    this.isLost = true
  }

  constructor(client: PoolClient) {
    this.#client = client
    this.#release = client.release
    client.on('error', this.#lose)
    client.on('end', this.#lose)
  }

  /** @param onReleased once, however often the borrower releases. */
  lend(onReleased: () => void): PoolClient {
    let isReleased = false
    this.#client.release = (error) => {
      if (isReleased) throw new Error('Release called on client which has already been released to the pool.')
      isReleased = true
      if (error !== undefined && error !== false) this.#lose()
      onReleased()
    }
    return this.#client
  }

  /** What was left in the session goes, as it would with the session. */
  async end(): Promise<void> {
    this.#client.off('error', this.#lose)
    this.#client.off('end', this.#lose)
    this.#client.release = this.#release
    if (this.isLost) this.#client.release(true)
    else await releaseAsNew(this.#client)
  }
}

/**
 * The same database under a URL that no pool keeps sessions for: what is set for a database or a role holds from a session's beginning.
 */
export function inNewSessions(url: string): string {
  const changed = new URL(url)
  changed.searchParams.set('application_name', randomUUID())
  return changed.href
}
