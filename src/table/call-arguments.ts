import { ConfigError, inWords, KeyError } from '../core/errors.js'
import { refuseUnknown } from '../core/known-options.js'
import type { ReadCall } from '../core/telemetry.js'
import { type Session, type SessionLog, sessionLog } from '../session.js'
import { checkConsistency } from './consistency.js'
import type { Consistency } from './repository-types.js'

const READ_OPTIONS = ['consistency', 'session', 'signal']
const CONSISTENCIES = ['cached', 'verified', 'primary', 'refresh'] as const satisfies Consistency[]

/**
 * What a caller gave beside the arguments of a call, before anything is done for it: with a misspelt option passed over, it would be another
 * read or write than the one that was asked for.
 *
 * @throws ConfigError naming the option, what was expected and what was found.
 */
export function checkCallOptions(call: string, options: unknown, known: readonly string[]): void {
  if (typeof options !== 'object' || options === null) {
    throw new ConfigError(`${call} options`, 'an object of options', options)
  }
  refuseUnknown(call, options, known)
  const { signal } = options as { readonly signal?: unknown }
  if (signal !== undefined && !(signal instanceof AbortSignal)) {
    throw new ConfigError(`${call}.signal`, 'an AbortSignal', signal)
  }
}

/** @throws ConfigError */
export function readChoice(
  call: ReadCall,
  options: { readonly consistency?: Consistency; readonly session?: Session },
): { readonly consistency: Consistency; readonly session: SessionLog | undefined } {
  checkCallOptions(call, options, READ_OPTIONS)
  const { consistency = 'cached', session } = options
  return { consistency: checkConsistency(consistency, CONSISTENCIES), session: sessionLog(session) }
}

/** @throws ConfigError for what is no function. */
export function checkWork(call: string, work: unknown): void {
  if (typeof work !== 'function') throw new ConfigError(`${call} work`, 'a function', work)
}

/** @throws KeyError for what is no list: a string has a length too, and a Set has none, so either would be answered with nonsense. */
export function checkIds(call: string, ids: unknown): void {
  if (!Array.isArray(ids)) throw new KeyError(call, 'an array of ids', ids)
}

/**
 * The columns that a row to be written names; those that are undefined are left to the database.
 *
 * @throws ConfigError for what is no such row. Of a list, the driver would write all and the cache be told of one.
 */
export function columnsIn(call: string, values: unknown): readonly string[] {
  if (typeof values !== 'object' || values === null || Array.isArray(values)) {
    throw new ConfigError(`${call} values`, 'an object of columns', values)
  }
  return Object.entries(values).flatMap(([column, value]) => (value === undefined ? [] : [column]))
}

/** The columns that a patch sets. @throws ConfigError where that is none: there is no such statement. */
export function patchedColumns(call: string, patch: unknown): readonly string[] {
  const columns = columnsIn(call, patch)
  if (columns.length === 0) throw new ConfigError(`${call} values`, 'at least one column to set', inWords('none'))
  return columns
}

/**
 * Which of the declared lookups was given: all columns of one, and no other.
 *
 * @throws KeyError naming those there are, and the columns that were found.
 */
export function lookupAt(unique: readonly (readonly string[])[], lookup: unknown): number {
  const given = typeof lookup === 'object' && lookup !== null ? Object.keys(lookup) : undefined
  const at = unique.findIndex(
    (columns) => columns.length === given?.length && columns.every((column) => given.includes(column)),
  )
  if (at >= 0) return at
  const declared = unique.map((columns) => `{ ${columns.join(', ')} }`).join(' or ')
  const isEmpty = given?.length === 0 && Object.getPrototypeOf(lookup) === Object.prototype
  const found = given?.length ? inWords(`{ ${given.join(', ')} }`) : isEmpty ? inWords('{ }') : lookup
  throw new KeyError('findBy', declared === '' ? 'a column declared in `unique`; none is' : declared, found)
}
