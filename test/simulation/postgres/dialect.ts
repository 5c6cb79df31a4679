import {
  CompiledQuery,
  type DatabaseConnection,
  type Dialect,
  Kysely,
  PostgresAdapter,
  PostgresIntrospector,
  PostgresQueryCompiler,
  type QueryResult,
  type TransactionSettings,
} from 'kysely'
import type { Host } from '../host.js'
import type { Scheduler } from '../scheduler.js'
import { type Latency, travelMs } from '../wire.js'
import { isAboutCatalog } from './catalog.js'
import type { Database } from './database.js'
import { type Replica, Session } from './session.js'

/** What befalls a statement: it never gets to the server, or only after the client has given it up, or its answer is lost. */
export type StatementFault = 'lost' | 'late' | 'unanswered'

export interface SimulatedPostgres {
  readonly scheduler: Scheduler
  readonly database: Database
  readonly host: Host
  readonly latency: Latency
  /** Of loads. Default: the same. */
  readonly loadLatency?: Latency | undefined
  /** Left out: this is the primary. */
  readonly replica?: Replica | undefined
  /** To this process, the table's columns are in another order. */
  readonly isAltered?: boolean
  /** Asked for each statement; undefined: nothing befalls it. */
  readonly faultOf: (sql: string) => StatementFault | undefined
  /** Told of every statement that loads rows by id. Returns what to call when it is over. */
  readonly onLoad?: (ids: readonly string[]) => () => void
  /** A statement failed in a way no database fails. */
  readonly onBug: (error: unknown) => void
}

/** What node-postgres says of a connection that is gone: no server has said it, so it settles nothing. */
const LOST = 'Connection terminated unexpectedly'

/** How long after its client a late statement arrives, at most. */
const LATEST_MS = 400

/** Kysely over the simulated database, as one process has it; and what the server does when that process is gone. */
export function kyselyOver<DB>(postgres: SimulatedPostgres): { readonly db: Kysely<DB>; hangUp(): void } {
  const driver = new SimulatedDriver(postgres)
  const dialect: Dialect = {
    createAdapter: () => new PostgresAdapter(),
    createQueryCompiler: () => new PostgresQueryCompiler(),
    createIntrospector: (db) => new PostgresIntrospector(db),
    createDriver: () => driver,
  }
  return { db: new Kysely<DB>({ dialect }), hangUp: () => driver.hangUp() }
}

class SimulatedDriver {
  readonly #postgres: SimulatedPostgres
  readonly #idle: Connection[] = []
  readonly #all = new Set<Connection>()

  constructor(postgres: SimulatedPostgres) {
    this.#postgres = postgres
  }

  /** The process is gone: whatever its connections were in the middle of, some of what was sent may still arrive. */
  hangUp(): void {
    const { scheduler, latency } = this.#postgres
    for (const connection of this.#all) scheduler.after(travelMs(scheduler, latency), () => connection.close())
  }

  async init(): Promise<void> {}

  async acquireConnection(): Promise<DatabaseConnection> {
    const idle = this.#idle.pop()
    if (idle) return idle
    const connection = new Connection(this.#postgres)
    this.#all.add(connection)
    return connection
  }

  async beginTransaction(connection: DatabaseConnection, { isolationLevel }: TransactionSettings): Promise<void> {
    const begin = isolationLevel ? `start transaction isolation level ${isolationLevel}` : 'begin'
    await connection.executeQuery(CompiledQuery.raw(begin))
  }

  async commitTransaction(connection: DatabaseConnection): Promise<void> {
    await connection.executeQuery(CompiledQuery.raw('commit'))
  }

  async rollbackTransaction(connection: DatabaseConnection): Promise<void> {
    await connection.executeQuery(CompiledQuery.raw('rollback'))
  }

  async releaseConnection(connection: DatabaseConnection): Promise<void> {
    if ((connection as Connection).isBroken) this.#all.delete(connection as Connection)
    else this.#idle.push(connection as Connection)
  }

  async destroy(): Promise<void> {}
}

/** One connection: a statement at a time, each of which travels there, runs, and has its answer travel back. */
class Connection implements DatabaseConnection {
  isBroken = false
  readonly #postgres: SimulatedPostgres
  readonly #session: Session

  constructor(postgres: SimulatedPostgres) {
    this.#postgres = postgres
    this.#session = new Session(postgres.database, postgres.host.name, postgres.replica, postgres.isAltered ?? false)
  }

  close(): void {
    this.isBroken = true
    this.#session.close()
  }

  async executeQuery<Result>({ sql, parameters }: CompiledQuery): Promise<QueryResult<Result>> {
    if (this.isBroken) throw new Error(LOST)
    // A question to node-postgres itself, of which nothing is sent.
    if (typeof sql !== 'string') return { rows: [] }
    const { onLoad } = this.#postgres
    const loads = isLoad(sql) ? onLoad?.(idsIn(parameters)) : undefined
    try {
      const rows = await this.#travel(sql, parameters)
      return { rows: rows as Result[], numAffectedRows: BigInt(rows.length) }
    } finally {
      loads?.()
    }
  }

  streamQuery<Result>(): AsyncIterableIterator<QueryResult<Result>> {
    throw new Error('the simulated Postgres does not stream')
  }

  #travel(sql: string, parameters: readonly unknown[]): Promise<Record<string, unknown>[]> {
    const { scheduler, host, faultOf } = this.#postgres
    const latency = latencyOf(sql, this.#postgres)
    const fault = faultOf(sql)
    return new Promise((resolve, reject) => {
      const lose = () => {
        this.isBroken = true
        host.receive(() => reject(new Error(LOST)))
      }
      if (fault === 'lost' || fault === 'late') {
        scheduler.after(travelMs(scheduler, latency), lose)
        const close = () => this.#session.close()
        const lateMs = travelMs(scheduler, latency) + scheduler.between(0, LATEST_MS)
        scheduler.after(lateMs, () => {
          if (fault === 'late') void this.#run(sql, parameters).then(close, close)
          else close()
        })
        return
      }
      scheduler.after(travelMs(scheduler, latency), () => {
        // Of a process that has died, the server reads what had been sent, and then that nobody is there.
        void this.#run(sql, parameters).then(
          (rows) => this.#answer(fault, latency, () => resolve(rows), lose),
          (error) => this.#answer(fault, latency, () => reject(error), lose),
        )
      })
    })
  }

  #answer(fault: StatementFault | undefined, latency: Latency, arrive: () => void, lose: () => void): void {
    const { scheduler, host } = this.#postgres
    const isLost = fault === 'unanswered'
    if (isLost || host.isDead) this.#session.close()
    scheduler.after(travelMs(scheduler, latency), isLost ? lose : () => host.receive(arrive))
  }

  async #run(sql: string, parameters: readonly unknown[]): Promise<Record<string, unknown>[]> {
    try {
      return await this.#session.run(sql, parameters)
    } catch (error) {
      if (!(error instanceof Error && 'severity' in error)) this.#postgres.onBug(error)
      throw error
    }
  }
}

/** Half of a run would be over before all processes know their table, were what they ask of the catalog as slow as the rest. */
function latencyOf(sql: string, { latency, loadLatency = latency }: SimulatedPostgres): Latency {
  if (isAboutCatalog(sql)) return { ...latency, slowShare: 0 }
  return isLoad(sql) ? loadLatency : latency
}

function isLoad(sql: string): boolean {
  return sql.includes('"corralrow".*') && sql.includes('"corralrow"."id" = any')
}

function idsIn([ids]: readonly unknown[]): string[] {
  return JSON.parse(`[${String(ids).slice(1, -1)}]`)
}
