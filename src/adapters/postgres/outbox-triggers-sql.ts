import { functionName, triggerFunction } from './corral-schema.js'
import { CORRAL_SCHEMA, OUTBOX_OP, OUTBOX_SLOT, OUTBOX_SLOTS, OUTBOX_TRIGGER } from './outbox-sql.js'
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

/** `end`: of earlier versions. */
const PARTS = ['row', 'end', 'truncate'].map((part) => `${OUTBOX_TRIGGER}_${part}`)
/** Ids of the outbox that a session draws at a time: they follow one another, so every n-th of them is a multiple of n. */
const OUTBOX_ID_CACHE = 32

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
 * One function for all triggers of the table. It runs in the transaction of every writer, so its cost is theirs (bench `write-cost`):
 *
 * - Rows have triggers of their own, though one for each statement could list them all from a transition table: for statements that
 *   change one row that takes twice the time (a query over the transition table costs more than a plain insert), it cannot tell which
 *   old row became which new one, and it does not fire for statements aimed at a partition, nor for logical replication.
 * - It writes to the partition that is current, and not to the table above: routing a row takes as long as inserting it.
 * - Rows are counted by the ids they draw, each `step`-th time. A trigger for each statement, to begin counting anew, would cost as
 *   much as the insert; a client's next statement is known by its timestamp instead.
 * - It has its owner's rights, so a caller's search path must have no say in it. `set search_path` would take 3 us at each call:
 *   here every function, type and operator is named with its schema.
 */
function createFunction(table: OutboxTable): string {
  const entity = literal(`${table.schema}.${table.table}`)
  const shared = name(CORRAL_SCHEMA)
  const nextId = `pg_catalog.nextval(${literal(`${shared}.outbox_id`)})`
  const insert = (columns: string, values: string) =>
    slots((slot) => `insert into ${shared}.outbox_${slot} (slot, id, ${columns}) values (${slot}, id, ${values});`)
  const marker = (op: string) => insert('entity, op', `${entity}, '${op}'`)
  const told = (op: string, row: string, lookups: string, values: string) => {
    const version = versionOf(table, row, op === OUTBOX_OP.delete)
    return insert(
      'entity, op, key, version, lookups, column_values',
      `${entity}, '${op}', ${keyOf(table, row)}, ${version}, ${lookups}, ${values}`,
    )
  }
  const all = (op: string, row: string) => told(op, row, lookupsOf(table, row), valuesOf(table, row))
  const step = stepOf(table.maxRows)
  return triggerFunction(
    { ...table, corralSchema: CORRAL_SCHEMA },
    'outbox',
    'security definer',
    `
    declare
      -- Rows of a client's statement: when that began, a blank and their number. Local to the transaction, and goes back with a savepoint.
      counted pg_catalog.text;
      rows pg_catalog.int8;
      slot pg_catalog.int2 := ${OUTBOX_SLOT};
      id pg_catalog.int8;
    begin
      if pg_catalog.current_setting('corral.outbox_rows', true) operator(pg_catalog.<>) '' then
        counted := pg_catalog.current_setting('corral.outbox_rows', true);
        if pg_catalog.split_part(counted, ' ', 1) operator(pg_catalog.=) ${STATEMENT} then
          rows := pg_catalog.split_part(counted, ' ', 2)::pg_catalog.int8;
        end if;
        if rows operator(pg_catalog.>) ${table.maxRows} and TG_OP operator(pg_catalog.<>) 'TRUNCATE' then
          return null;
        end if;
      end if;
      id := ${nextId};
      if id operator(pg_catalog.%) ${step} operator(pg_catalog.=) 0 then
        rows := coalesce(rows, 0) operator(pg_catalog.+) ${step};
        perform pg_catalog.set_config('corral.outbox_rows', pg_catalog.concat(${STATEMENT}, ' ', rows), true);
        if rows operator(pg_catalog.>) ${table.maxRows} then
          ${marker(OUTBOX_OP.bulk)}
          return null;
        end if;
      end if;
      if TG_OP operator(pg_catalog.=) 'UPDATE' then
        if ${differ(table.key)} then
          ${all(OUTBOX_OP.delete, 'OLD')}
          id := ${nextId};
        end if;
        ${told(OUTBOX_OP.update, 'NEW', changedLookups(table), changedValues(table))}
      elsif TG_OP operator(pg_catalog.=) 'INSERT' then
        ${all(OUTBOX_OP.insert, 'NEW')}
      elsif TG_OP operator(pg_catalog.=) 'DELETE' then
        ${all(OUTBOX_OP.delete, 'OLD')}
      else
        ${marker(OUTBOX_OP.truncate)}
      end if;
      return null;
    end`,
  )
}

/** Tells one client's statement from the next: its beginning, in microseconds. Statements within a function or a DO block share it. */
const STATEMENT = `pg_catalog.date_part('epoch', pg_catalog.statement_timestamp())::pg_catalog.text`

/** How many rows are counted at a time: few against `maxRows`, and a divisor of the ids that are drawn together. */
function stepOf(maxRows: number): number {
  let step = 1
  while (step < OUTBOX_ID_CACHE && step * 32 < maxRows) step *= 2
  return step
}

/** The same statement for each partition; only that of the current one is ever planned. */
function slots(statement: (slot: number) => string): string {
  const cases = Array.from({ length: OUTBOX_SLOTS }, (_, slot) => {
    const condition =
      slot === OUTBOX_SLOTS - 1 ? 'else' : `${slot === 0 ? 'if' : 'elsif'} slot operator(pg_catalog.=) ${slot} then`
    return `${condition} ${statement(slot)}`
  })
  return `${cases.join('\n          ')}\n          end if;`
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
      -- Nobody else may have it act with its owner's rights; the table's owner needs it to make further partitions.
      revoke all on function ${call}() from public;
      execute format('grant execute on function %s() to %s', ${literal(call)},
        (select relowner::regrole from pg_class where oid = ${literal(relation)}::regclass));
      -- ALWAYS: also under session_replication_role = replica. Partitions have triggers of their own.
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
  return `${row}.${name(column)}::pg_catalog.text collate pg_catalog."C"`
}

function keyOf({ key }: OutboxTable, row: string): string {
  return `array[${key.map((part) => text(row, part)).join(', ')}]`
}

/** After a delete: the least stamp a row will have that comes back under the key. */
function versionOf({ version }: OutboxTable, row: string, gone: boolean): string {
  if (version === undefined) return 'null'
  return `${row}.${name(version)}::pg_catalog.int8${gone ? ' operator(pg_catalog.+) 1' : ''}`
}

function named(columns: readonly string[], row: string): string {
  const values = columns.map((column) => text(row, column)).join(', ')
  return `pg_catalog.json_build_array(${literal(columns.join(','))}, ${values})`
}

function list(parts: readonly string[]): string {
  return parts.length === 0 ? 'null' : `pg_catalog.json_build_array(${parts.join(', ')})`
}

function lookupsOf({ unique }: OutboxTable, row: string): string {
  return list(unique.map((columns) => named(columns, row)))
}

/** Column, value and former value, one after the other. */
function triples(
  { columns }: OutboxTable,
  value: (column: string) => string,
  former: (column: string) => string,
): string {
  if (columns.length === 0) return 'null'
  return `array[${columns.map((column) => `${literal(column)}, ${value(column)}, ${former(column)}`).join(', ')}]`
}

function valuesOf(table: OutboxTable, row: string): string {
  return triples(
    table,
    (column) => text(row, column),
    () => 'null',
  )
}

/** Lookups that led to the row and do not now, or the other way round. Null where there are none, as in most updates. */
function changedLookups({ unique }: OutboxTable): string {
  if (unique.length === 0) return 'null'
  const when = (columns: readonly string[], row: string) =>
    `case when ${differ(columns)} then ${named(columns, row)} end`
  return `case when ${differ(unique.flat())} then ${list(unique.flatMap((columns) => [when(columns, 'OLD'), when(columns, 'NEW')]))} end`
}

/** All declared values, before and after, whether they differ or not: to compare them takes as long as to write them. */
function changedValues(table: OutboxTable): string {
  return triples(
    table,
    (column) => text('NEW', column),
    (column) => text('OLD', column),
  )
}

/** As texts: a type whose values have several spellings is not the same to a cache when it is the same to the database. */
function differ(columns: readonly string[]): string {
  return [...new Set(columns)]
    .map((column) => {
      const [before, after] = [text('OLD', column), text('NEW', column)]
      // Written out, because IS DISTINCT FROM looks for its operator in the search path.
      return `coalesce(${before} operator(pg_catalog.<>) ${after}, ${before} is not null or ${after} is not null)`
    })
    .join(' or ')
}
