import { createSchema, dropSchema } from './corral-schema.js'
import { createEpochs, dropEpochs } from './epochs-sql.js'
import { block, dollarQuote, literal, name } from './sql-text.js'

/** Where the outbox is. */
export const CORRAL_SCHEMA = 'corral'
/** Name of every outbox trigger starts with it; sorts behind the triggers people write, so that it sees the row as they leave it. */
export const OUTBOX_TRIGGER = 'zz_corral_outbox'
/** What `op` holds: a row was inserted, updated, deleted; the table was emptied; one statement changed too many rows to list. */
export const OUTBOX_OP = { insert: 'i', update: 'u', delete: 'd', truncate: 't', bulk: 'b' } as const

const shared = name(CORRAL_SCHEMA)
/** The outbox is a ring of partitions by time, each current for so long. */
export const OUTBOX_SLOTS = 4
const SLOT_SECONDS = 600
/** The partition that is current: part of an expression, every name in it with its schema. */
export const OUTBOX_SLOT = `(pg_catalog.floor(pg_catalog.date_part('epoch', pg_catalog.clock_timestamp())
        operator(pg_catalog./) ${SLOT_SECONDS})::pg_catalog.int8 operator(pg_catalog.%) ${OUTBOX_SLOTS})::pg_catalog.int2`
/** A namespace whose relay has not been seen for so long is not waited for: its cache begins anew. */
const ABANDONED_AFTER = '1 day'

/**
 * The statements that make the outbox, shared by all tables of the database, each safe to run twice.
 *
 * | table | holds |
 * | --- | --- |
 * | `outbox` | one row for each changed row of a table with outbox triggers; written once, never updated or deleted |
 * | `positions` | how far each namespace's relay has come, now and in the past minutes, as `pg_snapshot` |
 * | `epochs` | the number of each namespace's epoch, and of which history of the database it is |
 *
 * The partitions are a ring: which one a row goes into follows from the time alone, so nothing has to be made in time for
 * a write, and one that is truncated is one that nobody writes to.
 */
export function outboxUp(): string[] {
  return [
    createSchema(CORRAL_SCHEMA),
    `create sequence if not exists ${shared}.outbox_id cache 32`,
    `create table if not exists ${shared}.outbox (
      slot smallint not null default ${OUTBOX_SLOT},
      id bigint not null default nextval(${literal(`${shared}.outbox_id`)}),
      xid xid8 not null default pg_current_xact_id(),
      at timestamptz not null default clock_timestamp(),
      entity text collate "C" not null,
      op "char" not null,
      key text[] collate "C",
      version bigint,
      lookups json,
      column_values text[] collate "C"
    ) partition by list (slot)`,
    ...slots().map(
      (slot) =>
        `create table if not exists ${shared}.outbox_${slot} partition of ${shared}.outbox for values in (${slot})`,
    ),
    `create index if not exists outbox_by_transaction on ${shared}.outbox (xid, id)`,
    `create table if not exists ${shared}.positions (
      namespace text collate "C" not null,
      began timestamptz not null default clock_timestamp(),
      at timestamptz not null default clock_timestamp(),
      position pg_snapshot not null,
      primary key (namespace, began)
    ) with (fillfactor = 50)`,
    ...createEpochs(CORRAL_SCHEMA),
    createPruneFunction(),
    `revoke all on function ${shared}.prune_outbox(interval) from public`,
  ]
}

/** The statements that take it away again. Fails while a table still has outbox triggers: its writes would fail without an outbox. */
export function outboxDown(): string[] {
  return [
    block(`
    declare
      used text;
    begin
      select min(g.tgrelid::regclass::text) into used from pg_trigger g join pg_proc p on p.oid = g.tgfoid
        where g.tgname like ${literal(`${OUTBOX_TRIGGER.replaceAll('_', '\\_')}%`)} and p.pronamespace = to_regnamespace(${literal(shared)});
      if used is not null then
        raise exception using message = 'corral: table ' || used || ' still has outbox triggers',
          hint = 'Run the down of its outboxTable() migration first.';
      end if;
      drop function if exists ${shared}.prune_outbox(interval);
      drop table if exists ${shared}.outbox, ${shared}.positions;
      drop sequence if exists ${shared}.outbox_id;
      ${dropEpochs(CORRAL_SCHEMA, 'slot_tables')}
      ${dropSchema(CORRAL_SCHEMA)}
    end`),
  ]
}

/**
 * Empties the partitions that no relay can need any more. It takes its locks on single partitions that are not current, and
 * waits for none longer than a moment, so no writer ever waits behind it; what it cannot have it leaves for the next time.
 */
function createPruneFunction(): string {
  const body = `
    declare
      needed xid8;
      newest xid8;
      slot int;
      emptied int := 0;
    begin
      if keep < interval '1 minute' then
        raise exception 'corral: what was relayed in the last minutes may have to be relayed again: keep % is less than a minute', keep;
      end if;
      -- Whoever comes back after so long finds another epoch and trusts nothing it stored before.
      with gone as (
        delete from ${shared}.positions where namespace in (
          select p.namespace from ${shared}.positions p group by p.namespace
          having max(p.at) < clock_timestamp() - interval '${ABANDONED_AFTER}')
        returning namespace)
      insert into ${shared}.epochs as e (namespace, number) select distinct namespace, 1 from gone
        on conflict (namespace) do update set number = e.number + 1;

      -- Counted back from the last one: while the cache is away, what came shortly before may have to be relayed again afterwards.
      delete from ${shared}.positions p where p.at < (
        select max(q.at) from ${shared}.positions q where q.namespace = p.namespace
          and q.at <= (select max(r.at) from ${shared}.positions r where r.namespace = p.namespace) - keep);
      select min(pg_snapshot_xmin(position)::text::numeric)::text::xid8 into needed from ${shared}.positions;
      if needed is null then
        return 0;
      end if;
      for slot in 0..${OUTBOX_SLOTS - 1} loop
        continue when slot = ${OUTBOX_SLOT};
        execute format('select xid from %s.outbox_%s order by xid desc limit 1', ${literal(shared)}, slot) into newest;
        continue when newest is null or newest >= needed;
        begin
          execute format('lock table %s.outbox_%s in access exclusive mode', ${literal(shared)}, slot);
          execute format('select xid from %s.outbox_%s order by xid desc limit 1', ${literal(shared)}, slot) into newest;
          if newest < needed then
            execute format('truncate %s.outbox_%s', ${literal(shared)}, slot);
            emptied := emptied + 1;
          end if;
        exception when lock_not_available or deadlock_detected then
          null;
        end;
      end loop;
      return emptied;
    end`
  return `create or replace function ${shared}.prune_outbox(keep interval default '10 minutes') returns int language plpgsql
    security definer set search_path = pg_catalog, pg_temp set lock_timeout = '100ms' as ${dollarQuote(body)}`
}

function slots(): number[] {
  return Array.from({ length: OUTBOX_SLOTS }, (_, slot) => slot)
}
