import {
  type CompiledQuery,
  type DatabaseConnection,
  type Dialect,
  type Driver,
  type ExplainNode,
  type QueryExecutor,
  type QueryResult,
  type RootOperationNode,
  Transaction,
} from 'kysely'
import {
  isOwnStatement,
  movesNames,
  type ReturnedRow,
  type Returning,
  type Told,
  type Write,
  withReturning,
  writesOf,
} from './write-statement.js'

/** A write that has happened. */
export interface DoneWrite extends Write {
  /** The rows it changed, or for a delete removed; undefined: not known. */
  readonly rows: readonly ReturnedRow[] | undefined
  /** The writing transaction; undefined: not known. */
  readonly xid: string | undefined
}

/** Whoever follows what a transaction writes. */
export interface WriteWatch {
  /** Runs a statement, or what is left of one. Rejects without doing so when none may run any more. */
  run<Answer>(statement: () => Promise<Answer>): Promise<Answer>
  /** Called before a statement behind which a name may mean another table than before. */
  namesMove(): void
  /**
   * Called before a statement runs. For each table it writes the columns to be told of every row; undefined: none are.
   *
   * @param on the transaction's connection, to ask what has to be known: the transaction itself lets nobody pass while its statement waits.
   */
  expect(writes: readonly Write[], on: Transaction<unknown>): Promise<readonly (readonly string[] | undefined)[]>
  /** Called after a statement has succeeded; a statement that changed no row is not mentioned. */
  happened(writes: readonly DoneWrite[]): void
  /** Called after raw SQL that may have written what nobody can tell. */
  unseen(word: string): void
  /** Called after a statement that failed. */
  failed(error: unknown): void
}

/**
 * The same transaction, followed: what its statements write is told to `watch`, results stay what they would be.
 *
 * It looks at statements where they leave for the connection, behind all plugins, so that names are the database's own and nothing
 * that is added for the watch reaches a plugin or the application. An INSERT, UPDATE or DELETE is made to return the columns that
 * are asked for.
 */
export function captureWrites<DB>(transaction: Transaction<DB>, watch: WriteWatch): Transaction<DB> {
  const executor = transaction.getExecutor()
  const followed = executor.withConnectionProvider({
    provideConnection: (consumer) =>
      executor.provideConnection((connection) => {
        const asking = () =>
          transactionOf(executor.withConnectionProvider({ provideConnection: (ask) => ask(connection) }))
        return consumer(new WatchedConnection(connection, executor, watch, asking))
      }),
  })
  return transactionOf<DB>(followed)

  function transactionOf<Tables>(by: QueryExecutor): Transaction<Tables> {
    // Kysely keeps these to itself. A transaction needs them for its introspection only, which the original one goes on doing.
    const dialect = { createIntrospector: () => transaction.introspection } as unknown as Dialect
    return new Transaction<Tables>({ config: { dialect }, driver: {} as Driver, dialect, executor: by })
  }
}

/** How Kysely 0.29 ends on the server what it does not wait for any more, where the driver can. */
const CONTROLS = ['collectSessionInfo', 'cancelQuery', 'killSession'] as const
type Controls = Partial<Record<(typeof CONTROLS)[number], (...values: unknown[]) => Promise<void>>>

function explainOf(root: RootOperationNode): ExplainNode | undefined {
  return (root as { explain?: ExplainNode }).explain
}

class WatchedConnection implements DatabaseConnection {
  readonly #connection: DatabaseConnection
  readonly #executor: QueryExecutor
  readonly #watch: WriteWatch
  /** Made for the few statements of which something has to be known. */
  readonly #asking: () => Transaction<unknown>

  constructor(
    connection: DatabaseConnection,
    executor: QueryExecutor,
    watch: WriteWatch,
    asking: () => Transaction<unknown>,
  ) {
    this.#connection = connection
    this.#executor = executor
    this.#watch = watch
    this.#asking = asking
    // Only those that there are: Kysely asks whether they are.
    for (const name of CONTROLS) {
      const control = (connection as Controls)[name]
      if (control) Object.assign(this, { [name]: (...values: unknown[]) => control.apply(connection, values) })
    }
  }

  async executeQuery<Row>(query: CompiledQuery): Promise<QueryResult<Row>> {
    try {
      return await this.#watch.run(() => this.#execute<Row>(query))
    } catch (error) {
      this.#watch.failed(error)
      throw error
    }
  }

  async *streamQuery<Row>(query: CompiledQuery, chunkSize: number): AsyncIterableIterator<QueryResult<Row>> {
    try {
      yield* this.#stream<Row>(query, chunkSize)
    } catch (error) {
      this.#watch.failed(error)
      throw error
    }
  }

  async #execute<Row>(query: CompiledQuery): Promise<QueryResult<Row>> {
    const followed = await this.#follow(query)
    if (followed === undefined) return this.#connection.executeQuery(query)
    const result = await this.#connection.executeQuery<Row>(followed.query)
    const told = followed.returning?.read(result.rows as Record<string, unknown>[])
    const changedNone = told ? told.rows.length === 0 : result.numAffectedRows === 0n
    followed.tell(changedNone, told)
    return told ? { ...result, rows: followed.returnsRows ? (told.ownRows as Row[]) : [] } : result
  }

  async *#stream<Row>(query: CompiledQuery, chunkSize: number): AsyncIterableIterator<QueryResult<Row>> {
    const followed = await this.#watch.run(() => this.#follow(query))
    if (followed === undefined) {
      yield* this.#chunks<Row>(query, chunkSize)
      return
    }
    const { returning } = followed
    const rows: ReturnedRow[] = []
    let xid: string | undefined
    let isOver = false
    let isComplete = false
    const chunks = this.#chunks<Row>(followed.query, chunkSize)
    const next = async (): Promise<QueryResult<Row> | undefined> => {
      const { done, value } = await chunks.next().catch((error) => {
        isOver = true
        throw error
      })
      if (done) {
        isOver = isComplete = true
        return undefined
      }
      if (returning === undefined) return value
      const told = returning.read(value.rows as Record<string, unknown>[])
      for (const row of told.rows) rows.push(row)
      xid ??= told.xid
      return { ...value, rows: told.ownRows as Row[] }
    }
    try {
      for (let chunk = await next(); chunk; chunk = await next()) yield chunk
    } finally {
      try {
        // The statement has changed all its rows by the time the first of them is read: whoever stops reading has changed the others, too.
        while (returning && !isOver) await next()
      } finally {
        await chunks.return?.()
        followed.tell(false, returning && isComplete ? { rows, xid } : undefined)
      }
    }
  }

  /** Each is asked for by itself: whoever reads may leave a stream open for ever. */
  async *#chunks<Row>(query: CompiledQuery, chunkSize: number): AsyncIterableIterator<QueryResult<Row>> {
    const chunks = this.#connection.streamQuery<Row>(query, chunkSize)
    try {
      for (;;) {
        const { done, value } = await this.#watch.run(() => chunks.next())
        if (done) return
        yield value
      }
    } finally {
      await chunks.return?.()
    }
  }

  /** Undefined: the statement writes nothing, or the SDK made it. */
  async #follow(query: CompiledQuery) {
    const root = query.query
    if (movesNames(root)) this.#watch.namesMove()
    // A plan without ANALYZE executes nothing.
    if (explainOf(root) && explainOf(root)?.options === undefined) return undefined
    const { tables, raw } = writesOf(root)
    if ((tables.length === 0 && raw === undefined) || isOwnStatement(root)) return undefined
    const columns = tables.length === 0 ? [] : await this.#watch.expect(tables, this.#asking())
    const outerAt = tables.findIndex(({ isOuter }) => isOuter)
    const returning = this.#returning(query, columns[outerAt])
    return {
      returnsRows: 'returning' in root && root.returning !== undefined,
      query: returning ? this.#executor.compileQuery(returning.node, query.queryId) : query,
      returning,
      tell: (changedNone: boolean, told: Told | undefined) => {
        const done = tables.flatMap((write, at): DoneWrite[] => {
          if (at !== outerAt) return [{ ...write, rows: undefined, xid: told?.xid }]
          return changedNone ? [] : [{ ...write, rows: told?.rows, xid: told?.xid }]
        })
        if (done.length > 0) this.#watch.happened(done)
        if (raw !== undefined) this.#watch.unseen(raw)
      },
    }
  }

  #returning(query: CompiledQuery, columns: readonly string[] | undefined): Returning | undefined {
    if (columns === undefined || explainOf(query.query)) return undefined
    // A statement whose text is not that of its tree was changed by hand, and must run as it is.
    if (this.#executor.compileQuery(query.query, query.queryId).sql !== query.sql) return undefined
    return withReturning(query.query, columns)
  }
}
