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
 * Whether every change of all these reaches the cache: they are tables with outbox triggers, and none has heirs, which have triggers of
 * their own or none (partitions have those of their table). @throws SourceError
 */
export async function areRelayed(db: AnyDatabase, entities: readonly string[]): Promise<boolean> {
  const names = JSON.stringify(entities)
  const [row] = await run<{ missing: string }>(
    db,
    sql`select count(*)::text as missing from json_array_elements_text(${names}::json) as wanted(entity) where not exists (
        select from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where n.nspname || '.' || c.relname = wanted.entity and (c.relkind = 'p' or c.relkind = 'r' and not c.relhassubclass)
          and 2 = (select count(*) from pg_trigger g where g.tgrelid = c.oid and g.tgenabled = 'A'
            and g.tgname in (${`${OUTBOX_TRIGGER}_row`}, ${`${OUTBOX_TRIGGER}_truncate`})))`,
  )
  return row?.missing === '0'
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

/**
 * Raises the namespace's epoch by one, or to `least` if that is more. Returns its new number.
 *
 * @throws SourceError, and ConfigError where the database has no outbox to keep it in.
 */
export async function raiseEpoch(db: AnyDatabase, namespace: string, least: number): Promise<number> {
  if ((await readEpoch(db, namespace)) === undefined) {
    throw new ConfigError('db', 'a database with an outbox (outboxTables of corral/migrations)', 'none')
  }
  const epochs = sql.raw(`${CORRAL_SCHEMA}.epochs`)
  const [row] = await run<{ number: string }>(
    db,
    sql`insert into ${epochs} as e (namespace, number) values (${namespace}, ${least}::bigint)
      on conflict (namespace) do update set number = greatest(e.number + 1, excluded.number) returning number::text as number`,
  )
  return Number(row?.number)
}

async function run<Row>(db: AnyDatabase, query: ReturnType<typeof sql>): Promise<Row[]> {
  try {
    return (await query.execute(db.withoutPlugins())).rows as Row[]
  } catch (error) {
    throw new SourceError('looking for the outbox', error)
  }
}
