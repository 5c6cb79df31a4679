import { sql } from 'kysely'
import { SourceError } from '../../core/errors.js'
import type { AnyDatabase } from './catalog-query.js'
import { CORRAL_SCHEMA } from './outbox-sql.js'

/** Rows that one call deletes at most: a statement of well under a second. */
const MOST = 10_000
const PRUNE = 'prune_tombstones'

/**
 * Deletes tombstones older than seven days, a bounded number. True: more may be left. Does nothing where this role may not (it needs
 * SELECT and DELETE on `corral.tombstones`), or where the migrations have made none.
 *
 * @throws SourceError
 */
export async function pruneTombstones(db: AnyDatabase): Promise<boolean> {
  const plain = db.withoutPlugins()
  try {
    const { rows: found } = await sql<{ may: string }>`
      select (has_schema_privilege(n.oid, 'usage') and has_table_privilege(c.oid, 'select') and has_table_privilege(c.oid, 'delete')
        and exists (select from pg_proc p where p.pronamespace = n.oid and p.proname = ${PRUNE} and p.pronargs = 2))::text as may
      from pg_class c join pg_namespace n on n.oid = c.relnamespace
      where n.nspname = ${CORRAL_SCHEMA} and c.relname = 'tombstones'`.execute(plain)
    if (found[0]?.may !== 'true') return false
    const prune = sql.raw(`${CORRAL_SCHEMA}.${PRUNE}`)
    const { rows } = await sql<{ pruned: string }>`select ${prune}(most => ${MOST})::text as pruned`.execute(plain)
    return Number(rows[0]?.pruned) >= MOST
  } catch (error) {
    throw new SourceError('pruning tombstones', error)
  }
}
