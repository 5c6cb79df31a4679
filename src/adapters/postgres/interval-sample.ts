import { sql } from 'kysely'
import { SourceError } from '../../core/errors.js'
import type { AnyDatabase } from './catalog-query.js'

/**
 * An interval as rows have it, asked of the driver and the plugins themselves: the class of such values comes with the driver, of which there may be
 * several installs, and the application may have a parser of its own for them. @throws SourceError
 */
export async function readInterval(db: AnyDatabase): Promise<unknown> {
  try {
    // No underscore: name-mapping plugins leave it alone.
    const sample = sql<unknown>`interval '1 day'`.as('corralinterval')
    return (await db.selectNoFrom(sample).executeTakeFirstOrThrow()).corralinterval
  } catch (error) {
    throw new SourceError('asking for an interval', error)
  }
}
