import { sql } from 'kysely'
import { ConfigError, SourceError } from '../../core/errors.js'
import type { AnyDatabase } from './catalog-query.js'
import { CORRAL_SCHEMA, OUTBOX_TRIGGER } from './outbox-sql.js'

/** Whether every change of a table reaches the cache (`outbox`), or only what this package's own calls tell of it (`ttl-only`). */
export type Durability = 'outbox' | 'ttl-only'

/** Looks whether the table's outbox triggers are there and always fire. @throws SourceError */
export async function readDurability(db: AnyDatabase, entity: string): Promise<Durability> {
  const at = entity.indexOf('.')
  const [row] = await run<{ found: string }>(
    db,
    sql`select count(*)::text as found from pg_trigger g join pg_class c on c.oid = g.tgrelid join pg_namespace n on n.oid = c.relnamespace
      where n.nspname = ${entity.slice(0, at)} and c.relname = ${entity.slice(at + 1)}
        and g.tgname in (${`${OUTBOX_TRIGGER}_row`}, ${`${OUTBOX_TRIGGER}_truncate`}) and g.tgenabled = 'A'`,
  )
  return row?.found === '2' ? 'outbox' : 'ttl-only'
}

/**
 * The number of the namespace's epoch; undefined where the database has no outbox.
 *
 * @throws SourceError, and ConfigError when this role may not look: without the epoch, entries cannot be told from those it ended.
 */
export async function readEpoch(db: AnyDatabase, namespace: string): Promise<number | undefined> {
  const [found] = await run<{ allowed: string }>(
    db,
    sql`select (has_schema_privilege(n.oid, 'usage') and has_table_privilege(c.oid, 'select'))::text as allowed
      from pg_class c join pg_namespace n on n.oid = c.relnamespace where n.nspname = ${CORRAL_SCHEMA} and c.relname = 'epochs'`,
  )
  if (found === undefined) return undefined
  if (found.allowed !== 'true') {
    const grants = `grant usage on schema ${CORRAL_SCHEMA}, select on ${CORRAL_SCHEMA}.epochs to this role`
    throw new ConfigError('db', `a role that may read ${CORRAL_SCHEMA}.epochs; ${grants}`, 'no privilege')
  }
  const epochs = sql.raw(`${CORRAL_SCHEMA}.epochs`)
  const [row] = await run<{ number: string }>(
    db,
    sql`select number::text as number from ${epochs} where namespace = ${namespace}`,
  )
  return Number(row?.number ?? 0)
}

async function run<Row>(db: AnyDatabase, query: ReturnType<typeof sql>): Promise<Row[]> {
  try {
    return (await query.execute(db.withoutPlugins())).rows as Row[]
  } catch (error) {
    throw new SourceError('looking for the outbox', error)
  }
}
