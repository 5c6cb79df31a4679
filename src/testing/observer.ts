import { AsyncLocalStorage } from 'node:async_hooks'
import { outcomeIsUnknown } from '../adapters/postgres/row-writer.js'
import { machineMs } from '../core/clock.js'
import { ConfigError, isCorralError } from '../core/errors.js'
import type { CorralEvent } from '../core/events.js'
import { refuseUnknown } from '../core/known-options.js'
import { successor, type Version } from '../core/version.js'
import type { Session } from '../session.js'
import type { History } from './history.js'
import { checkKeyIn, checkWatched, rowKeyOf, stampOf, type WatchedTable } from './watched-table.js'

/** What an observed method of a repository looks like from here. */
type Method = (...values: unknown[]) => Promise<unknown>

interface Written {
  readonly row: object
  readonly version: string | undefined
  readonly fence: 'fenced' | 'pending'
}

export interface ObserverOptions {
  readonly process: string
  readonly history: History
  readonly nowMs?: () => number
  readonly followsReads?: boolean
}

const OPTION_NAMES = ['process', 'history', 'nowMs', 'followsReads']
const READS = ['find', 'findMany']
const WRITES = ['insert', 'update', 'upsert', 'delete', 'mutate']

interface Reading {
  readonly by: Observer
  fromMemory: boolean
}

/** The read in the course of which an event is told. One for all observers: each of its kind slows every promise of the process down. */
const underWay = new AsyncLocalStorage<Reading>()

/**
 * Notes down what the repositories of one process are asked and what they answer.
 *
 * Hand `onEvent` to `createCorral`, so that answers from memory are told from others. Times are those of the clock that all processes
 * of a machine share, unless another one is given.
 */
export class Observer {
  readonly process: string
  readonly #history: History
  readonly #nowMs: () => number
  readonly #followsReads: boolean
  readonly #sessions = new WeakMap<Session, string>()
  /** Where reads are not followed: those that any answer from memory may be one to. */
  readonly #candidates = new Set<Reading>()

  /**
   * @param options.followsReads false: reads are not followed through their promises, which slows every promise of the process down a
   * little. An answer from memory then counts for every read with options that is under way. Default: true.
   * @throws ConfigError
   */
  constructor(options: ObserverOptions) {
    check(options)
    this.process = options.process
    this.#history = options.history
    this.#nowMs = options.nowMs ?? machineMs
    this.#followsReads = options.followsReads ?? true
  }

  /** Bound, to be handed on. */
  readonly onEvent = (event: CorralEvent): void => {
    if (event.type !== 'hit' || event.tier !== 'l1') return
    const read = this.#followsReads ? underWay.getStore() : undefined
    if (read?.by === this) read.fromMemory = true
    for (const candidate of this.#candidates) candidate.fromMemory = true
  }

  /** Reads and writes under this session are held against each other from now on, in all processes that call it by this name. */
  name(session: Session, name: string): Session {
    this.#sessions.set(session, name)
    return session
  }

  /**
   * The repository, with its `find`, `findMany`, `insert`, `update`, `upsert`, `delete` and `mutate` observed. Other calls pass
   * through, `in(tx)` among them: what a transaction wrote is for the caller to note.
   *
   * @throws ConfigError; so do reads and writes of rows that lack the key or the stamp that the table was said to have.
   */
  watch<Repository extends object>(repository: Repository, table: WatchedTable): Repository {
    checkWatched(table)
    return new Proxy(repository, {
      get: (target, name, receiver) => {
        const found = Reflect.get(target, name, receiver)
        if (typeof found !== 'function') return found
        const method = found.bind(target) as Method
        const peek = Reflect.get(target, 'peek', receiver) as unknown
        const held = typeof peek === 'function' ? (id: unknown) => peek.call(target, id) !== undefined : () => true
        if (READS.includes(String(name))) return this.#reading(method, table, held)
        return WRITES.includes(String(name)) ? this.#writing(String(name), method, table) : method
      },
    })
  }

  #reading(method: Method, table: WatchedTable, isHeld: (id: unknown) => boolean): Method {
    return async (...values) => {
      const [asked, options] = values
      const ids = Array.isArray(asked) ? asked : [asked]
      const held = ids.length > 1 ? ids.map(isHeld) : []
      const startedMs = this.#nowMs()
      const read: Reading = { by: this, fromMemory: false }
      const found = await this.#ask(read, options !== undefined, () => method(...values))
      const endedMs = this.#nowMs()
      // Events do not say which of several rows they are about. Those that were not held when memory was asked it did not answer; with options
      // it is asked later than this.
      const mayBeHeld = (at: number) => ids.length === 1 || options !== undefined || held[at] || rows[at] === undefined
      const rows = Array.isArray(asked) ? (found as unknown[]) : [found]
      // Before any of them is noted: a row under another key or stamp than its own would be held against the cache.
      const versions = rows.map((row) => (row === undefined ? null : labelOf(table, row as object)))
      const { session, consistency } = (options ?? {}) as { session?: Session; consistency?: unknown }
      for (const [at, id] of ids.entries()) {
        this.#history.read({
          ...{ process: this.process, key: rowKeyOf(table, id), startedMs, endedMs },
          version: versions[at] as string | null,
          from: read.fromMemory && mayBeHeld(at) ? 'memory' : undefined,
          session: session && this.#sessions.get(session),
          maxStaleMs: boundIn(consistency),
          says: rows[at] === undefined ? undefined : table.says?.(rows[at] as object),
        })
      }
      return found
    }
  }

  /** @param asksLate memory is not asked before the call returns. */
  async #ask(read: Reading, asksLate: boolean, ask: () => Promise<unknown>): Promise<unknown> {
    if (this.#followsReads) return underWay.run(read, ask)
    this.#candidates.add(read)
    try {
      const answer = ask()
      if (!asksLate) this.#candidates.delete(read)
      return await answer
    } finally {
      this.#candidates.delete(read)
    }
  }

  #writing(name: string, method: Method, table: WatchedTable): Method {
    const idFirst = name !== 'insert' && name !== 'upsert'
    return async (...values) => {
      const startedMs = this.#nowMs()
      const { session } = (values[idFirst && name !== 'delete' ? 2 : 1] ?? {}) as { session?: Session }
      const note = { process: this.process, startedMs, session: session && this.#sessions.get(session) }
      let written: Written | undefined
      try {
        written = (await method(...values)) as Written | undefined
      } catch (error) {
        // Nothing tells which row an insert without an answer has made.
        const key = idFirst ? rowKeyOf(table, values[0]) : undefined
        if (key !== undefined && mayHaveCommitted(error)) {
          this.#history.write({ ...note, key, endedMs: this.#nowMs(), version: null, outcome: 'unknown' })
        }
        throw error
      }
      if (written === undefined) return undefined
      const absent = name === 'delete'
      const version = stampOfWrite(table, written)
      this.#history.write({
        ...note,
        key: rowKeyOf(table, idFirst ? values[0] : written.row),
        endedMs: this.#nowMs(),
        version: version === undefined ? null : absent ? successor(version as Version) : version,
        absent,
        outcome: written.fence,
      })
      return written
    }
  }
}

function mayHaveCommitted(error: unknown): boolean {
  return !isCorralError(error) && outcomeIsUnknown(error)
}

/** @throws ConfigError where the row is not what the table was said to have. */
function labelOf(table: WatchedTable, row: object): string {
  checkKeyIn(table, row)
  return stampOf(table, row)
}

/** @throws ConfigError where reads would be compared with it by something else than the stamp. */
function stampOfWrite(table: WatchedTable, { row, version }: Written): string | undefined {
  const label = labelOf(table, row)
  if (table.version === false || version === undefined) return undefined
  if (label === version) return version
  throw new ConfigError(`watch ${table.name}.version`, `the column with the version of writes, ${version}`, label)
}

function check(options: ObserverOptions): void {
  if (typeof options !== 'object' || options === null) {
    throw new ConfigError('Observer', 'options: `{ process, history }`', options)
  }
  refuseUnknown('Observer', options, OPTION_NAMES)
  const { process, history, nowMs, followsReads } = options
  if (typeof process !== 'string' || process === '') throw new ConfigError('Observer.process', 'a name', process)
  if (typeof history?.read !== 'function' || typeof history.write !== 'function') {
    throw new ConfigError('Observer.history', 'a History', history)
  }
  if (nowMs !== undefined && typeof nowMs !== 'function') throw new ConfigError('Observer.nowMs', 'a function', nowMs)
  if (followsReads !== undefined && typeof followsReads !== 'boolean') {
    throw new ConfigError('Observer.followsReads', 'true or false', followsReads)
  }
}

function boundIn(consistency: unknown): number | undefined {
  if (typeof consistency !== 'object' || consistency === null) return undefined
  const { maxStaleMs } = consistency as { maxStaleMs?: unknown }
  return typeof maxStaleMs === 'number' ? maxStaleMs : undefined
}
