import { createHash } from 'node:crypto'
import { block, dollarQuote, literal, name } from './sql-text.js'

const SCHEMA_COMMENT = 'Made by Corral.'
/** Bytes of a Postgres identifier; a longer one is cut off in silence. */
const LONGEST_NAME = 63

/** Where a table's functions are, and what they are named after. */
export interface FunctionPlace {
  readonly schema: string
  readonly table: string
  readonly corralSchema: string
}

export function createSchema(corralSchema: string): string {
  // Not IF NOT EXISTS: that asks for the privilege to create schemas even when there is nothing to create.
  return block(`
    begin
      if to_regnamespace(${literal(name(corralSchema))}) is null then
        create schema ${name(corralSchema)};
        comment on schema ${name(corralSchema)} is ${literal(SCHEMA_COMMENT)};
      end if;
    end`)
}

/** Part of a PL/pgSQL block: drops the schema if it is one that `createSchema` made and nothing is left in it. */
export function dropSchema(corralSchema: string): string {
  const shared = name(corralSchema)
  return `if obj_description(to_regnamespace(${literal(shared)}), 'pg_namespace') = ${literal(SCHEMA_COMMENT)} then
        begin
          drop schema ${shared};
        exception when dependent_objects_still_exist then
          null;
        end;
      end if;`
}

export function triggerFunction(
  { schema, table, corralSchema }: FunctionPlace,
  role: string,
  attributes: string,
  body: string,
): string {
  return `create or replace function ${name(corralSchema)}.${functionName(schema, table, role)}()
    returns trigger language plpgsql ${attributes} as ${dollarQuote(body)}`
}

/** Hex digits of the digest in a function's name. */
const DIGEST_DIGITS = 8

/** An SQL condition: the function of this name was made for the table that is called so, and not for one that was renamed since. */
export function isFunctionOf(entity: string, functionNamed: string): string {
  const digest = `left(encode(sha256(convert_to(${entity}, 'UTF8')), 'hex'), ${DIGEST_DIGITS})`
  return `right(${functionNamed}, ${DIGEST_DIGITS + 1}) = '_' || ${digest}`
}

/** One function for each table, so that its columns are named in plain SQL. The digest tells apart names that had to be cut. */
export function functionName(schema: string, table: string, role: string): string {
  const digest = createHash('sha256').update(`${schema}.${table}`).digest('hex').slice(0, DIGEST_DIGITS)
  let start = table
  while (Buffer.byteLength(`${start}_${role}_${digest}`) > LONGEST_NAME) start = [...start].slice(0, -1).join('')
  return name(`${start}_${role}_${digest}`)
}
