import { functionName, triggerFunction } from './corral-schema.js'
import { CORRAL_SCHEMA, OUTBOX_OP, OUTBOX_TRIGGER } from './outbox-sql.js'
import { block, literal, name, qualified } from './sql-text.js'

/** Everything the triggers of one table depend on: the database's own names. */
export interface OutboxTable {
  readonly schema: string
  readonly table: string
  readonly key: readonly string[]
  /** Undefined: rows have none. */
  readonly version: string | undefined
  readonly unique: readonly (readonly string[])[]
  readonly columns: readonly string[]
  readonly maxRows: number
}

const PARTS = ['row', 'end', 'truncate'].map((part) => `${OUTBOX_TRIGGER}_${part}`)

/** The statements that have every change of a table written to the outbox, in the transaction that makes it. Each is safe to run twice. */
export function outboxTableUp(table: OutboxTable): string[] {
  return [createFunction(table), createTriggers(table)]
}

/** The statements that take away what `outboxTableUp` made, and nothing else. */
export function outboxTableDown(table: OutboxTable): string[] {
  const relation = qualified(table.schema, table.table)
  return [
    block(`
    declare
      part regclass;
    begin
      if to_regclass(${literal(relation)}) is not null then
        ${dropTriggers(relation)}
      end if;
      drop function if exists ${name(CORRAL_SCHEMA)}.${functionName(table.schema, table.table, 'outbox')}();
    end`),
  ]
}

/**
 * One function for all triggers of the table.
 *
 * Rows have triggers of their own, though one for each statement could list them all from a transition table: for statements that
 * change one row that takes twice the time (a query over the transition table costs more than a plain insert), it cannot tell which
 * old row became which new one, and it does not fire for statements aimed at a partition, nor for logical replication.
 */
function createFunction(table: OutboxTable): string {
  const entity = literal(`${table.schema}.${table.table}`)
  const outbox = `${name(CORRAL_SCHEMA)}.outbox`
  const marker = (op: string) => `insert into ${outbox} (entity, op) values (${entity}, '${op}')`
  const told = (op: string, row: string, lookups: string, values: string) => {
    const version = versionOf(table, row, op === OUTBOX_OP.delete)
    return `insert into ${outbox} (entity, op, key, version, lookups, column_values)
          values (${entity}, '${op}', ${keyOf(table, row)}, ${version}, ${lookups}, ${values})`
  }
  const all = (op: string, row: string) => told(op, row, lookupsOf(table, row), valuesOf(table, row))
  const counter = literal(`corral.t${functionName(table.schema, table.table, 'rows').slice(-9, -1)}`)
  return triggerFunction(
    { ...table, corralSchema: CORRAL_SCHEMA },
    'outbox',
    // Writers need no rights on the outbox: the function has its owner's, and a fixed search path because of that.
    'security definer set search_path = pg_catalog, pg_temp',
    `
    declare
      -- Rows of this statement so far. A setting, because it is gone with the transaction and goes back with a savepoint.
      counted bigint;
    begin
      if TG_OP = 'TRUNCATE' then
        ${marker(OUTBOX_OP.truncate)};
        return null;
      end if;
      if TG_LEVEL = 'STATEMENT' then
        counted := set_config(${counter}, '0', true)::bigint;
        return null;
      end if;
      counted := coalesce(nullif(current_setting(${counter}, true), ''), '0')::bigint + 1;
      if counted > ${table.maxRows} then
        if counted = ${table.maxRows + 1} then
          ${marker(OUTBOX_OP.bulk)};
          counted := set_config(${counter}, counted::text, true)::bigint;
        end if;
        return null;
      end if;
      counted := set_config(${counter}, counted::text, true)::bigint;
      if TG_OP = 'INSERT' then
        ${all(OUTBOX_OP.insert, 'NEW')};
      elsif TG_OP = 'DELETE' then
        ${all(OUTBOX_OP.delete, 'OLD')};
      else
        if ${differ(table.key)} then
          ${all(OUTBOX_OP.delete, 'OLD')};
        end if;
        ${told(OUTBOX_OP.update, 'NEW', changedLookups(table), changedValues(table))};
      end if;
      return null;
    end`,
  )
}

function createTriggers(table: OutboxTable): string {
  const relation = qualified(table.schema, table.table)
  const shared = name(CORRAL_SCHEMA)
  const call = `${shared}.${functionName(table.schema, table.table, 'outbox')}`
  return block(`
    declare
      part regclass;
    begin
      if to_regclass(${literal(`${shared}.outbox`)}) is null then
        raise exception using message = 'corral: there is no outbox', hint = 'Run the outboxTables() migration first.';
      end if;
      ${dropTriggers(relation)}
      create trigger ${OUTBOX_TRIGGER}_row after insert or update or delete on ${relation} for each row execute function ${call}();
      create trigger ${OUTBOX_TRIGGER}_end after insert or update or delete on ${relation} for each statement execute function ${call}();
      -- Nobody else may have it act with its owner's rights; the table's owner needs it to make further partitions.
      revoke all on function ${call}() from public;
      execute format('grant execute on function %s() to %s', ${literal(call)},
        (select relowner::regrole from pg_class where oid = ${literal(relation)}::regclass));
      -- ALWAYS: also under session_replication_role = replica. Partitions have triggers of their own.
      alter table ${relation} enable always trigger ${OUTBOX_TRIGGER}_end;
      for part in select ${literal(relation)}::regclass union select relid from pg_partition_tree(${literal(relation)}::regclass) loop
        execute format('create trigger ${OUTBOX_TRIGGER}_truncate after truncate on %s for each statement execute function %s()', part, ${literal(call)});
        execute format('alter table %s enable always trigger ${OUTBOX_TRIGGER}_truncate', part);
        execute format('alter table %s enable always trigger ${OUTBOX_TRIGGER}_row', part);
      end loop;
    end`)
}

/** Truncate triggers are each partition's own, the others go with those of the table. */
function dropTriggers(relation: string): string {
  return `for part in select relid from pg_partition_tree(${literal(relation)}::regclass) where relid <> ${literal(relation)}::regclass loop
        execute format('drop trigger if exists ${OUTBOX_TRIGGER}_truncate on %s', part);
      end loop;
      ${PARTS.map((trigger) => `drop trigger if exists ${trigger} on ${relation};`).join('\n      ')}`
}

/** A value as Corral spells it in keys. The collation is fixed, so that a column's own has no say in comparisons. */
function text(row: string, column: string): string {
  return `${row}.${name(column)}::text collate "C"`
}

function keyOf({ key }: OutboxTable, row: string): string {
  return `array[${key.map((part) => text(row, part)).join(', ')}]`
}

/** After a delete: the least stamp a row will have that comes back under the key. */
function versionOf({ version }: OutboxTable, row: string, gone: boolean): string {
  if (version === undefined) return 'null::bigint'
  return `${row}.${name(version)}::bigint${gone ? ' + 1' : ''}`
}

function named(columns: readonly string[], row: string): string {
  return `json_build_array(${literal(columns.join(','))}, ${columns.map((column) => text(row, column)).join(', ')})`
}

function list(parts: readonly string[]): string {
  return parts.length === 0 ? 'null::json' : `json_build_array(${parts.join(', ')})`
}

function lookupsOf({ unique }: OutboxTable, row: string): string {
  return list(unique.map((columns) => named(columns, row)))
}

function valuesOf({ columns }: OutboxTable, row: string): string {
  return list(columns.map((column) => named([column], row)))
}

/** Lookups that led to the row and do not now, or the other way round. */
function changedLookups({ unique }: OutboxTable): string {
  const when = (columns: readonly string[], row: string) =>
    `case when ${differ(columns)} then ${named(columns, row)} end`
  return list(unique.flatMap((columns) => [when(columns, 'OLD'), when(columns, 'NEW')]))
}

/** All declared values, before and after. */
function changedValues({ columns }: OutboxTable): string {
  return list(
    columns.flatMap((column) => [
      named([column], 'NEW'),
      `case when ${differ([column])} then ${named([column], 'OLD')} end`,
    ]),
  )
}

/** As texts: a type whose values have several spellings is not the same to a cache when it is the same to the database. */
function differ(columns: readonly string[]): string {
  return [...new Set(columns)]
    .map((column) => `${text('OLD', column)} is distinct from ${text('NEW', column)}`)
    .join(' or ')
}
