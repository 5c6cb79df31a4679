import { sql } from 'kysely'
import { ConfigError, inWords, SourceError } from '../../core/errors.js'
import type { TableFacts } from './catalog.js'
import type { AnyDatabase } from './catalog-query.js'
import { isFunctionOf } from './corral-schema.js'
import type { KeyColumn } from './key-column.js'
import { CORRAL_SCHEMA, OUTBOX_TRIGGER } from './outbox-sql.js'
import { tellingOf } from './outbox-triggers-sql.js'
import { readSlotDeclaration, tellsAs } from './slot-declaration.js'
import { PUBLICATION } from './slot-sql.js'

/**
 * Whether every change of a table reaches the cache, by the triggers of the outbox or by a replication slot, or only what this package's own calls
 * tell of it (`ttl-only`).
 */
export type Durability = 'outbox' | 'slot' | 'ttl-only'

/**
 * Whether a relay is told of every change of the table: its outbox triggers are there and always fire, or it is published to the slot. Where the
 * namespace's relay has said which of the two it reads, only that one counts. These count as not told of:
 *
 * - an UNLOGGED table: a crash of the server empties it without firing a trigger;
 * - a renamed table: its changes are told under the former name;
 * - one whose migration names another key, version or lookups than the repository, or a generated column that the slot is not told of.
 *
 * @throws SourceError
 */
export async function readDurability(db: AnyDatabase, namespace: string, table: ToldTable): Promise<Durability> {
  const { entity, key, version, unique = [] } = table
  const namesOf = (columns: readonly KeyColumn[]) => columns.map(({ column }) => column)
  const known = key && { key: namesOf(key), version: version?.column, unique: unique.map(namesOf) }
  const [found = 'ttl-only'] = await readEach(db, namespace, [entity], { told: known ? tellingOf(known) : [] })
  return found !== 'slot' || !known || (await isToldBySlot(db, entity, known)) ? found : 'ttl-only'
}

/** A table as a repository knows it. Without a key: whatever it is known by. */
export type ToldTable = Pick<TableFacts, 'entity'> & Partial<Pick<TableFacts, 'key' | 'version' | 'unique'>>

/**
 * Whether every change of all these reaches the cache by one and the same way: they are tables, and none has heirs, which are told of
 * by their own triggers or publication, or not at all (partitions are with their table). @throws SourceError
 */
export async function areRelayed(db: AnyDatabase, namespace: string, entities: readonly string[]): Promise<boolean> {
  const found = new Set(await readEach(db, namespace, entities, { heirs: 'alone' }))
  return found.size <= 1 && !found.has('ttl-only')
}

async function readEach(
  db: AnyDatabase,
  namespace: string,
  entities: readonly string[],
  { heirs = 'any', told = [] }: { readonly heirs?: 'any' | 'alone'; readonly told?: readonly string[][] },
): Promise<Durability[]> {
  const names = JSON.stringify(entities)
  const source = await readSource(db, namespace)
  // The publication's tables as the catalog has them: a role that reads the cache need not read anything of the relay's.
  const rows = await run<{ triggers: string; published: string; alone: string }>(
    db,
    sql`select (select count(*) from pg_trigger g join pg_proc p on p.oid = g.tgfoid where g.tgrelid = c.oid and g.tgenabled = 'A'
          and g.tgname in (${`${OUTBOX_TRIGGER}_row`}, ${`${OUTBOX_TRIGGER}_truncate`})
          and ${sql.raw(isFunctionOf('whole.entity', 'p.proname'))}
          and (g.tgname <> ${`${OUTBOX_TRIGGER}_row`} or not exists (
            select from json_array_elements(${JSON.stringify(told)}::json) as list(pieces) where not exists (
              select from json_array_elements_text(pieces) as one(piece) where strpos(p.prosrc, piece) > 0))))::text as triggers,
        (select count(*) from pg_publication_rel r join pg_publication p on p.oid = r.prpubid
          where p.pubname = ${PUBLICATION} and r.prrelid = c.oid)::text as published,
        coalesce(c.relkind = 'p' or c.relkind = 'r' and not c.relhassubclass, false)::text as alone
      from json_array_elements_text(${names}::json) as wanted(entity)
        left join (pg_class c join pg_namespace n on n.oid = c.relnamespace)
          on n.nspname || '.' || c.relname = wanted.entity and c.relpersistence = 'p'
        left join lateral (select s.nspname || '.' || r.relname as entity from pg_class r join pg_namespace s on s.oid = r.relnamespace
          where r.oid = coalesce(pg_partition_root(c.oid), c.oid)) whole on true`,
  )
  return rows.map(({ triggers, published, alone }) => {
    if (heirs === 'alone' && alone !== 'true') return 'ttl-only'
    if (triggers === '2' && source !== 'slot') return 'outbox'
    return published === '1' && source !== 'outbox' ? 'slot' : 'ttl-only'
  })
}

/** Whether the slot is told of rows as they are known here. Also true where this role may not look. @throws SourceError */
async function isToldBySlot(db: AnyDatabase, entity: string, known: Parameters<typeof tellingOf>[0]): Promise<boolean> {
  const declared = await readSlotDeclaration(db, entity)
  return declared === 'hidden' || (declared !== 'none' && tellsAs(declared, known))
}

/** What the namespace's relay reads; null: none has ever been at work, or this role may not look, or there is neither outbox nor slot. */
async function readSource(db: AnyDatabase, namespace: string): Promise<string | null> {
  const epochs = sql.raw(`${CORRAL_SCHEMA}.epochs`)
  const [may] = await run<{ may: string }>(
    db,
    sql`select has_table_privilege(c.oid, 'select')::text as may from pg_class c join pg_namespace n on n.oid = c.relnamespace
      where n.nspname = ${CORRAL_SCHEMA} and c.relname = 'epochs'`,
  )
  if (may?.may !== 'true') return null
  const [row] = await run<{ source: string | null }>(
    db,
    sql`select source from ${epochs} where namespace = ${namespace}`,
  )
  return row?.source ?? null
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
    throw new ConfigError('db', 'a database with outboxTables or slotTables of corral/migrations', inWords('neither'))
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
