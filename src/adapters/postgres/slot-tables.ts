import { sql } from 'kysely'
import { ConfigError } from '../../core/errors.js'
import { CORRAL_SCHEMA } from './outbox-sql.js'
import type { RelayDatabase } from './relay-database.js'
import type { SlotTable } from './slot-change.js'
import type { SlotRelation } from './slot-decoder.js'
import { PUBLICATION } from './slot-sql.js'

interface Found {
  readonly entity: string
  readonly key: readonly string[]
  readonly version: string | null
  readonly unique: readonly (readonly string[])[]
  readonly columns: readonly string[]
  readonly types: Readonly<Record<string, string>>
}

const IDENTITIES: Readonly<Record<string, string>> = { d: 'default', i: 'using index', n: 'nothing' }

/** What the migrations have written down about the tables of the publication. */
export class SlotTables {
  readonly #database: RelayDatabase
  /** A relation is told anew, as another object, when anything about it has changed. */
  #known = new WeakMap<SlotRelation, SlotTable | 'unknown' | 'foreign'>()

  constructor(database: RelayDatabase) {
    this.#database = database
  }

  /** @throws ConfigError unless everything is published and tells what the relay has to know. */
  async check(): Promise<void> {
    const [facts] = await this.#database.run<{ published: string; level: string }>(
      'looking for the publication',
      sql`select (select count(*) from pg_publication where pubname = ${PUBLICATION})::text as published, current_setting('wal_level') as level`,
    )
    if (facts?.level !== 'logical') {
      throw new ConfigError('relay.source', 'a server with wal_level = logical', `wal_level = ${facts?.level}`)
    }
    if (facts.published !== '1') {
      throw new ConfigError(
        'relay.source',
        'a database with the migration slotTables of corral/migrations',
        'no publication',
      )
    }
    const tables = sql.raw(`${CORRAL_SCHEMA}.slot_tables`)
    const declared = await this.#database.run<{ entity: string; wanted: string }>(
      'reading what is published',
      sql`select entity, array_to_json(key || columns)::text as wanted from ${tables} order by entity`,
    )
    for (const { entity, wanted } of declared) await this.#checkIdentity(entity, JSON.parse(wanted))
  }

  /** Of the table and of each of its partitions. Table by table: one statement for all is costly enough to the planner for it to compile it first. */
  async #checkIdentity(entity: string, wanted: readonly string[]): Promise<void> {
    const parts = await this.#database.run<{ part: string; identity: string; told: string | null }>(
      'checking replica identities',
      sql`select c.oid::regclass::text as part, c.relreplident::text as identity, (select json_agg(a.attname)::text from pg_index x
            join pg_attribute a on a.attrelid = x.indrelid and a.attnum = any(x.indkey[0:x.indnkeyatts - 1])
            where x.indrelid = c.oid and (c.relreplident = 'd' and x.indisprimary or c.relreplident = 'i' and x.indisreplident)) as told
        from pg_class r join pg_namespace n on n.oid = r.relnamespace
          cross join lateral (select r.oid as relid union select relid from pg_partition_tree(r.oid)) parts join pg_class c on c.oid = parts.relid
        where n.nspname || '.' || r.relname = ${entity} and c.relkind = 'r'`,
    )
    for (const { part, identity, told } of parts) {
      const lacking =
        identity === 'f' ? [] : wanted.filter((each) => !(JSON.parse(told ?? '[]') as string[]).includes(each))
      if (lacking.length === 0) continue
      const expected = `table ${part} to tell the former values of ${lacking.join(', ')} (alter table ${part} replica identity full, or run up of slotTable again)`
      throw new ConfigError('relay.source', expected, `replica identity ${IDENTITIES[identity] ?? identity}`)
    }
  }

  /** `foreign`: not one of ours any more. `unknown`: it is gone, or is published under a name that no migration has written down. */
  async find(relation: SlotRelation): Promise<SlotTable | 'unknown' | 'foreign'> {
    const known = this.#known.get(relation)
    if (known !== undefined) return known
    const found = await this.#read(relation)
    this.#known.set(relation, found)
    return found
  }

  async #read({ relationOid }: SlotRelation): Promise<SlotTable | 'unknown' | 'foreign'> {
    const tables = sql.raw(`${CORRAL_SCHEMA}.slot_tables`)
    const oid = String(relationOid >>> 0)
    // As one JSON text: no type parser of the user's has a say in what is read here.
    const [row] = await this.#database.run<{ answer: string | null }>(
      'reading about a published table',
      sql`select coalesce((select json_build_object('entity', t.entity, 'key', t.key, 'version', t.version, 'unique', t.uniques, 'columns', t.columns,
            'types', (select json_object_agg(a.attname, b.type) from pg_attribute a cross join lateral (
                with recursive below(type) as (select a.atttypid union all select t.typbasetype from below d join pg_type t on t.oid = d.type where t.typtype = 'd')
                select t.typname as type from below d join pg_type t on t.oid = d.type where t.typtype <> 'd' and t.typnamespace = 'pg_catalog'::regnamespace) b
              where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped))::text
          from pg_class c join pg_namespace n on n.oid = c.relnamespace join ${tables} t on t.entity = n.nspname || '.' || c.relname
          where c.oid = coalesce(pg_partition_root(${oid}::oid::regclass), ${oid}::oid)),
        (select case when exists (select from pg_publication_rel r join pg_publication p on p.oid = r.prpubid
            where p.pubname = ${PUBLICATION} and r.prrelid = coalesce(pg_partition_root(${oid}::oid::regclass), ${oid}::oid)) then 'unknown' else 'foreign' end
          from pg_class where oid = ${oid}::oid)) as answer`,
    )
    const answer = row?.answer ?? 'unknown'
    if (answer === 'unknown' || answer === 'foreign') return answer
    const { version, types, ...rest } = JSON.parse(answer) as Found
    return { ...rest, version: version ?? undefined, types: new Map(Object.entries(types)) }
  }
}
