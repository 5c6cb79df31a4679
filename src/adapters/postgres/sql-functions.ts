/**
 * What functions do to the cacheability of a query that calls them. The catalog knows most of it: an immutable function is
 * harmless. These lists say what the catalog's `stable` leaves open.
 */

/** Words that are calls without parentheses. */
export const SESSION_WORDS: ReadonlySet<string> = new Set([
  ...['current_timestamp', 'current_date', 'current_time', 'localtimestamp', 'localtime'],
  ...['current_user', 'session_user', 'current_role', 'user', 'current_catalog', 'current_schema', 'system_user'],
])

const CURRENT_DAYS: ReadonlySet<string> = new Set(['now', 'today', 'tomorrow', 'yesterday'])
/** What may stand beside one of them: a time of the day, a zone by its distance. */
const TIME_OF_DAY = /^(?:[\d:.+-]+(?:am|pm|z)?|am|pm|allballs|z|utc|gmt)$/

/** Whether Postgres makes another time of this text each time, where it is read as one. */
export function isCurrentTime(text: string): boolean {
  const words = text.trim().toLowerCase().split(/\s+/)
  const days = words.filter((word) => CURRENT_DAYS.has(word))
  return days.length > 0 && words.every((word) => CURRENT_DAYS.has(word) || TIME_OF_DAY.test(word))
}

/**
 * Functions whose result differs from call to call, from session to session or with time, though the catalog may call them
 * stable. No statement of tables makes a result of theirs fit to be kept.
 */
const CHANGING: ReadonlySet<string> = new Set([
  ...['now', 'clock_timestamp', 'statement_timestamp', 'transaction_timestamp', 'timeofday'],
  ...['random', 'random_normal', 'setseed', 'gen_random_uuid', 'gen_random_bytes', 'uuidv4', 'uuidv7'],
  ...['uuid_generate_v1', 'uuid_generate_v1mc', 'uuid_generate_v4'],
  ...['nextval', 'currval', 'lastval', 'setval'],
  ...['txid_current', 'txid_current_if_assigned', 'txid_current_snapshot', 'pg_current_xact_id'],
  ...['pg_current_xact_id_if_assigned', 'pg_current_snapshot', 'pg_is_in_recovery', 'pg_backend_pid', 'pg_sleep'],
  ...['current_setting', 'set_config', 'current_schemas', 'inet_client_addr', 'inet_client_port', 'pg_notify'],
])

/**
 * Built-in functions that are stable only because they look at settings every session of an application shares (time
 * zone, text formats) or at types. Their result depends on their arguments and on no table.
 */
const STEADY: ReadonlySet<string> = new Set([
  ...['concat', 'concat_ws', 'format', 'quote_literal', 'quote_nullable', 'array_to_string', 'to_number'],
  ...['to_char', 'to_date', 'to_timestamp', 'date_trunc', 'date_part', 'extract', 'timezone', 'make_timestamptz'],
  ...['to_json', 'to_jsonb', 'row_to_json', 'array_to_json', 'json_agg', 'jsonb_agg', 'json_object_agg'],
  ...['jsonb_object_agg', 'json_build_array', 'json_build_object', 'jsonb_build_array', 'jsonb_build_object'],
  ...['to_tsvector', 'to_tsquery', 'plainto_tsquery', 'phraseto_tsquery', 'websearch_to_tsquery', 'ts_headline'],
])

/** What the catalog says of all functions of one name. */
export interface FunctionFacts {
  readonly name: string
  /** All of them are in `pg_catalog`. */
  readonly builtin: boolean
  /** The least steady of them. */
  readonly volatility: 'immutable' | 'stable' | 'volatile'
}

/** `harmless`: depends on its arguments only. `changing`: never to be kept. `unknown`: may read tables. */
export type FunctionVerdict = 'harmless' | 'changing' | 'unknown'

/** Judges by name alone; undefined: the catalog has to be asked. */
export function judgeByName(name: string): FunctionVerdict | undefined {
  const bare = name.startsWith('pg_catalog.') ? name.slice('pg_catalog.'.length) : name
  return CHANGING.has(bare) || bare.startsWith('pg_advisory_') || bare.startsWith('pg_try_advisory_')
    ? 'changing'
    : undefined
}

/** @param facts undefined: no function has this name, so it was a key word or a type. */
export function judgeByCatalog(name: string, facts: FunctionFacts | undefined): FunctionVerdict {
  if (facts === undefined || facts.volatility === 'immutable') return 'harmless'
  if (!facts.builtin) return 'unknown'
  const bare = name.slice(name.lastIndexOf('.') + 1)
  if (STEADY.has(bare)) return 'harmless'
  return facts.volatility === 'volatile' ? 'changing' : 'unknown'
}
