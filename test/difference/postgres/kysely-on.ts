import {
  type CompiledQuery,
  type DatabaseConnection,
  type Driver,
  Kysely,
  PostgresAdapter,
  PostgresIntrospector,
  PostgresQueryCompiler,
} from 'kysely'
import type { AnyDatabase } from '../../../src/adapters/postgres/catalog-query.js'

export type Row = Record<string, unknown>
type Run = (sql: string, parameters: readonly unknown[]) => Promise<Row[]>

/** One connection, each of whose statements is handed to `run` as it would leave for a server. */
export function kyselyOn(run: Run): AnyDatabase {
  const connection: DatabaseConnection = {
    async executeQuery<Result>({ sql, parameters }: CompiledQuery) {
      const rows = await run(sql, parameters)
      return { rows: rows as Result[], numAffectedRows: BigInt(rows.length) }
    },
    streamQuery() {
      throw new Error('nothing is streamed here')
    },
  }
  const nothing = async () => {}
  const driver: Driver = {
    ...{ init: nothing, acquireConnection: async () => connection, releaseConnection: nothing, destroy: nothing },
    ...{ beginTransaction: nothing, commitTransaction: nothing, rollbackTransaction: nothing },
  }
  return new Kysely({
    dialect: {
      createAdapter: () => new PostgresAdapter(),
      createQueryCompiler: () => new PostgresQueryCompiler(),
      createIntrospector: (db) => new PostgresIntrospector(db),
      createDriver: () => driver,
    },
  })
}
