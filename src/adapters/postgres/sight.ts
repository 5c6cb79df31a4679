import { sql } from 'kysely'
import { SourceError } from '../../core/errors.js'
import type { AnyDatabase } from './catalog-query.js'

/** How the server sees its transactions now, and whether it is the primary. @throws SourceError */
export async function readSight(db: AnyDatabase): Promise<{ snapshot: string; loadedFrom: 'primary' | 'standby' }> {
  const context = sql<{ snapshot: string; source: string }>`select pg_current_snapshot()::text as snapshot,
    case when pg_is_in_recovery() then 'standby' else 'primary' end as source`
  try {
    const { rows } = await context.execute(db.withoutPlugins())
    const [{ snapshot, source }] = rows as [{ snapshot: string; source: string }]
    return { snapshot, loadedFrom: source === 'primary' ? 'primary' : 'standby' }
  } catch (error) {
    throw new SourceError('asking for a snapshot', error)
  }
}
