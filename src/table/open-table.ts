import { readTable, type TableFacts } from '../adapters/postgres/catalog.js'
import type { AnyDatabase } from '../adapters/postgres/row-writer.js'
import type { OpenTables } from '../engine/open-tables.js'
import { CachedTable } from './cached-table.js'
import { checkHotRows } from './hot-rows.js'
import type { TableOptions, TableParts } from './parts.js'
import type { TableKeys } from './table-keys.js'

/** The tables of an instance that have a repository. */
export type CachedTables = OpenTables<CachedTable, AnyDatabase>

/** What an instance does before a table is opened and when it was. */
interface Opening {
  readonly table: TableParts
  ready(on?: AnyDatabase): Promise<void>
  opened(facts: TableFacts, on?: AnyDatabase): Promise<void>
}

/**
 * Opens a repository's table, when it is first used.
 *
 * @param on the connection that is asked. Default: any.
 * @throws ConfigError when the table is not as the options say, SourceError when the database does not answer.
 */
export async function openTable(
  instance: Opening,
  options: TableOptions,
  keys: TableKeys,
  on?: AnyDatabase,
): Promise<CachedTable> {
  const { table: parts } = instance
  await instance.ready(on)
  const facts = await readTable(on ?? parts.db, options)
  checkHotRows(facts, options.hotKeys)
  const declared = keys.claim(facts)
  await parts.relations.find([facts], on)
  await instance.opened(facts, on)
  if (options.loadFrom === 'replica') parts.replica?.start()
  // Last, when nothing can fail any more: the instance is told of its memory and its readers, and never that they are of no use.
  return new CachedTable(parts, options, facts, declared)
}
