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
/** The outbox has two halves, which are written to in turns, each for so long at least. */
const HALVES = [0, 1] as const
const TURN = '10 minutes'
/** Ids that each turn has for itself: more than are drawn in it. So an id says which half its row is in. */
const IDS_OF_TURN = 2 ** 40
/** Whether the row with this id, a bigint, is in the first half: an SQL expression, every name in it with its schema. */
export function isInFirstHalf(id: string): string {
  return `(${id} operator(pg_catalog.&) ${IDS_OF_TURN}) operator(pg_catalog.=) 0`
}
/** The setting by which a relay says, in the transaction in which it prunes, for which namespace. Without it: for all of them. */
export const PRUNES_FOR = 'corral.prunes_for'
/** Number of the advisory lock under which the outbox is pruned. */
const PRUNE_LOCK = 7_305_812_046_113
/** A namespace whose relay has not been seen for so long is not waited for: its cache begins anew. */
const ABANDONED_AFTER = '1 day'

/**
 * The statements that make the outbox, shared by all tables of the database, each safe to run twice.
 *
 * | table | holds |
 * | --- | --- |
 * | `outbox` | one row for each changed row of a table with outbox triggers; written once, never updated or deleted |
 * | `positions` | how far each namespace's relay has come, now and in the past minutes, as `pg_snapshot`; `began` of -infinity: where its first one began |
 * | `epochs` | the number of each namespace's epoch, and of which history of the database it is |
 *
 * The halves inherit from `outbox`, which has no rows of its own: they are tables, and not partitions, because Postgres would hold each
 * row against its partition's bounds, at the price of a tenth of what the trigger takes. Which half a row goes into follows from its id,
 * so nothing has to be made in time for a write. The half that is not written to is truncated when every relay has done with it.
 */
export function outboxUp(): string[] {
  return [
    createSchema(CORRAL_SCHEMA),
    block(`
    begin
      if (select relkind from pg_class where oid = to_regclass(${literal(`${shared}.outbox`)})) = 'p' then
        raise exception using message = 'corral: the outbox was made by an earlier version, and is partitioned',
          hint = 'Run the down migrations of all tables and of the outbox with that version first.';
      end if;
    end`),
    `create sequence if not exists ${shared}.outbox_id cache 32`,
    `create table if not exists ${shared}.outbox (
      id bigint not null default nextval(${literal(`${shared}.outbox_id`)}),
      xid xid8 not null default pg_current_xact_id(),
      at timestamptz not null default clock_timestamp(),
      entity text collate "C" not null,
      op "char" not null,
      key text[] collate "C",
      version bigint,
      lookups json,
      column_values text[] collate "C",
      constraint outbox_is_written_by_halves check (false) no inherit
    )`,
    ...HALVES.flatMap((half) => [
      `create table if not exists ${shared}.outbox_${half} () inherits (${shared}.outbox)`,
      `create index if not exists outbox_${half}_by_transaction on ${shared}.outbox_${half} (xid, id)`,
    ]),
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
      drop table if exists ${HALVES.map((half) => `${shared}.outbox_${half}, `).join('')}${shared}.outbox, ${shared}.positions;
      drop sequence if exists ${shared}.outbox_id;
      ${dropEpochs(CORRAL_SCHEMA, 'slot_tables')}
      ${dropSchema(CORRAL_SCHEMA)}
    end`),
  ]
}

/**
 * Empties the half that is not written to when no relay can need it any more, and ends the turn of the other when it has lasted long
 * enough and this one is empty. It takes its lock on a table that nobody writes to, and waits for it no longer than a moment, so no
 * writer ever waits behind it; what it cannot have it leaves for the next time.
 */
function createPruneFunction(): string {
  const half = (which: string, what: string) => `execute format('${what}', ${literal(`${shared}.outbox_`)} || ${which})`
  // A dump that was restored on another server has brought rows of transactions that are yet to come here, and that nobody reads.
  const newestOf = (which: string) =>
    half(which, 'select xid from %s where xid < pg_snapshot_xmax(pg_current_snapshot()) order by xid desc limit 1')
  const body = `
    declare
      needed xid8;
      newest xid8;
      is_empty boolean;
      oldest timestamptz;
      turn bigint;
      other bigint;
      emptied int := 0;
    begin
      if keep < interval '1 minute' then
        raise exception 'corral: what was relayed in the last minutes may have to be relayed again: keep % is less than a minute', keep;
      end if;
      if current_setting('transaction_isolation') <> 'read committed' then
        raise exception 'corral: prune_outbox must see what was committed while it waited: call it in a transaction that is read committed';
      end if;
      -- Two at a time could both end the turn, and its ids would be drawn twice.
      if not pg_try_advisory_xact_lock(${PRUNE_LOCK}) then
        return 0;
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
      -- How long that is each namespace says for itself.
      delete from ${shared}.positions p where p.namespace = coalesce(nullif(current_setting(${literal(PRUNES_FOR)}, true), ''), p.namespace) and p.at < (
        select max(q.at) from ${shared}.positions q where q.namespace = p.namespace
          and q.at <= (select max(r.at) from ${shared}.positions r where r.namespace = p.namespace) - keep);
      select min(pg_snapshot_xmin(position)::text::numeric)::text::xid8 into needed from ${shared}.positions;
      if needed is null then
        return 0;
      end if;

      select last_value / ${IDS_OF_TURN} into turn from ${shared}.outbox_id;
      other := (turn + 1) % ${HALVES.length};
      ${half('other', 'select not exists (select from %s)')} into is_empty;
      ${newestOf('other')} into newest;
      if not is_empty and coalesce(newest < needed, true) then
        begin
          ${half('other', 'lock table %s in access exclusive mode')};
          -- A session may have drawn ids ahead in a turn before this one, and written here until now.
          ${newestOf('other')} into newest;
          if coalesce(newest < needed, true) then
            ${half('other', 'truncate %s')};
            emptied := 1;
            is_empty := true;
          end if;
        exception when lock_not_available or deadlock_detected then
          null;
        end;
      end if;
      ${half(`(turn % ${HALVES.length})`, 'select at from %s order by xid, id limit 1')} into oldest;
      if is_empty and oldest < clock_timestamp() - interval '${TURN}' then
        perform setval(${literal(`${shared}.outbox_id`)}, (turn + 1) * ${IDS_OF_TURN}, false);
      end if;
      return emptied;
    end`
  return `create or replace function ${shared}.prune_outbox(keep interval default '10 minutes') returns int language plpgsql
    security definer set search_path = pg_catalog, pg_temp set lock_timeout = '100ms' as ${dollarQuote(body)}`
}
