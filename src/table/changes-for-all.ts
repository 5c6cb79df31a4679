import type { Written } from '../adapters/postgres/row-writer.js'
import type { Change } from '../core/change.js'
import type { CanonicalId } from '../core/ports.js'
import type { CachedTable } from './cached-table.js'
import type { ChangeDetails } from './changes.js'
import type { CachedTables } from './open-table.js'

/** What a write through one repository made old. Another one of the table may have lookups that this one does not know; rows and marks they share. */
export function changesForAll(
  tables: CachedTables,
  table: CachedTable,
  written: Written,
  details: ChangeDetails,
): Change[] {
  const lookups = othersOf(tables, table).flatMap((other) => other.lookupsOfWrite(written, details))
  return [...table.changesOfRow(written, details), ...lookups]
}

/** The same for a write whose outcome is unknown. */
export function unknownChangesForAll(
  tables: CachedTables,
  table: CachedTable,
  id: CanonicalId | undefined,
  values: object,
): Change[] {
  return [table, ...othersOf(tables, table)].flatMap((each) => each.unknownChanges(id, values))
}

function othersOf(tables: CachedTables, table: CachedTable): readonly CachedTable[] {
  return tables.of(table.facts.entity).filter((each) => each !== table)
}
