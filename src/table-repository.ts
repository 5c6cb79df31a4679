import { freezeRow, handOut } from './adapters/codec/read-only.js'
import { identityOf } from './adapters/postgres/key-column.js'
import { type AnyDatabase, commitStatus, outcomeIsUnknown, type Written } from './adapters/postgres/row-writer.js'
import { watchSending } from './adapters/postgres/sent-statements.js'
import type { Clock } from './core/clock.js'
import { KeyError, StaleWriteError } from './core/errors.js'
import type { CanonicalId } from './core/ports.js'
import type { Telemetry, WriteCall } from './core/telemetry.js'
import { toVersion } from './core/version.js'
import { withSignal } from './engine/with-signal.js'
import type { ReadOptions, UpdateOptions, WriteOptions } from './repository.js'
import { sessionLog } from './session.js'
import { bareCalls } from './table/bare-calls.js'
import type { CachedTable } from './table/cached-table.js'
import {
  checkCallOptions,
  checkIds,
  checkWork,
  columnsIn,
  lookupAt,
  patchedColumns,
  readChoice,
} from './table/call-arguments.js'
import type { ChangeDetails } from './table/changes.js'
import { changesForAll, unknownChangesForAll } from './table/changes-for-all.js'
import { expectedVersion, refuseStale } from './table/expected-version.js'
import type { Explanation } from './table/explain.js'
import type { OpenedOnce } from './table/open-once.js'
import type { WriteResult } from './table/repository-types.js'
import { type WarmProgress, type WarmUpOptions, type WarmUpSource, warmUp } from './table/warm-up.js'
import { renewInside, type UnseenWrite, unseenAlong } from './table/write-watch.js'
import { type CorralTransaction, runTransaction, type TransactionParts, tellCache, writeLogOf } from './transaction.js'

// biome-ignore lint/suspicious/noExplicitAny: the user's Database type is checked at the repository
export interface RepositoryParts extends TransactionParts<any>, OpenedOnce {
  /** The declared `unique` option, for finding the one a `findBy` names. */
  readonly unique: readonly (readonly string[])[]
  readonly clock: Clock
  readonly telemetry: Telemetry
}

const NO_ROW: Promise<undefined> = Promise.resolve(undefined)

// biome-ignore lint/suspicious/noExplicitAny: the user's Database type is checked at the repository
type AnyTransaction = CorralTransaction<any>

const WRITE_OPTIONS = ['session']
const UPDATE_OPTIONS = ['session', 'expectVersion']

type Decide = (row: object, tx: AnyTransaction) => object | undefined | Promise<object | undefined>

/**
 * `Repository` and `TransactionRepository` without their types, which `client.ts` puts on: here rows are objects.
 *
 * Reads go through `CachedTable`. A write is a statement first; only what that statement returned decides what is fenced.
 */
export class TableRepository {
  readonly #parts: RepositoryParts

  constructor(parts: RepositoryParts) {
    this.#parts = parts
  }

  find(id: unknown, options?: ReadOptions): Promise<object | undefined> {
    try {
      const table = options === undefined ? this.#parts.opened() : undefined
      // The shortest way there is: a hit waits for nothing but its row, and is not traced but counted.
      return table
        ? (table.recall(id) ?? this.#findIn(table, id))
        : this.#parts.calls.count(this.#find(id, options === undefined ? {} : options))
    } catch (error) {
      return Promise.reject(error)
    }
  }

  /** The row this process holds, if it may be trusted now; without waiting. */
  peek(id: unknown): object | undefined {
    return this.#parts.opened()?.peek(id)
  }

  async explain(id: unknown): Promise<Explanation> {
    const table = await this.#parts.table()
    const canonical = table.idOf(id)
    if (canonical === undefined) throw new KeyError('id', 'an id that a row can have', id)
    return table.explain(canonical)
  }

  async #find(id: unknown, options: ReadOptions): Promise<object | undefined> {
    const { consistency, session } = readChoice('find', options)
    const table = await withSignal(options.signal, this.#parts.tableToRead())
    const canonical = table.idOf(id)
    if (canonical === undefined) return undefined
    const span = this.#parts.telemetry.read('find', table.facts.entity)
    return span.run(() => withSignal(options.signal, table.readAs(canonical, consistency, session, span)))
  }

  #findIn(table: CachedTable, id: unknown): Promise<object | undefined> {
    const shared = table.shared?.join(id)
    if (shared) return shared
    const canonical = table.idOf(id)
    if (canonical === undefined) return NO_ROW
    const span = this.#parts.telemetry.read('find', table.facts.entity)
    return this.#parts.calls.count(span.run(() => table.read(canonical, span)))
  }

  findMany(ids: readonly unknown[], options?: ReadOptions): Promise<(object | undefined)[]> {
    return this.#parts.calls.count(this.#findMany(ids, options))
  }

  async #findMany(ids: readonly unknown[], options?: ReadOptions): Promise<(object | undefined)[]> {
    checkIds('findMany', ids)
    const choice = options === undefined ? undefined : readChoice('findMany', options)
    const table = this.#parts.opened() ?? (await withSignal(options?.signal, this.#parts.tableToRead()))
    const begin = () => this.#parts.telemetry.read('findMany', table.facts.entity, ids.length)
    if (choice === undefined) return table.readMany(ids, begin)
    const { consistency, session } = choice
    const span = begin()
    // An id that is asked for twice is read once.
    const answers = new Map<string, Promise<object | undefined>>()
    const read = (id: CanonicalId) => {
      const name = identityOf(id)
      const answer = answers.get(name)
      if (answer !== undefined) return answer.then((row) => row && handOut(row))
      const asked = table.readAs(id, consistency, session, span)
      answers.set(name, asked)
      return asked
    }
    const canonical = ids.map((id) => table.idOf(id))
    return span.run(() => withSignal(options?.signal, Promise.all(canonical.map((id) => id && read(id)))))
  }

  findBy(lookup: object, options: ReadOptions = {}): Promise<object | undefined> {
    return this.#parts.calls.count(this.#findBy(lookup, options))
  }

  async #findBy(lookup: object, options: ReadOptions): Promise<object | undefined> {
    const at = lookupAt(this.#parts.unique, lookup)
    const { consistency, session } = readChoice('findBy', options)
    const table = await withSignal(options.signal, this.#parts.tableToRead())
    const span = this.#parts.telemetry.read('findBy', table.facts.entity)
    return span.run(() => withSignal(options.signal, table.readBy(at, lookup, consistency, session, span)))
  }

  warm(source: WarmUpSource, options: WarmUpOptions = {}): Promise<WarmProgress> {
    return warmUp(this.#parts, source, options)
  }

  insert(values: object, options: WriteOptions = {}): Promise<WriteResult<object> | undefined> {
    return this.#parts.calls.count(this.#insert(values, options))
  }

  upsert(values: object, options: WriteOptions = {}): Promise<WriteResult<object> | undefined> {
    return this.#parts.calls.count(this.#upsert(values, options))
  }

  update(id: unknown, patch: object, options: UpdateOptions = {}): Promise<WriteResult<object> | undefined> {
    return this.#parts.calls.count(this.#update(id, patch, options))
  }

  delete(id: unknown, options: UpdateOptions = {}): Promise<WriteResult<object> | undefined> {
    return this.#parts.calls.count(this.#delete(id, options))
  }

  mutate(id: unknown, decide: Decide, options: WriteOptions = {}): Promise<WriteResult<object> | undefined> {
    return this.#parts.calls.count(this.#mutate(id, decide, options))
  }

  async #insert(values: object, options: WriteOptions): Promise<WriteResult<object> | undefined> {
    checkCallOptions('insert', options, WRITE_OPTIONS)
    columnsIn('insert', values)
    const table = await this.#parts.table()
    const insert = (db: AnyDatabase) => table.writer.insert(db, values)
    return this.#traced('insert', table, () => this.#write(table, values, undefined, {}, options, insert))
  }

  async #upsert(values: object, options: WriteOptions): Promise<WriteResult<object> | undefined> {
    checkCallOptions('upsert', options, WRITE_OPTIONS)
    const details = upsertOf(values)
    const table = await this.#parts.table()
    const upsert = (db: AnyDatabase) => table.writer.upsert(db, values)
    return this.#traced('upsert', table, () => this.#write(table, values, undefined, details, options, upsert))
  }

  async #update(id: unknown, patch: object, options: UpdateOptions): Promise<WriteResult<object> | undefined> {
    checkCallOptions('update', options, UPDATE_OPTIONS)
    const touched = patchedColumns('update', patch)
    const table = await this.#parts.table()
    const canonical = table.idOf(id)
    if (canonical === undefined) return undefined
    const expected = expectedVersion(table, options)
    const update = async (db: AnyDatabase) => {
      const written = await table.writer.update(db, canonical, patch, expected)
      return written ?? refuseStale(table, db, canonical, expected)
    }
    const details = { touched, formerId: canonical }
    return this.#traced('update', table, () => this.#write(table, patch, canonical, details, options, update))
  }

  async #delete(id: unknown, options: UpdateOptions): Promise<WriteResult<object> | undefined> {
    checkCallOptions('delete', options, UPDATE_OPTIONS)
    const table = await this.#parts.table()
    const canonical = table.idOf(id)
    if (canonical === undefined) return undefined
    const expected = expectedVersion(table, options)
    const remove = async (db: AnyDatabase) => {
      const written = await table.writer.delete(db, canonical, expected)
      return written ?? refuseStale(table, db, canonical, expected)
    }
    const details = { wasDeleted: true }
    return this.#traced('delete', table, () => this.#write(table, {}, canonical, details, options, remove))
  }

  async #mutate(id: unknown, decide: Decide, options: WriteOptions): Promise<WriteResult<object> | undefined> {
    checkCallOptions('mutate', options, WRITE_OPTIONS)
    checkWork('mutate', decide)
    const table = await this.#parts.table()
    return this.#traced('mutate', table, async () => {
      const { value, fence } = await runTransaction(this.#parts, options, async (tx) => {
        const inside = this.in(tx)
        const row = await inside.lock(id)
        if (row === undefined) return undefined
        const patch = await decide(row, tx)
        if (patch !== undefined && columnsIn('mutate', patch).length > 0) return inside.update(id, patch)
        return { row, version: versionIn(table, row), fence: 'at-commit' as const }
      })
      return value && { ...value, fence }
    })
  }

  in(tx: AnyTransaction) {
    const { fencer } = this.#parts
    const log = writeLogOf(tx, fencer)
    const table = () => {
      writeLogOf(tx, fencer)
      return this.#parts.tableInside()
    }
    const record = async (details: ChangeDetails, write: (table: CachedTable) => Promise<Written | undefined>) => {
      const opened = await table()
      const written = await renewInside(this.#parts.watch, opened, tx).then(() => write(opened))
      if (written === undefined) return undefined
      log.add(changesForAll(this.#parts.watch.tables, opened, written, details), written.xid)
      // All tables that can be were opened when the transaction began: now there may be no connection to open one on.
      const { tables } = this.#parts.watch
      for (const unseen of unseenAlong(tables, opened.alongWith(written, details))) log.addUnseen(unseen)
      return { row: freezeRow(written.row), version: written.version, fence: 'at-commit' as const }
    }
    const readAll = async (ids: readonly unknown[]) => {
      checkIds('findMany', ids)
      const opened = await table()
      const canonical = ids.map((id) => opened.idOf(id))
      const possible = canonical.filter((id) => id !== undefined)
      const rows = possible.length === 0 ? [] : await opened.readIn(tx, possible)
      return canonical.map((id) => (id === undefined ? undefined : rows.shift()))
    }
    return bareCalls(['find', 'findMany', 'findBy', 'lock', 'insert', 'upsert'], {
      find: async (id: unknown) => (await readAll([id]))[0],
      findMany: readAll,
      findBy: async (lookup: object) => (await table()).readByIn(tx, lookupAt(this.#parts.unique, lookup), lookup),
      lock: async (id: unknown) => {
        const opened = await table()
        const canonical = opened.idOf(id)
        const row = canonical && (await opened.writer.lock(tx, canonical))
        return row && freezeRow(row)
      },
      insert: async (values: object) => {
        columnsIn('insert', values)
        return record({}, (opened) => opened.writer.insert(tx, values))
      },
      upsert: async (values: object) => record(upsertOf(values), (opened) => opened.writer.upsert(tx, values)),
      update: async (id: unknown, patch: object, options: UpdateOptions = {}) => {
        checkCallOptions('update', options, ['expectVersion'])
        const touched = patchedColumns('update', patch)
        const opened = await table()
        const canonical = opened.idOf(id)
        if (canonical === undefined) return undefined
        const expected = expectedVersion(opened, options)
        return record({ touched, formerId: canonical }, async () => {
          const written = await opened.writer.update(tx, canonical, patch, expected)
          return written ?? refuseStale(opened, tx, canonical, expected)
        })
      },
      delete: async (id: unknown, options: UpdateOptions = {}) => {
        checkCallOptions('delete', options, ['expectVersion'])
        const opened = await table()
        const canonical = opened.idOf(id)
        if (canonical === undefined) return undefined
        const expected = expectedVersion(opened, options)
        return record({ wasDeleted: true }, async () => {
          const written = await opened.writer.delete(tx, canonical, expected)
          return written ?? refuseStale(opened, tx, canonical, expected)
        })
      },
    })
  }

  /** As one span: the statement, and what follows its commit. */
  #traced(call: WriteCall, { facts }: CachedTable, write: () => Promise<WriteResult<object> | undefined>) {
    return this.#parts.telemetry.write(call, facts.entity).run(write)
  }

  /** One statement outside a transaction: it commits by itself, so what follows a commit follows it. */
  async #write(
    table: CachedTable,
    values: object,
    id: CanonicalId | undefined,
    details: ChangeDetails,
    options: WriteOptions,
    write: (db: AnyDatabase) => Promise<Written | undefined>,
  ): Promise<WriteResult<object> | undefined> {
    const { fencer, db, watch } = this.#parts
    const session = sessionLog(options.session)
    await Promise.all([watch.relations.renew(table.facts), watch.tables.openNamed(table.facts.table)])
    const written = await watchSending(db, write, async (error) => {
      if (!outcomeIsUnknown(error) || error instanceof StaleWriteError) return
      const changes = unknownChangesForAll(watch.tables, table, id, values)
      session?.wrote(changes)
      await fencer.afterUnknownCommit(changes, null, (xid) => commitStatus(db, xid))
    })
    if (written === undefined) return undefined
    const changes = changesForAll(watch.tables, table, written, details)
    const fence = await tellCache(fencer, session, changes)
    for (const unseen of await this.#unseen(table, written, details)) watch.emit({ type: 'write.unseen', ...unseen })
    return { row: freezeRow(written.row), version: written.version, fence }
  }

  /** Rows that the database changed along with the one that was written, if there is a repository that may hold them. */
  async #unseen(table: CachedTable, written: Written, details: ChangeDetails): Promise<readonly UnseenWrite[]> {
    const along = table.alongWith(written, details)
    if (along === undefined) return []
    const { tables } = this.#parts.watch
    await tables.openAll()
    return unseenAlong(tables, along)
  }
}

function upsertOf(values: object): ChangeDetails {
  return { mayReplace: true, touched: columnsIn('upsert', values) }
}

function versionIn(table: CachedTable, row: object): string | undefined {
  const { version } = table.facts
  return version && toVersion((row as Record<string, unknown>)[version.property])
}
