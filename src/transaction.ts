import { type AccessMode, type IsolationLevel, type Kysely, sql, type Transaction } from 'kysely'
import { realTable } from './adapters/postgres/real-names.js'
import { type AnyDatabase, commitStatus, outcomeIsUnknown } from './adapters/postgres/row-writer.js'
import { captureWrites } from './adapters/postgres/write-capture.js'
import type { Change } from './core/change.js'
import { ConfigError, inWords, SourceError } from './core/errors.js'
import { isMark } from './core/key.js'
import type { Calls } from './engine/calls.js'
import type { Fencer, FenceState } from './engine/fencer.js'
import { type Session, type SessionLog, sessionLog } from './session.js'
import {
  IN_FAILED_TRANSACTION,
  TableWatch,
  type UnseenWrite,
  type WatchedLog,
  type WatchParts,
} from './table/write-watch.js'

export interface TransactionOptions {
  /** Default: the database's own, which is `read committed` unless it was told otherwise. */
  readonly isolationLevel?: IsolationLevel
  /** Default: `read write`. */
  readonly accessMode?: AccessMode
  /** Learns what the transaction wrote, if it commits or may have committed. */
  readonly session?: Session
}

/**
 * A Kysely transaction whose writes reach the cache when, and only if, it commits: those through `repository.in(tx)`, and the
 * INSERT, UPDATE, DELETE and MERGE statements made with it directly. Raw SQL that writes needs `touched`.
 */
export type CorralTransaction<DB> = Transaction<DB> & {
  /**
   * Runs `work` inside a savepoint. If it throws, everything it wrote is rolled back, nothing of it reaches the cache,
   * and the error goes on to the caller, who may catch it and continue the transaction.
   */
  savepoint<Value>(work: (tx: CorralTransaction<DB>) => Promise<Value>): Promise<Value>
  /**
   * Says what raw SQL in this transaction has written, or what a trigger or a function has: `table` for cached queries, and with
   * `ids` the rows that its repositories may hold. Without it such a write is reported as event `write.unseen`.
   *
   * @throws ConfigError for what is no table, for ids of a table without a repository; KeyError for what is no id of it.
   */
  touched(table: keyof DB & string, ids?: readonly unknown[]): Promise<void>
}

export interface TransactionResult<Value> {
  /** What the callback returned. */
  readonly value: Value
  /** State of the cache with respect to everything the transaction wrote. */
  readonly fence: FenceState
}

/** What transactions need besides the database. */
export interface TransactionParts<DB> {
  readonly db: Kysely<DB>
  readonly fencer: Fencer
  readonly watch: WatchParts
  readonly calls: Calls
}

export const TRANSACTION_OPTIONS = ['isolationLevel', 'accessMode', 'session']

/** How far a transaction had come. */
interface WriteMark {
  readonly changes: number
  readonly unseen: number
  readonly isTold: boolean
}

/** What a transaction has written so far. Nothing of it leaves before the outermost commit. */
export class WriteLog implements WatchedLog {
  /** Who tells the cache of it. */
  readonly fencer: Fencer | undefined
  #changes: Change[] = []
  #unseen: UnseenWrite[] = []
  #xid: string | null = null
  #isTold = false
  #failure: unknown
  #ended = false
  /** Statements that have begun and not ended. */
  #underWay = 0
  #whenIdle: (() => void) | undefined

  constructor(fencer?: Fencer) {
    this.fencer = fencer
  }

  get changes(): readonly Change[] {
    return this.#changes
  }

  /** The id of the transaction, known once it has written through a repository. */
  get xid(): string | null {
    return this.#xid
  }

  /** True once the transaction's work is over, and it is on its way to COMMIT or ROLLBACK: nothing may begin any more. */
  get ended(): boolean {
    return this.#ended
  }

  /** Writes nobody could follow. Empty as soon as the application has said itself what it wrote. */
  get unseen(): readonly UnseenWrite[] {
    return this.#isTold ? [] : this.#unseen
  }

  /** What a statement failed with that may have aborted the transaction: the last of them. */
  get failure(): unknown {
    return this.#failure
  }

  add(changes: readonly Change[], xid: string | undefined): void {
    for (const change of changes) this.#changes.push(change)
    this.#xid = xid ?? this.#xid
  }

  addUnseen(write: UnseenWrite): void {
    this.#unseen.push(write)
  }

  told(): void {
    this.#isTold = true
  }

  statementFailed(error: unknown): void {
    if ((error as { code?: unknown } | null)?.code !== IN_FAILED_TRANSACTION) this.#failure = error
  }

  mark(): WriteMark {
    return { changes: this.#changes.length, unseen: this.#unseen.length, isTold: this.#isTold }
  }

  /**
   * Forgets what was written since `mark`: the savepoint was rolled back, so those versions never existed. Of two savepoints at once the
   * earlier one takes the later along, whose mark then lies beyond the end.
   */
  rewind(mark: WriteMark): void {
    this.#changes.splice(mark.changes)
    this.#unseen.splice(mark.unseen)
    this.#isTold &&= mark.isTold
  }

  /**
   * Runs a statement of the transaction's.
   *
   * @throws ConfigError when its work is over. Sent behind COMMIT or ROLLBACK, the statement would be a transaction of its own, which nobody is told of,
   * on a connection that somebody else may have by then.
   */
  async run<Answer>(statement: () => Promise<Answer>): Promise<Answer> {
    assertRunning(this)
    this.#underWay++
    try {
      return await statement()
    } finally {
      this.#underWay--
      if (this.#underWay === 0) this.#whenIdle?.()
    }
  }

  /** Lets nothing begin any more, and resolves when what is under way has ended: nobody may have waited for it, but it is the transaction's. */
  async end(): Promise<void> {
    this.#ended = true
    if (this.#underWay === 0) return
    await new Promise<void>((resolve) => {
      this.#whenIdle = resolve
    })
  }
}

const logs = new WeakMap<object, WriteLog>()

/**
 * The log of a transaction that `corral.transaction` opened.
 *
 * @param fencer of the instance that asks.
 * @throws ConfigError for any other transaction, for one of another instance, and for one that has ended.
 */
export function writeLogOf(tx: object, fencer: Fencer): WriteLog {
  const log = logs.get(tx)
  if (log === undefined)
    throw new ConfigError('tx', 'the transaction given to the callback of corral.transaction()', tx)
  // What is written would be told to the other one's cache.
  if (log.fencer !== fencer)
    throw new ConfigError('tx', 'a transaction of the same instance', inWords('one of another instance'))
  assertRunning(log)
  return log
}

/** What is told of a transaction that has ended nobody would hear. */
function assertRunning({ ended }: WriteLog): void {
  if (ended) throw new ConfigError('tx', 'a transaction that is still running', inWords('one that has ended'))
}

/**
 * Runs `work` in one database transaction and tells the cache afterwards.
 *
 * Rolled back: the cache hears nothing. Committed: floors, fences, messages, in this order. Connection lost during COMMIT: it
 * counts as committed, and is checked.
 *
 * @throws whatever `work` or the database threw, untouched. SourceError when a statement failed, `work` went on as if it had not, and
 * the database can therefore only roll back.
 */
export function runTransaction<DB, Value>(
  parts: TransactionParts<DB>,
  options: TransactionOptions,
  work: (tx: CorralTransaction<DB>) => Promise<Value>,
): Promise<TransactionResult<Value>> {
  return parts.calls.count(run(parts, options, work))
}

async function run<DB, Value>(
  { db, fencer, watch }: TransactionParts<DB>,
  options: TransactionOptions,
  work: (tx: CorralTransaction<DB>) => Promise<Value>,
): Promise<TransactionResult<Value>> {
  const log = new WriteLog(fencer)
  // Before the transaction holds a connection: with a pool of one there is no other to open tables on.
  await watch.tables.openAll()
  const session = sessionLog(options.session)
  let workIsDone = false
  let value: Value
  try {
    let builder = db.transaction()
    if (options.isolationLevel) builder = builder.setIsolationLevel(options.isolationLevel)
    if (options.accessMode) builder = builder.setAccessMode(options.accessMode)
    value = await builder.execute(async (transaction) => {
      let result: Value
      try {
        result = await work(track(transaction, log, watch))
      } finally {
        await log.end()
      }
      await assertCommittable(transaction, log)
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
  }
  for (const write of log.unseen) watch.emit({ type: 'write.unseen', ...write })
  return { value, fence: await tellCache(fencer, session, log.changes) }
}

/** Of an aborted transaction Postgres makes a rollback when it is told to commit, and calls that a success. */
async function assertCommittable(transaction: AnyDatabase, log: WriteLog): Promise<void> {
  const { failure } = log
  if (failure === undefined) return
  try {
    await sql`select 1`.execute(transaction.withoutPlugins())
  } catch {
    throw new SourceError('commit of a transaction in which a statement had failed', failure)
  }
}

/**
 * What follows a commit. The session learns of rows at once, and of marks only when the cache does not know yet: once it does, every
 * process sees queries change.
 */
export async function tellCache(
  fencer: Fencer,
  session: SessionLog | undefined,
  changes: readonly Change[],
): Promise<FenceState> {
  session?.wrote(changes.filter(({ key }) => !isMark(key)))
  const fence = await fencer.afterCommit(changes)
  if (fence === 'pending') session?.wrote(changes.filter(({ key }) => isMark(key)))
  return fence
}

function track<DB>(transaction: Transaction<DB>, log: WriteLog, parts: WatchParts): CorralTransaction<DB> {
  let savepoints = 0
  const watch = new TableWatch(parts, transaction, log)
  const tx: CorralTransaction<DB> = Object.assign(captureWrites(transaction, watch), {
    async touched(table: keyof DB & string, ids: readonly unknown[] = []): Promise<void> {
      await log.run(async () => {
        await watch.touched(realTable(transaction, table), ids)
        log.told()
      })
    },
    async savepoint<Value>(work: (tx: CorralTransaction<DB>) => Promise<Value>): Promise<Value> {
      const name = sql.id(`corral_${++savepoints}`)
      await log.run(() => sql`savepoint ${name}`.execute(transaction))
      // Once the server has answered: what it was asked before, and may still have been at when this was called, is noted by then and stays.
      const mark = log.mark()
      try {
        const value = await work(tx)
        await log.run(() => sql`release savepoint ${name}`.execute(transaction))
        return value
      } catch (error) {
        // Nobody has waited for it: what it wrote stays or goes with the transaction.
        if (log.ended) throw error
        // If even this fails the connection is gone, and the next statement says so; the caller needs the first error.
        await log.run(() => sql`rollback to savepoint ${name}`.execute(transaction)).catch(() => {})
        // Behind it, for the same reason: what was sent until then is undone.
        log.rewind(mark)
        throw error
      }
    },
  })
  logs.set(tx, log)
  return tx
}
