import { sql } from 'kysely'
import { SourceError } from '../../core/errors.js'
import type { AnyDatabase } from './catalog-query.js'
import type { TableName } from './operation-tree.js'
import type { FunctionFacts } from './sql-functions.js'
import { STAMP_TRIGGER } from './stamp-sql.js'

/** What the catalog says of a relation that matters to results which depend on it. By real names. */
export interface CatalogRelation {
  /** `schema.name`. */
  readonly entity: string
  /** `pg_class.relkind`: r table, p partitioned table, v view, m materialised view, f foreign table. */
  readonly kind: string
  /** Only this connection sees it, or the database itself keeps it. */
  readonly special: boolean
  /** Where its inheritance or partition tree begins; itself when it is in none. A write anywhere in a tree may show everywhere in it. */
  readonly roots: readonly string[]
  /** A BEFORE UPDATE trigger of the application's may change columns no statement names. */
  readonly rewrites: boolean
  /** Fingerprint of its columns: names and types in order. */
  readonly columns: string
  /** Of a view: the tables below it, views resolved. */
  readonly bases: readonly string[]
}

/** A foreign key whose rows the database changes by itself when the rows they refer to change. */
export interface CascadingKey {
  /** The entity referred to. */
  readonly from: string
  /** Roots of the table that changes along. */
  readonly to: readonly string[]
  readonly entity: string
  readonly onDelete: boolean
  readonly onUpdate: boolean
  /** Columns referred to. */
  readonly columns: readonly string[]
}

export interface CatalogAnswer {
  /** One for each name, in order; null where there is none. */
  readonly relations: readonly (CatalogRelation | null)[]
  /** All cascading keys that lead away from these relations, and from where those lead to. */
  readonly cascades: readonly CascadingKey[]
  readonly functions: readonly FunctionFacts[]
}

/**
 * Looks relations and functions up as a statement on this connection would find them: without a schema, along the search path.
 * One statement, and without the user's plugins and type parsers.
 */
export async function readRelations(
  db: AnyDatabase,
  tables: readonly TableName[],
  functions: readonly string[],
): Promise<CatalogAnswer> {
  const paths = tables.map(({ schema, name }) => [...(schema === undefined ? [] : [schema]), name].map(quote).join('.'))
  const bare = functions.map((name) => name.slice(name.lastIndexOf('.') + 1))
  try {
    const { rows } = await query(JSON.stringify(paths), JSON.stringify(bare)).execute(db.withoutPlugins())
    return JSON.parse((rows[0] as { answer: string }).answer)
  } catch (error) {
    throw new SourceError(`reading the catalog for ${[...paths, ...functions].join(', ')}`, error)
  }
}

function quote(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}

/**
 * `tree`: the ancestors of a relation. `reached`: everything a cascade that begins at one of the relations may come to.
 * `below`: what a view reads, through other views.
 */
function query(paths: string, functions: string) {
  return sql<{ answer: string }>`
    with recursive
    given as (
      select place, to_regclass(path)::oid as oid
      from json_array_elements_text(${paths}::text::json) with ordinality as paths(path, place)
    ),
    reached(oid) as (
      select oid from given where oid is not null
      union
      select k.conrelid from reached r join pg_constraint k on k.confrelid = r.oid
      where k.contype = 'f' and (k.confdeltype in ('c', 'n', 'd') or k.confupdtype in ('c', 'n', 'd'))
    ),
    below(origin, oid) as (
      select g.oid, g.oid from given g join pg_class c on c.oid = g.oid where c.relkind in ('v', 'm')
      union
      select b.origin, d.refobjid
      from below b
      join pg_rewrite w on w.ev_class = b.oid
      join pg_depend d on d.classid = 'pg_rewrite'::regclass and d.objid = w.oid
        and d.refclassid = 'pg_class'::regclass and d.refobjid <> b.oid
    ),
    wanted(oid) as (select oid from reached union select oid from below),
    tree(origin, oid) as (
      select oid, oid from wanted
      union
      select t.origin, i.inhparent from tree t join pg_inherits i on i.inhrelid = t.oid
    ),
    named as (
      select c.oid, n.nspname || '.' || c.relname as entity, c.relkind as kind,
        c.relpersistence = 't' or n.nspname in ('pg_catalog', 'information_schema') as special,
        (select json_agg(p.nspname || '.' || a.relname order by a.oid)
          from tree t join pg_class a on a.oid = t.oid join pg_namespace p on p.oid = a.relnamespace
          where t.origin = c.oid and not exists (select from pg_inherits where inhrelid = a.oid)) as roots
      from wanted w join pg_class c on c.oid = w.oid join pg_namespace n on n.oid = c.relnamespace
    )
    select json_build_object(
      'relations', coalesce((select json_agg(case when n.oid is not null then json_build_object(
          'entity', n.entity, 'kind', n.kind, 'special', n.special, 'roots', n.roots,
          'rewrites', exists (
            select from pg_trigger t
            where t.tgrelid in (select n.oid union select relid from pg_partition_tree(n.oid))
              and t.tgtype & 19 = 19 and not t.tgisinternal and t.tgname <> ${STAMP_TRIGGER}),
          'columns', (select md5(string_agg(a.attname || ' ' || format_type(a.atttypid, a.atttypmod), ',' order by a.attnum))
            from pg_attribute a where a.attrelid = n.oid and a.attnum > 0 and not a.attisdropped),
          'bases', coalesce((select json_agg(distinct root)
            from below b join named m on m.oid = b.oid, json_array_elements_text(m.roots) as root
            where b.origin = n.oid and m.kind in ('r', 'p')), '[]')
        ) end order by g.place)
        from given g left join named n on n.oid = g.oid), '[]'),
      'cascades', coalesce((select json_agg(json_build_object(
          'from', f.entity, 'to', t.roots, 'entity', t.entity,
          'onDelete', k.confdeltype in ('c', 'n', 'd'), 'onUpdate', k.confupdtype in ('c', 'n', 'd'),
          'columns', (select json_agg(a.attname) from pg_attribute a
            where a.attrelid = k.confrelid and a.attnum = any(k.confkey))))
        from pg_constraint k join named f on f.oid = k.confrelid join named t on t.oid = k.conrelid
        where k.contype = 'f' and (k.confdeltype in ('c', 'n', 'd') or k.confupdtype in ('c', 'n', 'd'))), '[]'),
      'functions', coalesce((select json_agg(json_build_object('name', f.name, 'builtin', f.builtin,
          'volatility', case f.least when 'v' then 'volatile' when 's' then 'stable' else 'immutable' end))
        from (
          select p.proname as name, bool_and(n.nspname = 'pg_catalog') as builtin, max(p.provolatile) as least
          from pg_proc p join pg_namespace n on n.oid = p.pronamespace
          where p.proname in (select json_array_elements_text(${functions}::text::json))
          group by p.proname
        ) f), '[]')
    )::text as answer`
}
