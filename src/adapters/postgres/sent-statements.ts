import type { CompiledQuery, QueryResult } from 'kysely'
import type { AnyDatabase } from './catalog-query.js'
import { wrapConnections } from './wrapped-connections.js'

/** A database of one statement at a time, and whether one was handed to a connection of it. */
interface Watched {
  readonly db: AnyDatabase
  isSent: boolean
}

/** Those that nobody uses now, by the database they are made from: one is made for each statement that is under way at a time. */
const idle = new WeakMap<AnyDatabase, Watched[]>()

/**
 * Runs `write` on the same database. If it fails after a statement was handed to a connection, `afterSending` runs first. One that was not, because a
 * plugin failed, it cannot be compiled or no connection is to be had, was surely not carried out.
 * For statements only: see `wrapConnections`.
 */
export async function watchSending<Result>(
  db: AnyDatabase,
  write: (db: AnyDatabase) => Promise<Result>,
  afterSending: (error: unknown) => Promise<void>,
): Promise<Result> {
  const unused = idleOf(db)
  const watched = unused.pop() ?? watch(db)
  watched.isSent = false
  try {
    return await write(watched.db)
  } catch (error) {
    if (watched.isSent) await afterSending(error)
    throw error
  } finally {
    unused.push(watched)
  }
}

function idleOf(db: AnyDatabase): Watched[] {
  const known = idle.get(db)
  if (known) return known
  const made: Watched[] = []
  idle.set(db, made)
  return made
}

function watch(db: AnyDatabase): Watched {
  const watched = {
    isSent: false,
    db: wrapConnections(db, (connection) => ({
      executeQuery<Row>(query: CompiledQuery): Promise<QueryResult<Row>> {
        watched.isSent = true
        return connection.executeQuery<Row>(query)
      },
      streamQuery<Row>(query: CompiledQuery, chunkSize: number) {
        watched.isSent = true
        return connection.streamQuery<Row>(query, chunkSize)
      },
    })),
  }
  return watched
}
