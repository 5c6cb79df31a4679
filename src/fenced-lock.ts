import type { Kysely, RawBuilder, SqlBool } from 'kysely'
import { assertTokenIsNewest, tokenIsNewest } from './adapters/postgres/lock-tokens.js'
import { checkNumber } from './config.js'
import { ConfigError } from './core/errors.js'
import { refuseUnknown } from './core/known-options.js'
import type { FencedLocks } from './engine/fenced-locks.js'

export interface LockOptions {
  /** How long others are kept waiting after this holder's last sign of life; it renews by itself. Default 10 000. */
  readonly ttlMs?: number
  /** How long to wait for another holder to let go, before `LOCK_BUSY`. 0: not at all. Default 5 000. */
  readonly waitMs?: number
}

/**
 * A lock that this process was given. Somebody else may have a newer one by now, so holding it protects nothing by itself: the protected
 * statement (`held`) or transaction (`assertHeld`) must check the token.
 */
export interface FencedLock {
  readonly name: string
  /** A whole number as text, higher than that of every holder of this name before. */
  readonly token: string
  /** Aborts when this process learns that somebody else has taken over: a chance to stop early, no protection. */
  readonly signal: AbortSignal
  /**
   * A condition for the WHERE of a protected statement on `db`'s database: true only while this token is the newest. Until that statement's
   * transaction ends, nobody gets a newer one.
   */
  held(): RawBuilder<SqlBool>
  /**
   * The same as a first statement of a protected transaction.
   *
   * @throws LockLostError when somebody newer was given the lock; ConfigError outside of a transaction.
   */
  // biome-ignore lint/suspicious/noExplicitAny: a transaction of any application's database
  assertHeld(tx: Kysely<any>): Promise<void>
}

const DEFAULT_TIMES = { ttlMs: 10_000, waitMs: 5_000 }
const OPTION_NAMES = Object.keys(DEFAULT_TIMES)
const LONGEST_NAME = 200

/** @throws ConfigError for a bad name or option. */
export function runFenced<Value>(
  locks: FencedLocks,
  name: string,
  work: (lock: FencedLock) => Promise<Value>,
  options: LockOptions,
): Promise<Value> {
  // Half a surrogate pair becomes U+FFFD on its way to the database, which is another name.
  const isName = typeof name === 'string' && name !== '' && !name.includes('\0') && name.isWellFormed()
  if (!isName || name.length > LONGEST_NAME) {
    throw new ConfigError('withFencedLock.name', `1 to ${LONGEST_NAME} characters without NUL`, name)
  }
  if (typeof work !== 'function') throw new ConfigError('withFencedLock work', 'a function', work)
  if (typeof options !== 'object' || options === null) {
    throw new ConfigError('withFencedLock options', 'an object of options', options)
  }
  refuseUnknown('withFencedLock', options, OPTION_NAMES)
  const { ttlMs = DEFAULT_TIMES.ttlMs, waitMs = DEFAULT_TIMES.waitMs } = options
  const times = { ttlMs: checkNumber('lock.ttlMs', ttlMs), waitMs: checkNumber('lock.waitMs', waitMs) }
  return locks.run(name, times, ({ token, signal }) =>
    work({
      name,
      token,
      signal,
      held: () => tokenIsNewest(name, token),
      assertHeld: (tx) => assertTokenIsNewest(tx, name, token),
    }),
  )
}
