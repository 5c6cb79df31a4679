import { readTable, type TableFacts, type TableRequest } from '../../../src/adapters/postgres/catalog.js'
import { canonicalId, IMPOSSIBLE, type KeyColumn } from '../../../src/adapters/postgres/key-column.js'
import { PostgresRowSource } from '../../../src/adapters/postgres/row-source.js'
import type { CanonicalId } from '../../../src/core/ports.js'
import type { AnyDatabase } from './connections.js'

/** Rows of a table by its key, as a repository would load them. */
export async function openSource(
  db: AnyDatabase,
  request: TableRequest,
): Promise<{ facts: TableFacts; source: PostgresRowSource }> {
  const facts = await readTable(db, request)
  return { facts, source: new PostgresRowSource({ db, facts }) }
}

/** The canonical form of an id that a row may have. */
export function idOf(columns: readonly KeyColumn[], id: unknown): CanonicalId {
  const canonical = canonicalId(columns, id)
  if (canonical === IMPOSSIBLE) throw new Error('an impossible id has no place in this test')
  return canonical
}
