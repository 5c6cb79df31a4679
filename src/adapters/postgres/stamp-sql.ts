import { createSchema, dropSchema, functionName, triggerFunction } from './corral-schema.js'
import { OUTBOX_TRIGGER } from './outbox-sql.js'
import { block, dollarQuote, literal, name, qualified } from './sql-text.js'

/** The column Corral stamps unless told otherwise. */
export const STAMP_COLUMN = 'corral_version'
/** Sorts behind the triggers people write, so that the stamp is set last and `suppress_redundant_updates_trigger` still works. */
export const STAMP_TRIGGER = 'zz_corral_stamp'

export const TOMBSTONE_TRIGGER = 'zz_corral_tombstone'
export const REKEY_TRIGGER = 'zz_corral_rekey'
/** Sorts right behind the stamp's, whose value it may lift. */
export const RESTAMP_TRIGGER = `${STAMP_TRIGGER}_restamp`
/** What a table with tombstones has besides the stamp's. */
const TOMBSTONE_TRIGGERS = [RESTAMP_TRIGGER, TOMBSTONE_TRIGGER, REKEY_TRIGGER]
/** Every trigger a stamped table may have; each that it has must fire always. */
export const CORRAL_TRIGGERS = [STAMP_TRIGGER, ...TOMBSTONE_TRIGGERS]
const COLUMN_COMMENT = 'Version stamp set by Corral; made by its migration.'

/** Everything a stamp's statements depend on: the database's own names. */
export interface Stamp {
  readonly schema: string
  readonly table: string
  readonly key: readonly string[]
  readonly column: string
  readonly tombstones: boolean
  readonly corralSchema: string
}

/**
 * The statements that give a table its stamp, each safe to run twice and safe to run on its own: whichever was the
 * last to run, writers work. In one transaction they appear all at once.
 */
export function stampUp(stamp: Stamp): string[] {
  return [
    createSchema(stamp.corralSchema),
    ...(stamp.tombstones
      ? [createTombstones(stamp), dropPruneFunctions(stamp), createPruneFunction(stamp), createTombstoneFunction(stamp)]
      : []),
    addColumn(stamp),
    // Before the stamp's function, which lifted the row itself in earlier releases.
    ...(stamp.tombstones ? [createRestampFunction(stamp), createRestampTrigger(stamp)] : []),
    createStampFunction(stamp),
    createTriggers(stamp),
  ]
}

/** The statements that take away what `stampUp` made, and nothing else; the last stamped table takes the shared parts along. */
export function stampDown(stamp: Stamp): string[] {
  return [dropTriggersAndColumn(stamp), dropFunctions(stamp), dropSharedParts(stamp)]
}

/**
 * Runs with the row lock held and the latest OLD in hand, so stamps of one row follow its commit order, also when the
 * clock steps back. A value the statement supplies never survives. Of an INSERT, OLD is null, and counts for nothing.
 */
function createStampFunction(stamp: Stamp): string {
  const column = name(stamp.column)
  return triggerFunction(
    stamp,
    'stamp',
    READS_NO_TABLE,
    `
    begin
      NEW.${column} := greatest(OLD.${column} + 1, ${MICROSECONDS});
      return NEW;
    end`,
  )
}

/**
 * Lifts a stamp above that of a deleted row: the UPDATE that the tombstone function makes for it names the column, as hardly any other statement
 * does. In the stamp's own function it would be one expression more for every write.
 */
function createRestampFunction(stamp: Stamp): string {
  const column = name(stamp.column)
  // Only the tombstone function sets corral.restamp.
  return triggerFunction(
    stamp,
    'restamp',
    READS_NO_TABLE,
    `
    begin
      if pg_trigger_depth() > 1 then
        NEW.${column} := greatest(NEW.${column}, nullif(current_setting('corral.restamp', true), '')::bigint);
      end if;
      return NEW;
    end`,
  )
}

function createTombstones({ corralSchema }: Stamp): string {
  return `create table if not exists ${name(corralSchema)}.tombstones (
      entity text collate "C" not null,
      key text[] collate "C" not null,
      version bigint not null,
      primary key (entity, key)
    )`
}

/** Also the one of earlier releases, which took no limit and would make calls without one ambiguous. */
function dropPruneFunctions({ corralSchema }: Pick<Stamp, 'corralSchema'>): string {
  const prune = `${name(corralSchema)}.prune_tombstones`
  return `drop function if exists ${prune}(interval), ${prune}(interval, bigint)`
}

/** `most`: no more than so many at once; what is left is for the next call. */
function createPruneFunction({ corralSchema }: Stamp): string {
  const body = `
    declare
      pruned bigint;
    begin
      if keep < interval '1 hour' then
        raise exception 'corral: tombstones must outlive the longest statement and any step of the clock: keep % is less than an hour', keep;
      end if;
      delete from ${name(corralSchema)}.tombstones where ctid = any(array(
        select ctid from ${name(corralSchema)}.tombstones
        where version < (extract(epoch from clock_timestamp() - keep) * 1000000)::bigint limit most));
      get diagnostics pruned = row_count;
      return pruned;
    end`
  return `create or replace function ${name(corralSchema)}.prune_tombstones(keep interval default '7 days', most bigint default null)
    returns bigint language plpgsql set search_path = pg_catalog, pg_temp as ${dollarQuote(body)}`
}

/**
 * Keeps stamps of one key rising across DELETE and re-INSERT. The stamp of an INSERT is drawn before its unique check
 * waits for a concurrent deleter, so the comparison with what was deleted must come afterwards, in an AFTER trigger.
 */
function createTombstoneFunction(stamp: Stamp): string {
  const column = name(stamp.column)
  const entity = literal(`${stamp.schema}.${stamp.table}`)
  const tombstones = `${name(stamp.corralSchema)}.tombstones`
  // The explicit collation also keeps a key column's own from clashing with that of the tombstones.
  const keyOf = (row: string) =>
    `array[${stamp.key.map((part) => `${row}.${name(part)}::text`).join(', ')}] collate "C"`
  const sameKey = stamp.key.map((part, at) => `${name(part)} = $${at + 1}`).join(' and ')
  return triggerFunction(
    stamp,
    'tombstone',
    // The writer needs no rights on the tombstones: the function has its owner's, and a fixed search path because of that.
    'security definer set search_path = pg_catalog, pg_temp',
    `
    declare
      buried bigint;
    begin
      if TG_OP <> 'INSERT' then
        insert into ${tombstones} as t (entity, key, version)
          values (${entity}, ${keyOf('OLD')}, greatest(OLD.${column} + 1, ${MICROSECONDS}))
          on conflict (entity, key) do update set version = greatest(t.version, excluded.version);
      end if;
      if TG_OP = 'DELETE' then
        return null;
      end if;

      if current_setting('transaction_isolation') in ('read committed', 'read uncommitted') then
        -- Sees the deleter's tombstone: the unique check has waited for its commit, and this statement's snapshot is younger.
        select version into buried from ${tombstones} where entity = ${entity} and key = ${keyOf('NEW')};
      else
        -- This transaction's snapshot may be older than the tombstone, and a plain read would not see it. An upsert
        -- meets it in the index and fails with 40001, as it should. 0: there was none, so take it away again.
        insert into ${tombstones} as t (entity, key, version) values (${entity}, ${keyOf('NEW')}, 0)
          on conflict (entity, key) do update set version = t.version
          returning t.version into buried;
        if buried = 0 then
          delete from ${tombstones} where entity = ${entity} and key = ${keyOf('NEW')};
        end if;
      end if;

      if buried >= NEW.${column} then
        perform set_config('corral.restamp', (buried + 1)::text, true);
        execute 'update ' || TG_RELID::regclass::text || ${literal(` set ${column} = $${stamp.key.length + 1} where ${sameKey}`)}
          using ${stamp.key.map((part) => `NEW.${name(part)}`).join(', ')}, buried + 1;
        perform set_config('corral.restamp', '', true);
      end if;
      return null;
    end`,
  )
}

/** A constant default fills the column of existing rows without rewriting the table (Postgres 11 and later). It stays until the triggers are there. */
function addColumn({ schema, table, column }: Stamp): string {
  const relation = qualified(schema, table)
  return block(`
    declare
      found text;
      complete boolean;
    begin
      select format_type(atttypid, atttypmod), attnotnull into found, complete from pg_attribute
        where attrelid = ${literal(relation)}::regclass and attname = ${literal(column)} and not attisdropped;
      if found is null then
        execute format('alter table %s add column %I bigint not null default %s',
          ${literal(relation)}, ${literal(column)}, ${MICROSECONDS});
        comment on column ${relation}.${name(column)} is ${literal(COLUMN_COMMENT)};
      elsif found <> 'bigint' or not complete then
        raise exception using
          message = ${literal(`corral: column ${column} of ${relation} must be bigint not null to carry the stamp, found `)} || found,
          hint = 'Alter it first, or pass stampTable another column.';
      end if;
    end`)
}

function createRestampTrigger({ schema, table, column, corralSchema }: Stamp): string {
  const relation = qualified(schema, table)
  return block(`
    declare
      part regclass;
    begin
      drop trigger if exists ${RESTAMP_TRIGGER} on ${relation};
      create trigger ${RESTAMP_TRIGGER} before update of ${name(column)} on ${relation}
        for each row execute function ${name(corralSchema)}.${functionName(schema, table, 'restamp')}();
      ${enableAlways(relation, [RESTAMP_TRIGGER])}
    end`)
}

function createTriggers({ schema, table, key, column, tombstones, corralSchema }: Stamp): string {
  const relation = qualified(schema, table)
  const call = (role: string) => `${name(corralSchema)}.${functionName(schema, table, role)}`
  const changed = key.map((part) => `OLD.${name(part)} is distinct from NEW.${name(part)}`).join(' or ')
  const columns = key.map(name).join(', ')
  const triggers = CORRAL_TRIGGERS.filter(
    (trigger) => trigger !== RESTAMP_TRIGGER && (tombstones || trigger === STAMP_TRIGGER),
  )
  return block(`
    declare
      part regclass;
    begin
      ${
        tombstones
          ? ''
          : `if (select relkind from pg_class where oid = ${literal(relation)}::regclass) = 'p' then
        raise exception using message = ${literal(
          `corral: partitioned table ${relation} needs tombstones: a row that moves between partitions is deleted and inserted`,
        )};
      end if;`
      }
      ${dropTriggers(relation, tombstones ? triggers : CORRAL_TRIGGERS)}
      create trigger ${STAMP_TRIGGER} before insert or update on ${relation}
        for each row execute function ${call('stamp')}(${literal(column)});
      ${
        tombstones
          ? `create trigger ${TOMBSTONE_TRIGGER} after insert or delete on ${relation}
        for each row execute function ${call('tombstone')}();
      -- Of the key only: to look at the condition takes as long as the stamp, and most updates do not name the key.
      create trigger ${REKEY_TRIGGER} after update of ${columns} on ${relation}
        for each row when (${changed}) execute function ${call('tombstone')}();
      -- Nobody else may have it act with its owner's rights; the table's owner needs it to make further partitions.
      revoke all on function ${call('tombstone')}() from public;
      execute format('grant execute on function %s() to %s', ${literal(call('tombstone'))},
        (select relowner::regrole from pg_class where oid = ${literal(relation)}::regclass));`
          : ''
      }
      ${enableAlways(relation, triggers)}
      -- From now on nobody sees the default: the trigger is always there. A row that has it betrays that it was not.
      if ${isOurColumn(relation, column)} then
        alter table ${relation} alter column ${name(column)} set default 0;
      end if;
    end`)
}

function dropTriggersAndColumn({ schema, table, column }: Stamp): string {
  const relation = qualified(schema, table)
  return block(`
    begin
      if to_regclass(${literal(relation)}) is null then
        return;
      end if;
      -- Without the column every write would fail, and without the triggers the outbox would tell of changes under the version before them.
      if exists (select from pg_trigger g join pg_proc p on p.oid = g.tgfoid where g.tgrelid = ${literal(relation)}::regclass
          and g.tgname = ${literal(`${OUTBOX_TRIGGER}_row`)} and strpos(p.prosrc, ${literal(`NEW.${name(column)}`)}) > 0) then
        raise exception using message = ${literal(`corral: the outbox triggers of ${relation} read column ${name(column)}`)},
          hint = 'Run the down of its outboxTable() migration first.';
      end if;
      ${dropTriggers(relation, CORRAL_TRIGGERS)}
      if ${isOurColumn(relation, column)} then
        alter table ${relation} drop column ${name(column)};
      end if;
    end`)
}

function dropFunctions({ schema, table, corralSchema }: Stamp): string {
  const functions = ['stamp', 'restamp', 'tombstone'].map(
    (role) => `${name(corralSchema)}.${functionName(schema, table, role)}()`,
  )
  return block(`
    begin
      ${functions.map((each) => `drop function if exists ${each};`).join('\n      ')}
      if to_regclass(${literal(`${name(corralSchema)}.tombstones`)}) is not null then
        delete from ${name(corralSchema)}.tombstones where entity = ${literal(`${schema}.${table}`)};
      end if;
    end`)
}

function dropSharedParts({ corralSchema }: Stamp): string {
  const shared = name(corralSchema)
  return block(`
    begin
      if not exists (select from pg_trigger g join pg_proc p on p.oid = g.tgfoid
          where g.tgname = ${literal(TOMBSTONE_TRIGGER)} and p.pronamespace = to_regnamespace(${literal(shared)})) then
        ${dropPruneFunctions({ corralSchema })};
        drop table if exists ${shared}.tombstones;
      end if;
      ${dropSchema(corralSchema)}
    end`)
}

/** Whether `up` made the column: one that was there before it stays after `down`. */
function isOurColumn(relation: string, column: string): string {
  return `exists (select from pg_attribute where attrelid = ${literal(relation)}::regclass and attname = ${literal(column)}
          and not attisdropped and col_description(attrelid, attnum) = ${literal(COLUMN_COMMENT)})`
}

function dropTriggers(relation: string, triggers: readonly string[]): string {
  return triggers.map((trigger) => `drop trigger if exists ${trigger} on ${relation};`).join('\n      ')
}

/** ALWAYS: also under session_replication_role = replica. Partitions have triggers of their own. */
function enableAlways(relation: string, triggers: readonly string[]): string {
  return `for part in select ${literal(relation)}::regclass union select relid from pg_partition_tree(${literal(relation)}::regclass) loop
        ${triggers.map((trigger) => `execute format('alter table %s enable always trigger ${trigger}', part);`).join('\n        ')}
      end loop;`
}

/** Of a function that looks at rows and at no table: without it Postgres takes a snapshot for each expression that is not immutable. */
const READS_NO_TABLE = 'stable'

/**
 * Microseconds since 1970: rises with real time, stays exact in a double until the year 2255. As a double from the start:
 * `extract` would calculate with numerics, which takes longer than all the rest of the trigger.
 */
const MICROSECONDS = `(date_part('epoch', clock_timestamp()) * 1000000)::bigint`
