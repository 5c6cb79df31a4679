import type { Clock } from '../../src/core/clock.js'
import type { CanonicalId, Loaded, LoadedRow, RowSource } from '../../src/core/ports.js'
import { successor, type Version } from '../../src/core/version.js'
import { Gates, type Pause } from './gates.js'

export interface ModelRow {
  readonly id: string
  readonly version: Version
  readonly price: number
}

/** What a committed transaction did to one row. */
export interface ModelChange {
  readonly id: string
  /** The row's stamp; after a delete, the least a re-created row will have. */
  readonly version: Version
  readonly xid: string
  readonly absent: boolean
  /** As written, not necessarily as committed. */
  readonly row?: ModelRow | undefined
}

interface Commit {
  /** Position in the order of commits. */
  readonly at: number
  readonly row: ModelRow | undefined
  /** Of the row, or of the row that was deleted. */
  readonly version: Version
}

/** Before the statement takes its snapshot, or after, with the result on its way back. */
export type LoadPoint = 'before load' | 'after load'

/** A stamp as a real one looks: microseconds of our century, too long for a double to hold exactly with more digits. */
const FIRST_STAMP = 1_795_207_238_308_940n

/**
 * A table of versioned rows in memory, with transactions and snapshots, as Postgres has them: readers see what was
 * committed when their statement (or their transaction) began. Stamps grow with every write, deletes included.
 */
export class TableModel implements RowSource {
  readonly #commits = new Map<string, Commit[]>()
  readonly #gates = new Gates<LoadPoint>()
  readonly #running = new Map<string, number>()
  #lastCommit = 0
  #lastStamp = FIRST_STAMP
  #nextXid = 700n
  #failure: unknown
  #slowness: (() => Promise<void>) | undefined

  /** Every change of every commit so far, in order; `truncate`: all rows went without a word about each. */
  readonly log: (ModelChange | 'truncate')[] = []
  /** Ids of every load so far, one element for each id asked for. */
  readonly loads: string[] = []
  /** Ids whose loads overlapped in time. */
  readonly overlapping: string[] = []

  async load(ids: readonly CanonicalId[]): Promise<Loaded> {
    const names = ids.map(([id]) => id as string)
    for (const id of names) {
      this.loads.push(id)
      const running = this.#running.get(id) ?? 0
      if (running > 0) this.overlapping.push(id)
      this.#running.set(id, running + 1)
    }
    try {
      await this.#gates.pass('before load')
      await this.#slowness?.()
      if (this.#failure !== undefined) throw this.#failure
      const rows = names.map((id) => this.#seenAt(id, this.#lastCommit))
      const xmax = String(this.#nextXid)
      await this.#gates.pass('after load')
      return { rows, snapshot: `${xmax}:${xmax}:`, loadedFrom: 'primary' }
    } finally {
      for (const id of names) this.#running.set(id, (this.#running.get(id) ?? 1) - 1)
    }
  }

  /** The next load that comes to `point` waits there. */
  pause(point: LoadPoint): Pause {
    return this.#gates.pause(point)
  }

  /** Lets whatever is paused go on. */
  openGates(): void {
    this.#gates.openAll()
  }

  /** Loads fail with `error` until `healLoads`. */
  failLoads(error: unknown): void {
    this.#failure = error
  }

  healLoads(): void {
    this.#failure = undefined
  }

  /** From now on a load takes this long. */
  slowDown(ms: number, clock: Pick<Clock, 'sleep'>): void {
    this.#slowness = () => clock.sleep(ms)
  }

  /** Loads under way. */
  get running(): number {
    return [...this.#running.values()].reduce((sum, count) => sum + count, 0)
  }

  begin(): ModelTransaction {
    return new ModelTransaction(this.#nextXid++, (writes) => this.#commit(writes))
  }

  /** Writes and commits one row; the price is all a row has to say. */
  put(id: string, price: number): ModelChange {
    const transaction = this.begin()
    transaction.put(id, price)
    return transaction.commit()[0] as ModelChange
  }

  remove(id: string): ModelChange {
    const transaction = this.begin()
    transaction.remove(id)
    return transaction.commit()[0] as ModelChange
  }

  /** Empties the table. */
  truncate(): void {
    this.#commit(
      [...this.#commits.keys()].map((id) => ({ xid: String(this.#nextXid++), id, price: undefined })),
      'truncate',
    )
  }

  /** The committed row now. */
  row(id: string): ModelRow | undefined {
    return this.#seenAt(id, this.#lastCommit).row as ModelRow | undefined
  }

  /** What a REPEATABLE READ transaction that begins now goes on seeing. */
  snapshot(): (id: string) => LoadedRow {
    const at = this.#lastCommit
    return (id) => this.#seenAt(id, at)
  }

  /** The database comes back from a backup: everything after `at` (a `position()`) never happened, stamps included. */
  restore(at: number): void {
    for (const [id, commits] of this.#commits) {
      this.#commits.set(
        id,
        commits.filter((commit) => commit.at <= at),
      )
    }
    this.#lastCommit = at
  }

  position(): number {
    return this.#lastCommit
  }

  #seenAt(id: string, at: number): LoadedRow {
    const row = this.#commits.get(id)?.findLast((commit) => commit.at <= at)?.row
    return { row, version: row?.version }
  }

  #commit(writes: readonly { xid: string; id: string; price: number | undefined }[], told?: 'truncate'): ModelChange[] {
    this.#lastCommit++
    const changes = writes.map(({ xid, id, price }) => {
      const commits = this.#commits.get(id) ?? []
      const before = commits.at(-1)?.version
      const least = before === undefined ? 0n : BigInt(before) + 1n
      this.#lastStamp = this.#lastStamp + 1n > least ? this.#lastStamp + 1n : least
      const version = (price === undefined ? before : String(this.#lastStamp)) as Version
      const row = price === undefined ? undefined : Object.freeze({ id, version, price })
      this.#commits.set(id, [...commits, { at: this.#lastCommit, row, version }])
      return { id, version: row ? version : successor(version), xid, absent: row === undefined, row }
    })
    this.log.push(...(told ? [told] : changes))
    return changes
  }
}

/** A transaction over a `TableModel`. Nobody else sees what it wrote until it commits. */
export class ModelTransaction {
  readonly #xid: string
  readonly #publish: (writes: { xid: string; id: string; price: number | undefined }[]) => ModelChange[]
  readonly #writes: { xid: string; id: string; price: number | undefined }[] = []

  constructor(
    xid: bigint,
    publish: (writes: { xid: string; id: string; price: number | undefined }[]) => ModelChange[],
  ) {
    this.#xid = String(xid)
    this.#publish = publish
  }

  get xid(): string {
    return this.#xid
  }

  put(id: string, price: number): void {
    this.#writes.push({ xid: this.#xid, id, price })
  }

  remove(id: string): void {
    this.#writes.push({ xid: this.#xid, id, price: undefined })
  }

  commit(): ModelChange[] {
    return this.#publish(this.#writes)
  }
}
