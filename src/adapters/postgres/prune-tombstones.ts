import { sql } from 'kysely'
import { SourceError } from '../../core/errors.js'
import type { AnyDatabase } from './catalog-query.js'
import { CORRAL_SCHEMA } from './outbox-sql.js'

/** Rows that one call deletes at most: a statement of well under a second. */
const MOST = 10_000

/**
 * Deletes tombstones older than seven days, a bounded number. True: more may be left. Does nothing where this role may not (it needs
 * SELECT and DELETE on `corral.tombstones`), or where the migrations have made none.
 *
 * @throws SourceError
 */
export async function pruneTombstones(db: AnyDatabase): Promise<boolean> {
  const table = `${CORRAL_SCHEMA}.tombstones`
  const prune = `${CORRAL_SCHEMA}.prune_tombstones`
  try {
    const { rows: found } = await sql<{ may: string }>`select coalesce(has_schema_privilege(${CORRAL_SCHEMA}, 'usage')
        and has_table_privilege(to_regclass(${table}), 'select') and has_table_privilege(to_regclass(${table}), 'delete'), false)::text as may
      where to_regprocedure(${`${prune}(interval, bigint)`}) is not null`.execute(db.withoutPlugins())
    if (found[0]?.may !== 'true') return false
    const { rows } = await sql<{ pruned: string }>`
      select ${sql.raw(prune)}(most => ${MOST})::text as pruned`.execute(db.withoutPlugins())
    return Number(rows[0]?.pruned) >= MOST
  } catch (error) {
    throw new SourceError('pruning tombstones', error)
  }
}
