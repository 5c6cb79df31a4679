import { sql } from 'kysely'
import { SourceError } from '../../core/errors.js'
import type { AnyDatabase } from './catalog-query.js'
import type { TableName } from './operation-tree.js'
import { OUTBOX_TRIGGER } from './outbox-sql.js'
import { PUBLICATION } from './slot-sql.js'
import type { FunctionFacts } from './sql-functions.js'
import { arrayText, name as quoted } from './sql-text.js'
import { CORRAL_TRIGGERS, STAMP_TRIGGER } from './stamp-sql.js'

/** What the catalog says of one relation that matters to results which depend on it. By real names. */
export interface CatalogRelation {
  /** `schema.name`. */
  readonly entity: string
  /** `pg_class.relkind`: r table, p partitioned table, v view, m materialised view, f foreign table, S sequence. */
  readonly kind: string
  /** Only this connection sees it, or the database keeps it for itself. */
  readonly special: boolean
  /** Policies of row-level security decide which of its rows the role that asked is shown. */
  readonly shownInPart: boolean
  /** It has the stamp of a table that is cached, and no relay is told of its changes: only who writes it can tell the cache. */
  readonly toldByWriters: boolean
  /** A BEFORE UPDATE trigger of the application's may change columns no statement names. */
  readonly rewrites: boolean
  /** Fingerprint of its columns: names and types in order. */
  readonly columns: string
  /** What may be written like a column of it and is a call, `shops.total` for `total(shops)`: functions that take a row, are not immutable, and are hidden by no column. */
  readonly methods: readonly string[]
}

/** A foreign key whose rows the database changes by itself when the rows they refer to change. */
export interface CascadingKey {
  /** The entity referred to. */
  readonly from: string
  /** The entity that changes along. */
  readonly to: string
  /** What happens to the rows that refer to a deleted one: they go too, or their columns are set; null: neither. */
  readonly onDelete: 'delete' | 'update' | null
  readonly onUpdate: 'update' | null
  /** Columns referred to. */
  readonly columns: readonly string[]
  /** The columns that refer to them. */
  readonly toColumns: readonly string[]
}

/** How the relations of a database hang together, by entity. */
export interface CatalogEdges {
  /** Child and parent, of inheritance and of partitions; of the partitions at the bottom only those that something names. */
  readonly parents: readonly (readonly [string, string])[]
  /** A view, and a relation it reads. */
  readonly reads: readonly (readonly [string, string])[]
  readonly keys: readonly CascadingKey[]
}

export interface CatalogAnswer extends CatalogEdges {
  /** One for each name, in order; null where there is none. */
  readonly relations: readonly (CatalogRelation | null)[]
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
  const paths = tables.map(({ schema, name }) =>
    [...(schema === undefined ? [] : [schema]), name].map(quoted).join('.'),
  )
  const bare = functions.map((name) => name.slice(name.lastIndexOf('.') + 1))
  try {
    const { rows } = await query(arrayText(paths), arrayText(bare)).execute(db.withoutPlugins())
    return JSON.parse((rows[0] as { answer: string }).answer)
  } catch (error) {
    throw new SourceError(`reading the catalog for ${[...paths, ...functions].join(', ')}`, error)
  }
}

/**
 * Leaves following the edges to us: with recursion in it, the planner expects so many rows that
 * it compiles the statement first (JIT), which takes 900 ms where running it takes 3.
 */
function query(paths: string, functions: string) {
  return sql<{ answer: string }>`
    with named as (
      select c.oid, n.nspname || '.' || c.relname as entity, c.relkind as kind,
        c.relpersistence = 't' or n.nspname in ('pg_catalog', 'information_schema') as special,
        c.relispartition and c.relkind <> 'p' as leaf
      from pg_class c join pg_namespace n on n.oid = c.relnamespace
      where c.relkind in ('r', 'p', 'v', 'm', 'f', 'S')
    ),
    given as (
      select place, to_regclass(path) as oid from unnest(${paths}::text::text[]) with ordinality as g(path, place)
    ),
    reads as (
      select distinct w.ev_class as view, d.refobjid as base
      from pg_rewrite w join pg_class v on v.oid = w.ev_class and v.relkind in ('v', 'm')
      join pg_depend d on d.classid = 'pg_rewrite'::regclass and d.objid = w.oid
        and d.refclassid = 'pg_class'::regclass and d.refobjid <> w.ev_class
    )
    select json_build_object(
      'relations', coalesce((select json_agg(case when n.oid is not null then json_build_object(
          'entity', n.entity, 'kind', n.kind, 'special', n.special, 'shownInPart', row_security_active(n.oid),
          'toldByWriters', exists (select from pg_trigger t where t.tgrelid = n.oid and t.tgname = ${STAMP_TRIGGER})
            and not exists (select from pg_trigger t
              where t.tgrelid = n.oid and t.tgname = ${`${OUTBOX_TRIGGER}_row`} and t.tgenabled = 'A')
            and not exists (select from pg_publication_rel r join pg_publication p on p.oid = r.prpubid
              where p.pubname = ${PUBLICATION} and (r.prrelid = n.oid or r.prrelid in (select relid from pg_partition_ancestors(n.oid) as a(relid)))),
          'rewrites', exists (
            select from pg_trigger t
            where (t.tgrelid = n.oid or t.tgrelid in (select relid from pg_partition_tree(n.oid)))
              and t.tgtype & 19 = 19 and not t.tgisinternal and t.tgname not in (${sql.join(CORRAL_TRIGGERS)})),
          'columns', (select md5(string_agg(a.attname || ' ' || format_type(a.atttypid, a.atttypmod), ',' order by a.attnum))
            from pg_attribute a where a.attrelid = n.oid and a.attnum > 0 and not a.attisdropped),
          'methods', coalesce((select json_agg(distinct p.proname)
            from pg_proc p join pg_type t on t.oid = p.proargtypes[0]
            where p.prokind = 'f' and p.provolatile <> 'i' and p.pronargs - p.pronargdefaults <= 1
              and p.pronamespace <> 'pg_catalog'::regnamespace
              and (t.typtype = 'p' or t.typrelid = n.oid or t.typrelid in (select inhparent from pg_inherits))
              and not exists (select from pg_attribute a where a.attrelid = n.oid and a.attname = p.proname and not a.attisdropped)), '[]')
        ) end order by g.place)
        from given g left join named n on n.oid = g.oid), '[]'),
      'parents', coalesce((select json_agg(json_build_array(c.entity, p.entity))
        from pg_inherits i join named c on c.oid = i.inhrelid join named p on p.oid = i.inhparent
        where not c.leaf or c.oid in (select g.oid from given g) or c.oid in (select r.base from reads r)), '[]'),
      'reads', coalesce((select json_agg(json_build_array(v.entity, b.entity))
        from reads r join named v on v.oid = r.view join named b on b.oid = r.base), '[]'),
      'keys', coalesce((select json_agg(json_build_object(
          'from', f.entity, 'to', t.entity,
          'onDelete', case when k.confdeltype = 'c' then 'delete' when k.confdeltype in ('n', 'd') then 'update' end,
          'onUpdate', case when k.confupdtype in ('c', 'n', 'd') then 'update' end,
          'columns', (select json_agg(a.attname) from pg_attribute a
            where a.attrelid = k.confrelid and a.attnum = any(k.confkey)),
          'toColumns', (select json_agg(a.attname) from pg_attribute a
            where a.attrelid = k.conrelid and a.attnum = any(k.conkey))))
        from pg_constraint k join named f on f.oid = k.confrelid join named t on t.oid = k.conrelid
        where k.contype = 'f' and k.conparentid = 0 and (k.confdeltype in ('c', 'n', 'd') or k.confupdtype in ('c', 'n', 'd'))), '[]'),
      'functions', coalesce((select json_agg(json_build_object('name', f.name, 'builtin', f.builtin,
          'volatility', case f.least when 'v' then 'volatile' when 's' then 'stable' else 'immutable' end))
        from (
          select p.proname as name, bool_and(n.nspname = 'pg_catalog') as builtin,
            max(greatest(p.provolatile::text, s.least)) as least
          from pg_proc p join pg_namespace n on n.oid = p.pronamespace
          left join lateral (
            -- An aggregate itself is called immutable, whatever the functions do that it is made of.
            select max(f.provolatile::text) as least from pg_aggregate a join pg_proc f on f.oid in (a.aggtransfn, a.aggfinalfn, a.aggcombinefn,
              a.aggserialfn, a.aggdeserialfn, a.aggmtransfn, a.aggminvtransfn, a.aggmfinalfn)
            where a.aggfnoid = p.oid and n.nspname <> 'pg_catalog'
          ) s on true
          where p.proname = any(${functions}::text::text[])
          group by p.proname
        ) f), '[]')
    )::text as answer`
}
