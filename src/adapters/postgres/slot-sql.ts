import { createSchema, dropSchema } from './corral-schema.js'
import { createEpochs, dropEpochs } from './epochs-sql.js'
import { CORRAL_SCHEMA } from './outbox-sql.js'
import { block, literal, name, qualified } from './sql-text.js'

/** The publication that tells a slot of the tables under watch. */
export const PUBLICATION = 'corral'

const shared = name(CORRAL_SCHEMA)

/** An SQL condition: the server knows generated columns in publications, and such as are not stored. */
const SINCE_18 = "current_setting('server_version_num')::int >= 180000"

/** Everything that is written down about a table for the relay: the database's own names. */
export interface PublishedTable {
  readonly schema: string
  readonly table: string
  readonly key: readonly string[]
  /** Undefined: rows have none. */
  readonly version: string | undefined
  readonly unique: readonly (readonly string[])[]
  readonly columns: readonly string[]
}

/**
 * The statements that make what all tables share, each safe to run twice.
 *
 * | object | holds |
 * | --- | --- |
 * | publication `corral` | the tables under watch; partitions tell under their own names, so that TRUNCATE of one is told |
 * | `slot_tables` | what the relay has to know of each of them, and the replica identities that `down` gives back |
 * | `slot_positions` | how far each namespace's relay has come in its slot |
 * | `epochs` | shared with the outbox: the number of each namespace's epoch |
 */
export function slotUp(): string[] {
  return [
    createSchema(CORRAL_SCHEMA),
    `create table if not exists ${shared}.slot_tables (
      entity text collate "C" primary key,
      key text[] collate "C" not null,
      version text collate "C",
      uniques json not null,
      columns text[] collate "C" not null,
      identities json not null
    )`,
    `create table if not exists ${shared}.slot_positions (
      namespace text collate "C" primary key,
      slot text collate "C" not null,
      settled pg_lsn not null,
      settled_at timestamptz not null,
      kept pg_lsn not null,
      kept_at timestamptz
    ) with (fillfactor = 50)`,
    ...createEpochs(CORRAL_SCHEMA),
    block(`
    begin
      if not exists (select from pg_publication where pubname = ${literal(PUBLICATION)}) then
        create publication ${name(PUBLICATION)} with (publish = 'insert, update, delete, truncate');
      end if;
      -- Else an UPDATE of a table with a generated column and REPLICA IDENTITY FULL is an error there. Before that version they are never told.
      if ${SINCE_18} then
        execute ${literal(`alter publication ${name(PUBLICATION)} set (publish_generated_columns = stored)`)};
      end if;
    end`),
  ]
}

/** The statements that take it away again. Fails while a table is published, and while a slot is there that nobody would read any more. */
export function slotDown(): string[] {
  return [
    block(`
    declare
      used text;
    begin
      select min(schemaname || '.' || tablename) into used from pg_publication_tables where pubname = ${literal(PUBLICATION)};
      if used is not null then
        raise exception using message = 'corral: table ' || used || ' is still published',
          hint = 'Run the down of its slotTable() migration first.';
      end if;
      if to_regclass(${literal(`${shared}.slot_positions`)}) is not null then
        select min(s.slot_name) into used from pg_replication_slots s join ${shared}.slot_positions p on p.slot = s.slot_name
          where s.database = current_database();
        if used is not null then
          raise exception using message = 'corral: replication slot ' || used || ' is still there, and keeps the server''s log from being removed',
            hint = format('Stop the relays, then: select pg_drop_replication_slot(%L)', used);
        end if;
      end if;
      drop publication if exists ${name(PUBLICATION)};
      drop table if exists ${shared}.slot_tables, ${shared}.slot_positions;
      ${dropEpochs(CORRAL_SCHEMA, 'outbox')}
      ${dropSchema(CORRAL_SCHEMA)}
    end`),
  ]
}

/** The statements after which the slot tells every change of a table. Each is safe to run twice. */
export function slotTableUp(table: PublishedTable): string[] {
  const relation = qualified(table.schema, table.table)
  const array = (values: readonly string[]) => `array[${values.map(literal).join(', ')}]::text[]`
  const { key, version, unique, columns } = table
  return [
    block(`
    declare
      part regclass;
      identities json;
      untold text;
      is_published boolean;
    begin
      if to_regclass(${literal(`${shared}.slot_tables`)}) is null then
        raise exception using message = 'corral: there is no publication', hint = 'Run the slotTables() migration first.';
      end if;
      select min(a.attname::text) into untold from pg_attribute a
        where a.attrelid = ${literal(relation)}::regclass and a.attname = any(${array([...key, ...unique.flat()])}) and ${isUntold('a')};
      if untold is not null then
        raise exception using message = 'corral: the slot is not told of generated column ' || untold || ' of ' || ${literal(`${table.schema}.${table.table}`)},
          hint = 'Postgres 18 and later tell of stored ones, after slotTables() was run there. Else have a trigger keep the value in a column that is not generated, or use the outbox.';
      end if;
      -- Changing the publication twice at a time is an error.
      lock table ${shared}.slot_tables in share row exclusive mode;
      select json_object_agg(p.relation, p.identity) into identities from (
        select format('%I.%I', n.nspname, c.relname) as relation, coalesce((select 'using index ' || quote_ident(i.relname) from pg_index x join pg_class i on i.oid = x.indexrelid
            where x.indrelid = c.oid and x.indisreplident and c.relreplident = 'i'),
          case c.relreplident when 'f' then 'full' when 'n' then 'nothing' else 'default' end) as identity
        from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.oid = ${literal(relation)}::regclass or c.oid in (select relid from pg_partition_tree(${literal(relation)}::regclass))) p;
      insert into ${shared}.slot_tables (entity, key, version, uniques, columns, identities)
        values (${literal(`${table.schema}.${table.table}`)}, ${array(key)}, ${version === undefined ? 'null' : literal(version)},
          ${literal(JSON.stringify(unique))}, ${array(columns)}, identities)
        on conflict (entity) do update set key = excluded.key, version = excluded.version, uniques = excluded.uniques, columns = excluded.columns,
          identities = (select json_object_agg(each.key, each.value) from (
            select e.key, e.value from json_each_text(excluded.identities) e
              where not exists (select from ${identitiesOf('slot_tables', table)} o where o.key = e.key)
            union all select o.key, o.value from ${identitiesOf('slot_tables', table)} o) each);
      -- Before it is published: from then on an UPDATE of a table without an identity would be an error.
      for part in select ${literal(relation)}::regclass union select relid from pg_partition_tree(${literal(relation)}::regclass) loop
        if ${lacksIdentity('part', array([...key, ...columns]))} then
          if ${SINCE_18} and exists (select from pg_attribute where attrelid = part and attgenerated = 'v') then
            raise exception using message = 'corral: table ' || part || ' has a virtual generated column, beside which Postgres takes no UPDATE under REPLICA IDENTITY FULL',
              hint = 'Make the column stored, or give the table a replica identity using an index over its key and columns.';
          end if;
          execute format('alter table %s replica identity full', part);
        end if;
      end loop;
      select exists (select from pg_publication_rel r join pg_publication p on p.oid = r.prpubid
        where p.pubname = ${literal(PUBLICATION)} and r.prrelid = ${literal(relation)}::regclass) into is_published;
      if not is_published then
        alter publication ${name(PUBLICATION)} add table ${relation};
      end if;
      -- Changes nothing, but from the first commit after this one on each relation is told anew; that is when a relay looks up what is written here.
      alter publication ${name(PUBLICATION)} set (publish = 'insert, update, delete, truncate');
    end`),
  ]
}

/** The statements that take away what `slotTableUp` made, and give each table the replica identity it had. */
export function slotTableDown({ schema, table }: Pick<PublishedTable, 'schema' | 'table'>): string[] {
  const relation = qualified(schema, table)
  const entity = literal(`${schema}.${table}`)
  return [
    block(`
    declare
      part record;
    begin
      if to_regclass(${literal(`${shared}.slot_tables`)}) is null then
        return;
      end if;
      if exists (select from pg_publication_rel r join pg_publication p on p.oid = r.prpubid
          where p.pubname = ${literal(PUBLICATION)} and r.prrelid = to_regclass(${literal(relation)})) then
        alter publication ${name(PUBLICATION)} drop table ${relation};
      end if;
      for part in select e.key as relation, e.value as identity from ${shared}.slot_tables t cross join lateral ${identitiesOf('t', { schema })} e
          where t.entity = ${entity} and to_regclass(e.key) is not null loop
        execute format('alter table %s replica identity %s', part.relation, part.identity);
      end loop;
      delete from ${shared}.slot_tables where entity = ${entity};
    end`),
  ]
}

/** Those written down in this row, by names that say the schema; earlier versions left it out where the search path had it. */
function identitiesOf(row: string, { schema }: Pick<PublishedTable, 'schema'>): string {
  return `(select case cardinality(parse_ident(i.key)) when 1 then format('%I.%s', ${literal(schema)}::text, i.key) else i.key end as key, i.value
              from json_each_text(${row}.identities) i)`
}

/**
 * An SQL condition: no slot is told of this column.
 *
 * @param attribute a row of `pg_attribute`.
 */
export function isUntold(attribute: string): string {
  // By way of JSON: before Postgres 18 there is no such column.
  return `(${attribute}.attgenerated <> '' and not (${attribute}.attgenerated = 's' and exists (
          select from pg_publication p where p.pubname = ${literal(PUBLICATION)} and to_jsonb(p) ->> 'pubgencols' = 's')))`
}

/** An SQL condition: the relation's updates and deletes do not tell these columns' former values. */
function lacksIdentity(relation: string, columns: string): string {
  return `exists (
          select from unnest(${columns}) wanted(column_name) where not exists (
            select from pg_class c where c.oid = ${relation} and (c.relreplident = 'f' or exists (
              select from pg_index x join pg_attribute a on a.attrelid = x.indrelid and a.attnum = any(x.indkey[0:x.indnkeyatts - 1])
              where x.indrelid = c.oid and a.attname = wanted.column_name
                and (c.relreplident = 'd' and x.indisprimary or c.relreplident = 'i' and x.indisreplident)))))`
}
