import { checkNumber } from '../config.js'
import { ConfigError } from '../core/errors.js'
import { refuseUnknown } from '../core/known-options.js'
import type { Consistency } from './repository-types.js'

/** Whether the cache may answer without asking the database. */
export function asksCache(consistency: Consistency): boolean {
  return consistency === 'cached' || typeof consistency === 'object'
}

/**
 * What a caller gave as `consistency`, held against what may be given there.
 *
 * @throws ConfigError
 */
export function checkConsistency<Word extends Consistency & string>(
  given: unknown,
  words: readonly Word[],
): Word | Exclude<Consistency, string> {
  if (words.includes(given as Word)) return given as Word
  if (typeof given !== 'object' || given === null) {
    const list = words.map((word) => `\`${word}\``).join(', ')
    throw new ConfigError('consistency', `${list} or \`{ maxStaleMs }\``, given)
  }
  refuseUnknown('consistency', given, ['maxStaleMs'])
  const { maxStaleMs } = given as { maxStaleMs?: unknown }
  return { maxStaleMs: checkNumber('consistency.maxStaleMs', maxStaleMs) }
}
