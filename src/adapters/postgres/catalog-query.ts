import { type Kysely, sql } from 'kysely'
import { SourceError } from '../../core/errors.js'
import type { CatalogType } from './key-column.js'
import { name as quoted } from './sql-text.js'
import { CORRAL_TRIGGERS, STAMP_TRIGGER } from './stamp-sql.js'

// biome-ignore lint/suspicious/noExplicitAny: the user's Database type is checked at the repository; here tables are values
export type AnyDatabase = Kysely<any>

/** What the catalog says about one relation, by real names. */
export interface Relation {
  readonly schema: string
  readonly name: string
  /** `pg_class.relkind`: r table, p partitioned table, v view, m materialised view, f foreign table. */
  readonly kind: string
  readonly temporary: boolean
  /** Other tables inherit from it (partitions do not count). */
  readonly inherited: boolean
  /** The tables it inherits from itself (a partition's do not count), as `schema.name`. */
  readonly parents: readonly string[]
  /** The table it is a partition of, as `schema.name`, at the top of the tree; null: of none. */
  readonly partitionOf: string | null
  /** The role that asked, where policies of row-level security decide which rows it sees; null: it sees all. */
  readonly shownInPartTo: string | null
  readonly encoding: string
  /** In table order. */
  readonly columns: readonly RelationColumn[]
  /** Unique indexes that hold for every row at once: valid, immediate, not partial, no expression. Primary key included. */
  readonly uniques: readonly (readonly string[])[]
  /** Corral's stamp trigger; undefined when there is none. `repairs`: statements that make it and its companions fire always, on every partition. */
  readonly stamp: { readonly column: string; readonly repairs: readonly string[] } | undefined
}

export interface RelationColumn {
  readonly column: string
  /** As `format_type` prints it. */
  readonly type: string
  readonly notNull: boolean
  readonly generated: boolean
  /** The type below all domains. */
  readonly base: CatalogType
  readonly deterministic: boolean
}

/**
 * Looks a relation up as a query on this connection would find it: without a schema, along the search path.
 * Undefined when there is none. One statement, so that the facts belong together.
 */
export async function readRelation(
  db: AnyDatabase,
  { schema, name }: { schema: string | undefined; name: string },
): Promise<Relation | undefined> {
  const path = (schema === undefined ? [name] : [schema, name]).map(quoted).join('.')
  let text: string | null | undefined
  try {
    // Without plugins and as one JSON text: no plugin and no type parser of the user's has a say in what we read here.
    const result = await catalogQuery(path).execute(db.withoutPlugins())
    text = result.rows[0]?.relation
  } catch (error) {
    throw new SourceError(`reading the catalog for ${path}`, error)
  }
  if (text === undefined || text === null) return undefined
  const { stamp, ...relation } = JSON.parse(text) as Found
  if (stamp === null) return { ...relation, stamp: undefined }
  // Trigger arguments lie in the catalog as bytes, each ended by a NUL.
  const [column = ''] = Buffer.from(stamp.arguments, 'hex').toString('utf8').split('\0')
  return { ...relation, stamp: { column, repairs: stamp.repairs } }
}

type Found = Omit<Relation, 'stamp'> & { stamp: { arguments: string; repairs: string[] } | null }

function catalogQuery(path: string) {
  return sql<{ relation: string | null }>`
    select json_build_object(
      'schema', n.nspname,
      'name', c.relname,
      'kind', c.relkind,
      'temporary', c.relpersistence = 't',
      'inherited', c.relkind <> 'p' and exists (select from pg_inherits where inhparent = c.oid),
      'parents', coalesce((select json_agg(s.nspname || '.' || p.relname order by i.inhseqno)
        from pg_inherits i join pg_class p on p.oid = i.inhparent join pg_namespace s on s.oid = p.relnamespace
        where i.inhrelid = c.oid and not c.relispartition), '[]'),
      'partitionOf', (select s.nspname || '.' || r.relname from pg_class r join pg_namespace s on s.oid = r.relnamespace
        where c.relispartition and r.oid = pg_partition_root(c.oid)),
      'shownInPartTo', case when row_security_active(c.oid) then current_user end,
      'encoding', current_setting('server_encoding'),
      'columns', coalesce((select json_agg(json_build_object(
          'column', a.attname,
          'type', format_type(a.atttypid, a.atttypmod),
          'notNull', a.attnotnull,
          'generated', a.attgenerated <> '',
          'deterministic', coalesce(l.collisdeterministic, true),
          'base', b.base
        ) order by a.attnum)
        from pg_attribute a
        left join pg_collation l on l.oid = a.attcollation
        cross join lateral (
          with recursive below(type) as (
            select a.atttypid
            union all
            select t.typbasetype
            from below d join pg_type t on t.oid = d.type where t.typtype = 'd'
          )
          select json_build_object(
            'builtin', case when t.typnamespace = 'pg_catalog'::regnamespace then t.typname else '' end,
            'sqlName', format('%I.%I', s.nspname, t.typname),
            'isEnum', t.typtype = 'e'
          ) as base
          from below d join pg_type t on t.oid = d.type join pg_namespace s on s.oid = t.typnamespace
          where t.typtype <> 'd'
        ) b
        where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped), '[]'),
      'uniques', coalesce((select json_agg((
          select json_agg(a.attname order by k.place)
          from unnest(i.indkey::int2[]) with ordinality as k(number, place)
          join pg_attribute a on a.attrelid = c.oid and a.attnum = k.number
          where k.place <= i.indnkeyatts
        ))
        from pg_index i
        where i.indrelid = c.oid and i.indisunique and i.indisvalid and i.indimmediate
          and not i.indisexclusion and i.indpred is null and i.indexprs is null), '[]'),
      'stamp', (select json_build_object(
          'arguments', encode(g.tgargs, 'hex'),
          'repairs', (select coalesce(json_agg(
              format('alter table %s enable always trigger %I', h.tgrelid::regclass, h.tgname)), '[]')
            from pg_trigger h
            where (h.tgrelid = c.oid or h.tgrelid in (select p.relid from pg_partition_tree(c.oid) p))
              and h.tgname in (${sql.join(CORRAL_TRIGGERS)}) and h.tgenabled <> 'A')
        )
        from pg_trigger g where g.tgrelid = c.oid and g.tgname = ${STAMP_TRIGGER})
    )::text as relation
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where c.oid = to_regclass(${path})`
}
