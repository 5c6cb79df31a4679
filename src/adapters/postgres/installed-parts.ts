import { sql } from 'kysely'
import { SourceError } from '../../core/errors.js'
import type { AnyDatabase } from './catalog-query.js'
import { LOCKS_NAME } from './lock-sql.js'
import { CORRAL_SCHEMA, OUTBOX_TRIGGER } from './outbox-sql.js'
import { PUBLICATION } from './slot-sql.js'
import { REKEY_TRIGGER, RESTAMP_TRIGGER, STAMP_TRIGGER, TOMBSTONE_TRIGGER } from './stamp-sql.js'

/** One trigger of Corral's on a table or on a partition of it. */
export interface InstalledTrigger {
  readonly name: string
  /** `pg_trigger.tgenabled`: `A` is the one that always fires. */
  readonly enabled: string
  /** Where its function is, and the body it has. */
  readonly schema: string
  readonly source: string
}

export interface InstalledRelation {
  /** As SQL names it. */
  readonly relation: string
  /** False for a partition. */
  readonly isRoot: boolean
  readonly triggers: readonly InstalledTrigger[]
}

/** What Corral's migrations have left on one table: the table itself first, then its partitions. */
export async function readInstalledTriggers(
  db: AnyDatabase,
  { schema, name }: { readonly schema: string; readonly name: string },
): Promise<readonly InstalledRelation[]> {
  const text = await one(
    db,
    `reading the triggers of ${schema}.${name}`,
    sql`select coalesce(json_agg(json_build_object('relation', r.oid::regclass::text, 'isRoot', r.oid = c.oid,
        'triggers', (select coalesce(json_agg(json_build_object('name', g.tgname, 'enabled', g.tgenabled, 'schema', p.pronamespace::regnamespace::text,
            'source', p.prosrc) order by g.tgname), '[]')
          from pg_trigger g join pg_proc p on p.oid = g.tgfoid where g.tgrelid = r.oid and g.tgname like ${'zz\\_corral\\_%'})
      ) order by r.oid <> c.oid, r.oid::regclass::text), '[]')::text as text
      from pg_class c join pg_namespace n on n.oid = c.relnamespace
        cross join lateral (select c.oid union select relid::oid from pg_partition_tree(c.oid)) r
      where n.nspname = ${schema} and c.relname = ${name}`,
  )
  return JSON.parse(text)
}

/** What the tables share. */
export interface InstalledShared {
  readonly outbox: boolean
  /** Body of the function that prunes the outbox; empty where there is none. */
  readonly pruneSource: string
  readonly locks: boolean
  /** The publication that slots read; its tables as `schema.name`. */
  readonly publication: boolean
  readonly published: readonly string[]
}

export async function readInstalledShared(db: AnyDatabase): Promise<InstalledShared> {
  const text = await one(
    db,
    `reading schema ${CORRAL_SCHEMA}`,
    sql`select json_build_object(
      'outbox', (select count(*) = 3 from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where n.nspname = ${CORRAL_SCHEMA} and c.relname in ('outbox', 'positions', 'epochs')),
      'pruneSource', coalesce((select p.prosrc from pg_proc p join pg_namespace n on n.oid = p.pronamespace
        where n.nspname = ${CORRAL_SCHEMA} and p.proname = 'prune_outbox'), ''),
      'locks', exists (select from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where n.nspname = ${CORRAL_SCHEMA} and c.relname = ${LOCKS_NAME}),
      'publication', exists (select from pg_publication where pubname = ${PUBLICATION}),
      'published', (select coalesce(json_agg(n.nspname || '.' || c.relname), '[]') from pg_publication_rel r join pg_publication p on p.oid = r.prpubid
        join pg_class c on c.oid = r.prrelid join pg_namespace n on n.oid = c.relnamespace where p.pubname = ${PUBLICATION}))::text as text`,
  )
  return JSON.parse(text)
}

/** The body of the function that a statement of a migration makes; undefined for other statements. */
export function functionBody(statement: string): string | undefined {
  const [, , body] = /^create or replace function [\s\S]*? as (\$corral\d*\$)([\s\S]*)\1$/.exec(statement) ?? []
  return body
}

export const STAMP_TRIGGERS = {
  stamp: STAMP_TRIGGER,
  restamp: RESTAMP_TRIGGER,
  tombstone: TOMBSTONE_TRIGGER,
  rekey: REKEY_TRIGGER,
} as const
export const OUTBOX_TRIGGERS = { row: `${OUTBOX_TRIGGER}_row`, truncate: `${OUTBOX_TRIGGER}_truncate` } as const

async function one(db: AnyDatabase, what: string, query: ReturnType<typeof sql>): Promise<string> {
  try {
    const { rows } = await query.execute(db.withoutPlugins())
    return (rows[0] as { text: string }).text
  } catch (error) {
    throw new SourceError(what, error)
  }
}
