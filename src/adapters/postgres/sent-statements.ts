import {
  type CompiledQuery,
  type DatabaseConnection,
  type Dialect,
  type Driver,
  Kysely,
  type QueryResult,
} from 'kysely'
import type { AnyDatabase } from './catalog-query.js'

/**
 * The same database, and whether a statement was handed to one of its connections since. One that was not, because a plugin failed, it
 * cannot be compiled or no connection is to be had, was surely not carried out.
 *
 * For statements only: it cannot begin transactions.
 */
export function watchSending(db: AnyDatabase): { readonly db: AnyDatabase; wasSent(): boolean } {
  let isSent = false
  const executor = db.getExecutor()
  const watched = executor.withConnectionProvider({
    provideConnection: (consumer) =>
      executor.provideConnection((connection) => {
        const sending: DatabaseConnection = {
          executeQuery<Row>(query: CompiledQuery): Promise<QueryResult<Row>> {
            isSent = true
            return connection.executeQuery<Row>(query)
          },
          streamQuery<Row>(query: CompiledQuery, chunkSize: number) {
            isSent = true
            return connection.streamQuery<Row>(query, chunkSize)
          },
        }
        return consumer(sending)
      }),
  })
  // Kysely keeps the real ones to itself. Statements need the executor alone.
  const unused = { config: { dialect: {} as Dialect }, driver: {} as Driver, dialect: {} as Dialect }
  return { db: new Kysely({ ...unused, executor: watched }), wasSent: () => isSent }
}
