import type { AnyDatabase } from '../adapters/postgres/row-writer.js'
import { ConfigError, StaleWriteError } from '../core/errors.js'
import type { CanonicalId } from '../core/ports.js'
import { toVersion } from '../core/version.js'
import type { CachedTable } from './cached-table.js'

/**
 * The version a write expects to find.
 *
 * @throws ConfigError for what is no version, and for a table that has none.
 */
export function expectedVersion(table: CachedTable, options: { readonly expectVersion?: string }): string | undefined {
  const expected = options.expectVersion
  if (expected === undefined) return undefined
  if (table.facts.version === undefined) {
    throw new ConfigError('expectVersion', 'a table with a version stamp', `${table.facts.entity}, which has none`)
  }
  if (toVersion(expected) === undefined) {
    throw new ConfigError('expectVersion', 'the `version` of an earlier result: a decimal string', expected)
  }
  return expected
}

/** The statement matched nothing: no such row, or with an expected version a row that has moved on. */
export async function refuseStale(table: CachedTable, db: AnyDatabase, id: CanonicalId, expected: string | undefined) {
  if (expected === undefined) return undefined
  throw new StaleWriteError(table.facts.entity, expected, await table.writer.versionOf(db, id))
}
