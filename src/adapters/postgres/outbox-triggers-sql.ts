import { createHash } from 'node:crypto'
import { functionName, triggerFunction } from './corral-schema.js'
import { CORRAL_SCHEMA, isInFirstHalf, OUTBOX_OP, OUTBOX_TRIGGER } from './outbox-sql.js'
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
/** What its functions are for. The first has the name of earlier versions, whose one function was for both. */
const ROLES = ['outbox', 'outbox_truncate'] as const
/** Ids of the outbox that a session draws at a time: they follow one another, so every n-th of them is a multiple of n. */
const OUTBOX_ID_CACHE = 32

/**
 * The statements that have every change of a table written to the outbox, in the transaction that makes it. Each is safe to run twice.
 *
 * What was cached while nobody told of changes, or of other values, may be old, and from now on it would count as proven. So the last of them also
 * writes the word that ends all that is cached; not where the first has found all as it is to be.
 */
export function outboxTableUp(table: OutboxTable): string[] {
  const bodies = [rowBody(table), truncateBody(table)]
  const functions = bodies.map((body, at) =>
    triggerFunction({ ...table, corralSchema: CORRAL_SCHEMA }, ROLES[at] as string, 'security definer', body),
  )
  const digest = digestOf(bodies.join())
  return [noteUnchanged(table, bodies, digest), ...functions, createTriggers(table, digest)]
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
      drop function if exists ${ROLES.map((role) => `${callOf(table, role)}()`).join(', ')};
    end`),
  ]
}

/**
 * What a row's trigger does. It runs in the transaction of every writer, so its cost is theirs (bench `write-cost`):
 *
 * - Rows have triggers of their own, though one for each statement could list them all from a transition table: for statements that
 *   change one row that takes twice the time (a query over the transition table costs more than a plain insert), it cannot tell which
 *   old row became which new one, and it does not fire for statements aimed at a partition, nor for logical replication.
 * - It writes to the half of the outbox that its id says, and not to a partitioned table: routing a row takes as long as inserting it.
 * - An update that changes neither key nor unique values, which is most, takes few and small expressions: each of them, and each column
 *   of an insert, is made ready anew in every transaction, which takes longer than to calculate it.
 * - Rows are counted by the ids they draw: only each `step`-th id is looked at, and rows of all tables count together, for the whole transaction. A statement
 *   trigger that starts the count anew would cost as much as the insert; instead a client's next statement is known by its timestamp.
 * - It has its owner's rights, so a caller's search path must have no say in it. `set search_path` would take 3 us at each call:
 *   here every function, type and operator is named with its schema.
 */
function rowBody(table: OutboxTable): string {
  const told = (op: string, row: string, lookups: string | undefined, values: string) => {
    const columns = `entity, op, key, version, column_values${lookups === undefined ? '' : ', lookups'}`
    const rest = `${keyOf(table, row)}, ${versionOf(table, row, op === OUTBOX_OP.delete)}, ${values}${lookups === undefined ? '' : `, ${lookups}`}`
    return insertion(columns, `${entityOf(table)}, '${op}', ${rest}`)
  }
  const all = (op: string, row: string) => told(op, row, lookupsOf(table, row), valuesOf(table, row))
  const step = stepOf(table.maxRows)
  const isCounted = `id operator(pg_catalog.%) ${step} operator(pg_catalog.=) 0`
  const mayCount = `${isCounted} or pg_catalog.current_setting('corral.outbox_rows', true) operator(pg_catalog.<>) ''`
  const differs = imagesDiffer([...table.key, ...table.unique.flat()])
  return `
    declare
      id pg_catalog.int8 := ${NEXT_ID};
    begin
      if ${mayCount} or ${differs} then
        if ${mayCount} then
          declare
            -- Of a client's statement: when that began, a blank, and how many of its rows have been counted, of whatever tables; less than none
            -- once one word for all of them has been written. Local to the transaction, and goes back with a savepoint.
            counted pg_catalog.text := pg_catalog.current_setting('corral.outbox_rows', true);
            rows pg_catalog.int8;
          begin
            if pg_catalog.split_part(counted, ' ', 1) operator(pg_catalog.=) ${STATEMENT} then
              rows := pg_catalog.split_part(counted, ' ', 2)::pg_catalog.int8;
            end if;
            if rows operator(pg_catalog.<) 0 then
              return null;
            elsif ${isCounted} then
              rows := coalesce(rows, 0) operator(pg_catalog.+) ${step};
              perform ${countRows('rows')};
            end if;
            -- Another table's rows may have come to more than this one's without an end to that one's list.
            if rows operator(pg_catalog.>) ${table.maxRows} then
              ${marker(table, OUTBOX_OP.bulk)}
              perform ${countRows('-1')};
              return null;
            end if;
          end;
        end if;
        if TG_OP operator(pg_catalog.=) 'INSERT' then
          ${all(OUTBOX_OP.insert, 'NEW')}
          return null;
        elsif TG_OP operator(pg_catalog.=) 'DELETE' then
          ${all(OUTBOX_OP.delete, 'OLD')}
          return null;
        elsif ${differs} then
          if ${differ(table.key)} then
            ${all(OUTBOX_OP.delete, 'OLD')}
            -- Three ids for two rows: of two, the one that is looked at for counting could be the odd one every time.
            perform ${NEXT_ID};
            id := ${NEXT_ID};
          end if;
          ${told(OUTBOX_OP.update, 'NEW', changedLookups(table), changedValues(table))}
          return null;
        end if;
      end if;
      ${told(OUTBOX_OP.update, 'NEW', undefined, changedValues(table))}
      return null;
    end`
}

/**
 * Pieces of the body that a row's trigger has if it tells of rows as they are known to somebody: of each list one of them. A version that is not
 * told ends every entry of the row, so that does, too.
 */
export function tellingOf(known: Pick<OutboxTable, 'key' | 'version' | 'unique'>): string[][] {
  const key = keyOf(known, 'NEW')
  const withVersion = (version: string | undefined) => `${key}, ${versionOf({ version }, 'NEW', false)}`
  return [
    known.version === undefined ? [key] : [withVersion(known.version), withVersion(undefined)],
    ...known.unique.map((columns) => [named(columns, 'NEW')]),
  ]
}

function truncateBody(table: OutboxTable): string {
  return `
    declare
      id pg_catalog.int8 := ${NEXT_ID};
    begin
      ${marker(table, OUTBOX_OP.truncate)}
      return null;
    end`
}

const NEXT_ID = `pg_catalog.nextval(${literal(`${name(CORRAL_SCHEMA)}.outbox_id`)})`

function callOf({ schema, table }: OutboxTable, role: (typeof ROLES)[number]): string {
  return `${name(CORRAL_SCHEMA)}.${functionName(schema, table, role)}`
}

function entityOf({ schema, table }: OutboxTable): string {
  return literal(`${schema}.${table}`)
}

/** Into one half or the other; only the statement that is run is ever planned. */
function insertion(columns: string, values: string): string {
  const into = (half: number) =>
    `insert into ${name(CORRAL_SCHEMA)}.outbox_${half} (id, ${columns}) values (id, ${values});`
  return `if ${isInFirstHalf('id')} then
          ${into(0)}
          else
          ${into(1)}
          end if;`
}

/** A row that stands for the table as a whole. */
function marker(table: OutboxTable, op: string): string {
  return insertion('entity, op', `${entityOf(table)}, '${op}'`)
}

/** Tells one client's statement from the next: its beginning, in microseconds. Statements within a function or a DO block share it. */
const STATEMENT = `pg_catalog.date_part('epoch', pg_catalog.statement_timestamp())::pg_catalog.text`

/** @param rows an SQL expression. */
function countRows(rows: string): string {
  return `pg_catalog.set_config('corral.outbox_rows', pg_catalog.concat(${STATEMENT}, ' ', ${rows}), true)`
}

/** How many rows are counted at a time: few against `maxRows`, and a divisor of the ids that are drawn together. */
function stepOf(maxRows: number): number {
  let step = 1
  while (step < OUTBOX_ID_CACHE && step * 32 < maxRows) step *= 2
  return step
}

/** What the first statement leaves for the last, in their session: the digest of what is there, if that is what is wanted. */
const UNCHANGED = 'corral.outbox_unchanged'

function digestOf(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}

function noteUnchanged(table: OutboxTable, bodies: readonly string[], digest: string): string {
  const relation = `to_regclass(${literal(qualified(table.schema, table.table))})`
  const wanted = ROLES.map((role, at) => {
    const made = [
      `${OUTBOX_TRIGGER}_${role === 'outbox' ? 'row' : 'truncate'}`,
      `${callOf(table, role)}()`,
      // As the server has it: with the line's end that `dollarQuote` adds.
      digestOf(`${bodies[at]}\n`),
    ]
    return `(${made.map(literal).join(', ')})`
  })
  return block(`
    begin
      perform set_config(${literal(UNCHANGED)}, case when exists (
        select from (values ${wanted.join(', ')}) as wanted (trigger, function, digest)
          cross join (select ${relation}::oid as part union select relid from pg_partition_tree(${relation})) parts
        where not exists (select from pg_trigger g join pg_proc p on p.oid = g.tgfoid
          where g.tgrelid = part and g.tgname = wanted.trigger and g.tgenabled = 'A' and p.oid = to_regprocedure(wanted.function)
            and encode(sha256(convert_to(p.prosrc, 'UTF8')), 'hex') = wanted.digest)
      ) then '' else ${literal(digest)} end, false);
    end`)
}

function createTriggers(table: OutboxTable, digest: string): string {
  const relation = qualified(table.schema, table.table)
  const [ofRow, ofTruncate] = ROLES.map((role) => callOf(table, role)) as [string, string]
  return block(`
    declare
      part regclass;
      called text;
      id pg_catalog.int8;
    begin
      if to_regclass(${literal(`${name(CORRAL_SCHEMA)}.outbox`)}) is null then
        raise exception using message = 'corral: there is no outbox', hint = 'Run the outboxTables() migration first.';
      end if;
      ${dropTriggers(relation)}
      create trigger ${OUTBOX_TRIGGER}_row after insert or update or delete on ${relation} for each row execute function ${ofRow}();
      -- Nobody else may have them act with their owner's rights; the table's owner needs them to make further partitions.
      foreach called in array array[${literal(ofRow)}, ${literal(ofTruncate)}] loop
        execute format('revoke all on function %s() from public', called);
        execute format('grant execute on function %s() to %s', called,
          (select relowner::regrole from pg_class where oid = ${literal(relation)}::regclass));
      end loop;
      -- ALWAYS: also under session_replication_role = replica. Partitions have triggers of their own.
      for part in select ${literal(relation)}::regclass union select relid from pg_partition_tree(${literal(relation)}::regclass) loop
        execute format('create trigger ${OUTBOX_TRIGGER}_truncate after truncate on %s for each statement execute function %s()', part, ${literal(ofTruncate)});
        execute format('alter table %s enable always trigger ${OUTBOX_TRIGGER}_truncate', part);
        execute format('alter table %s enable always trigger ${OUTBOX_TRIGGER}_row', part);
      end loop;
      -- By now the table is locked: whoever changed it before has committed, and who changes it afterwards is told of.
      if current_setting(${literal(UNCHANGED)}, true) is distinct from ${literal(digest)} then
        id := ${NEXT_ID};
        ${marker(table, OUTBOX_OP.bulk)}
      end if;
      perform set_config(${literal(UNCHANGED)}, '', false);
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

function keyOf({ key }: Pick<OutboxTable, 'key'>, row: string): string {
  return `array[${key.map((part) => text(row, part)).join(', ')}]`
}

/** After a delete: the least stamp a row will have that comes back under the key. */
function versionOf({ version }: Pick<OutboxTable, 'version'>, row: string, gone: boolean): string {
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

/**
 * Whether any of them is stored otherwise than before: quicker to ask than `differ`, of columns of any type. What is stored alike is spelled
 * alike, and of a row that is inserted or deleted everything differs from what is not there.
 */
function imagesDiffer(columns: readonly string[]): string {
  const row = (of: string) => `row(${[...new Set(columns)].map((column) => `${of}.${name(column)}`).join(', ')})`
  return `pg_catalog.record_image_ne(${row('OLD')}, ${row('NEW')})`
}
