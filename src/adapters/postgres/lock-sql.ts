import { createSchema, dropSchema } from './corral-schema.js'
import { CORRAL_SCHEMA } from './outbox-sql.js'
import { block, name } from './sql-text.js'

export const LOCKS_NAME = 'fenced_locks'
/** One row for each name that was ever locked. */
export const LOCKS_TABLE = `${name(CORRAL_SCHEMA)}.${LOCKS_NAME}`
/** Where tokens come from: a name whose row was deleted goes on above every token it ever had. */
export const LOCK_TOKENS = `${name(CORRAL_SCHEMA)}.fenced_lock_tokens`

/**
 * The statements that make the table of fenced locks, each safe to run twice.
 *
 * `token` is that of the newest holder; `unreleased` how many holders, that one included, have not let go since the last one who did
 * so in good order.
 */
export function locksUp(): string[] {
  return [
    createSchema(CORRAL_SCHEMA),
    `create sequence if not exists ${LOCK_TOKENS}`,
    `create table if not exists ${LOCKS_TABLE} (
      name text collate "C" primary key,
      token bigint not null,
      unreleased integer not null,
      issued_at timestamptz not null default clock_timestamp()
    )`,
  ]
}

export function locksDown(): string[] {
  return [
    `drop table if exists ${LOCKS_TABLE}`,
    `drop sequence if exists ${LOCK_TOKENS}`,
    block(`
    begin
      ${dropSchema(CORRAL_SCHEMA)}
    end`),
  ]
}
