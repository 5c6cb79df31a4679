import { type DatabaseConnection, type Dialect, type Driver, Kysely } from 'kysely'
import type { AnyDatabase } from './catalog-query.js'

/**
 * The same database, but each statement runs on `wrap(connection)`. `wrap` sees statements after all plugins. Only for statements: a transaction
 * cannot begin on it.
 */
export function wrapConnections(
  db: AnyDatabase,
  wrap: (connection: DatabaseConnection) => DatabaseConnection,
): AnyDatabase {
  const executor = db.getExecutor()
  const wrapped = executor.withConnectionProvider({
    provideConnection: (consumer) => executor.provideConnection((connection) => consumer(wrap(connection))),
  })
  // Kysely keeps the real ones to itself. Statements need the executor alone.
  const unused = { config: { dialect: {} as Dialect }, driver: {} as Driver, dialect: {} as Dialect }
  return new Kysely({ ...unused, executor: wrapped })
}
