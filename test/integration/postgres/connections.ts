import { Kysely, type KyselyPlugin, type Logger, PostgresDialect, sql } from 'kysely'
import pg from 'pg'
import { afterAll, onTestFinished } from 'vitest'
import { KeptPool } from '../../support/servers/kept-pool.js'
import { waitUntil } from '../../support/servers/wait.js'

// biome-ignore lint/suspicious/noExplicitAny: these tests make up tables as they go
export type AnyDatabase = Kysely<any>

const opened: AnyDatabase[] = []
afterAll(() => Promise.all(opened.map((db) => db.destroy())))

/** A Kysely over its own pool, closed after the file's tests. */
export function openKysely(
  url: string,
  { plugins = [], pool, log }: { plugins?: KyselyPlugin[]; pool?: pg.PoolConfig; log?: Logger } = {},
): AnyDatabase {
  const connections = pool ? new pg.Pool({ connectionString: url, max: 4, ...pool }) : new KeptPool(url, 4)
  const dialect = new PostgresDialect({ pool: connections })
  const db = new Kysely({ dialect, plugins, ...(log && { log }) })
  opened.push(db)
  return db
}

/** One connection, for tests that step several transactions by hand; closed when the test is over, so that it leaves no lock behind. */
export class Session {
  readonly #client: pg.Client
  readonly #watcher: AnyDatabase
  #pid = 0

  private constructor(url: string, watcher: AnyDatabase) {
    this.#client = new pg.Client({ connectionString: url })
    this.#watcher = watcher
  }

  static async open(url: string, watcher: AnyDatabase): Promise<Session> {
    const session = new Session(url, watcher)
    await session.#client.connect()
    session.#pid = Number((await session.run('select pg_backend_pid() as pid'))[0]?.pid)
    onTestFinished(() => session.#client.end())
    return session
  }

  async run(statement: string, values: unknown[] = []): Promise<Record<string, unknown>[]> {
    return (await this.#client.query(statement, values)).rows
  }

  /** Starts a statement and resolves once it waits for another transaction; the result comes through `done`. */
  async runBlocked(statement: string): Promise<{ done: Promise<Record<string, unknown>[]> }> {
    const done = this.run(statement)
    done.catch(() => undefined)
    await waitUntil(`${statement} waits for a lock`, 5_000, async () => {
      const found = await sql<{
        count: string
      }>`select cardinality(pg_blocking_pids(${this.#pid}))::text as count`.execute(this.#watcher)
      return found.rows[0]?.count !== '0'
    })
    return { done }
  }
}
