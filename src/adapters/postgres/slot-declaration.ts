import { sql } from 'kysely'
import { SourceError } from '../../core/errors.js'
import type { AnyDatabase } from './catalog-query.js'
import { CORRAL_SCHEMA } from './outbox-sql.js'
import { isUntold, type PublishedTable } from './slot-sql.js'

/** A table's rows as the migration for the slot knows them, and what of that no slot is told. */
export interface SlotDeclaration extends Pick<PublishedTable, 'key' | 'unique' | 'columns'> {
  readonly version: string | null
  readonly untold: readonly string[]
}

/** `none`: no migration knows the table. `hidden`: this role may not look. @throws SourceError */
export async function readSlotDeclaration(
  db: AnyDatabase,
  entity: string,
): Promise<SlotDeclaration | 'none' | 'hidden'> {
  const [may] = await run<{ may: string }>(
    db,
    sql`select (has_schema_privilege(n.oid, 'usage') and has_table_privilege(c.oid, 'select'))::text as may
      from pg_class c join pg_namespace n on n.oid = c.relnamespace where n.nspname = ${CORRAL_SCHEMA} and c.relname = 'slot_tables'`,
  )
  if (may?.may !== 'true') return 'hidden'
  const tables = sql.raw(`${CORRAL_SCHEMA}.slot_tables`)
  const [found] = await run<{ declared: string }>(
    db,
    sql`select json_build_object('key', t.key, 'version', t.version, 'unique', t.uniques, 'columns', t.columns,
        'untold', (select coalesce(json_agg(a.attname), '[]') from pg_attribute a
            join pg_class c on c.oid = a.attrelid join pg_namespace n on n.oid = c.relnamespace
          where n.nspname || '.' || c.relname = t.entity and a.attnum > 0 and not a.attisdropped and ${sql.raw(isUntold('a'))}))::text as declared
      from ${tables} t where t.entity = ${entity}`,
  )
  return found === undefined ? 'none' : JSON.parse(found.declared)
}

/** Whether the relay names each changed row by the key and all the lookups that `known` uses. A version need not be told: a change without one drops every entry of the row. */
export function tellsAs(
  { key, version, unique, untold }: SlotDeclaration,
  known: Pick<PublishedTable, 'key' | 'version' | 'unique'>,
): boolean {
  return (
    isSame(key, known.key) &&
    (known.version === undefined || version === null || version === known.version) &&
    known.unique.every((columns) => unique.some((each) => isSame(each, columns))) &&
    ![...known.key, ...known.unique.flat()].some((column) => untold.includes(column))
  )
}

function isSame(one: readonly string[], other: readonly string[]): boolean {
  return one.join('\0') === other.join('\0')
}

async function run<Row>(db: AnyDatabase, query: ReturnType<typeof sql>): Promise<Row[]> {
  try {
    return (await query.execute(db.withoutPlugins())).rows as Row[]
  } catch (error) {
    throw new SourceError('reading what the slot is told of', error)
  }
}
