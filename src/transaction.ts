import { type AccessMode, type IsolationLevel, type Kysely, sql, type Transaction } from 'kysely'
import { commitStatus, outcomeIsUnknown } from './adapters/postgres/row-writer.js'
import type { Change } from './core/change.js'
import { ConfigError } from './core/errors.js'
import type { Fencer, FenceState } from './engine/fencer.js'
import { type Session, sessionLog } from './session.js'

export interface TransactionOptions {
  readonly isolationLevel?: IsolationLevel
  readonly accessMode?: AccessMode
  /** Learns what the transaction wrote, if it commits or may have committed. */
  readonly session?: Session
}

/** A Kysely transaction whose writes through `repository.in(tx)` reach the cache when, and only if, it commits. */
export type CorralTransaction<DB> = Transaction<DB> & {
  /**
   * Runs `work` inside a savepoint. If it throws, everything it wrote is rolled back, nothing of it reaches the cache,
   * and the error goes on to the caller, who may catch it and continue the transaction.
   */
  savepoint<Value>(work: (tx: CorralTransaction<DB>) => Promise<Value>): Promise<Value>
}

export interface TransactionResult<Value> {
  /** What the callback returned. */
  readonly value: Value
  /** State of the cache with respect to everything the transaction wrote. */
  readonly fence: FenceState
}

/** What a transaction has written so far. Nothing of it leaves before the outermost commit. */
export class WriteLog {
  #changes: Change[] = []
  #xid: string | null = null
  #ended = false

  get changes(): readonly Change[] {
    return this.#changes
  }

  /** The id of the transaction, known once it has written through a repository. */
  get xid(): string | null {
    return this.#xid
  }

  /** True once the transaction has committed or rolled back: nothing may be added any more. */
  get ended(): boolean {
    return this.#ended
  }

  add(changes: readonly Change[], xid: string): void {
    this.#changes.push(...changes)
    this.#xid = xid
  }

  mark(): number {
    return this.#changes.length
  }

  /** Forgets what was written since `mark`: the savepoint was rolled back, so those versions never existed. */
  rewind(mark: number): void {
    this.#changes.length = mark
  }

  end(): void {
    this.#ended = true
  }
}

const logs = new WeakMap<object, WriteLog>()

/**
 * The log of a transaction that `corral.transaction` opened.
 *
 * @throws ConfigError for any other transaction, and for one that has ended.
 */
export function writeLogOf(tx: object): WriteLog {
  const log = logs.get(tx)
  if (log === undefined)
    throw new ConfigError('tx', 'the transaction given to the callback of corral.transaction()', tx)
  if (log.ended) throw new ConfigError('tx', 'a transaction that is still running', 'one that has ended')
  return log
}

/**
 * Runs `work` in one database transaction and tells the cache afterwards.
 *
 * Rolled back: the cache hears nothing. Committed: floors, fences, messages, in this order. Connection lost during COMMIT: it
 * counts as committed, and is checked.
 *
 * @throws whatever `work` or the database threw, untouched.
 */
export async function runTransaction<DB, Value>(
  db: Kysely<DB>,
  fencer: Fencer,
  options: TransactionOptions,
  work: (tx: CorralTransaction<DB>) => Promise<Value>,
): Promise<TransactionResult<Value>> {
  const log = new WriteLog()
  const session = sessionLog(options.session)
  let workIsDone = false
  let value: Value
  try {
    let builder = db.transaction()
    if (options.isolationLevel) builder = builder.setIsolationLevel(options.isolationLevel)
    if (options.accessMode) builder = builder.setAccessMode(options.accessMode)
    value = await builder.execute(async (transaction) => {
      const result = await work(track(transaction, log))
      workIsDone = true
      return result
    })
  } catch (error) {
    // Before COMMIT was sent, a lost connection means a rollback; after it, nobody knows.
    if (workIsDone && outcomeIsUnknown(error)) {
      session?.wrote(log.changes.map((change) => ({ ...change, version: null })))
      await fencer.afterUnknownCommit(log.changes, log.xid, (xid) => commitStatus(db, xid))
    }
    throw error
  } finally {
    log.end()
  }
  session?.wrote(log.changes)
  return { value, fence: await fencer.afterCommit(log.changes) }
}

function track<DB>(transaction: Transaction<DB>, log: WriteLog): CorralTransaction<DB> {
  let savepoints = 0
  const tx: CorralTransaction<DB> = Object.assign(transaction, {
    async savepoint<Value>(work: (tx: CorralTransaction<DB>) => Promise<Value>): Promise<Value> {
      const name = sql.id(`corral_${++savepoints}`)
      const mark = log.mark()
      await sql`savepoint ${name}`.execute(transaction)
      try {
        const value = await work(tx)
        await sql`release savepoint ${name}`.execute(transaction)
        return value
      } catch (error) {
        log.rewind(mark)
        // If even this fails the connection is gone, and the next statement says so; the caller needs the first error.
        await sql`rollback to savepoint ${name}`.execute(transaction).catch(() => {})
        throw error
      }
    },
  })
  logs.set(tx, log)
  return tx
}
