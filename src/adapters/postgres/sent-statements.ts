import type { CompiledQuery, QueryResult } from 'kysely'
import type { AnyDatabase } from './catalog-query.js'
import { wrapConnections } from './wrapped-connections.js'

/**
 * The same database, and whether a statement was handed to one of its connections since. One that was not, because a plugin failed, it
 * cannot be compiled or no connection is to be had, was surely not carried out.
 * For statements only: see `wrapConnections`.
 */
export function watchSending(db: AnyDatabase): { readonly db: AnyDatabase; wasSent(): boolean } {
  let isSent = false
  const watched = wrapConnections(db, (connection) => ({
    executeQuery<Row>(query: CompiledQuery): Promise<QueryResult<Row>> {
      isSent = true
      return connection.executeQuery<Row>(query)
    },
    streamQuery<Row>(query: CompiledQuery, chunkSize: number) {
      isSent = true
      return connection.streamQuery<Row>(query, chunkSize)
    },
  }))
  return { db: watched, wasSent: () => isSent }
}
