import type { AnyDatabase } from '../adapters/postgres/row-writer.js'
import { ConfigError, inWords, StaleWriteError } from '../core/errors.js'
import type { CanonicalId } from '../core/ports.js'
import { toVersion } from '../core/version.js'
import type { CachedTable } from './cached-table.js'

/**
 * The version a write expects to find.
 *
 * @throws ConfigError for what is no version, undefined included, and for a table that has none.
 */
export function expectedVersion(table: CachedTable, options: { readonly expectVersion?: string }): string | undefined {
  // There and undefined, it is the `version` of a result that had none: without a look at it the row would be written whatever became of it.
  if (!('expectVersion' in options)) return undefined
  if (table.facts.version === undefined) {
    throw new ConfigError(
      'expectVersion',
      'a table with a version stamp',
      inWords(`${table.facts.entity}, which has none`),
    )
  }
  const given: unknown = options.expectVersion
  // A type parser may have made numbers of stamps. One that is not safe has lost digits.
  const expected = typeof given === 'number' && !Number.isSafeInteger(given) ? undefined : toVersion(given)
  if (expected === undefined) {
    throw new ConfigError('expectVersion', 'the `version` of an earlier result: a decimal string', given)
  }
  return expected
}

/** The statement matched nothing: no such row, or with an expected version a row that has moved on. */
export async function refuseStale(table: CachedTable, db: AnyDatabase, id: CanonicalId, expected: string | undefined) {
  if (expected === undefined) return undefined
  throw new StaleWriteError(table.facts.entity, expected, await table.writer.versionOf(db, id))
}
