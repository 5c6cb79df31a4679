/** Every code this library can throw. Codes are public API: match on them, never on messages. */
export type ErrorCode =
  | 'CONFIG_INVALID'
  | 'KEY_INVALID'
  | 'SOURCE_FAILED'
  | 'FILL_TIMEOUT'
  | 'OVERLOADED'
  | 'CACHE_UNAVAILABLE'
  | 'STALE_WRITE'
  | 'QUERY_UNCACHEABLE'
  | 'TOKEN_INVALID'
  | 'LOCK_BUSY'
  | 'LOCK_LOST'
  | 'CLOSED'

const BRAND = Symbol.for('corral.error')

/** Base of every error thrown here. Match on `code`; the class is for humans. */
export class CorralError extends Error {
  readonly code: ErrorCode
  /** True when the same call may succeed if it is made again. */
  readonly retryable: boolean
  readonly [BRAND] = true

  constructor(code: ErrorCode, message: string, options: { cause?: unknown; retryable?: boolean } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = new.target.name
    this.code = code
    this.retryable = options.retryable ?? false
  }
}

/** An option, a table or a connection is not what Corral needs. Thrown at start, or by the first call on a table. */
export class ConfigError extends CorralError {
  constructor(option: string, expected: string, found: unknown) {
    super(
      'CONFIG_INVALID',
      `option \`${option}\`: expected ${expected}, found ${isSecret(found) ? 'a connection string' : describe(found)}`,
    )
  }
}

/**
 * The value cannot be an id of this table: wrong type, missing part, malformed uuid. The message tells the kind of value that was found,
 * never the value: ids may be personal, and messages are logged.
 */
export class KeyError extends CorralError {
  constructor(column: string, expected: string, found: unknown) {
    super('KEY_INVALID', `key column \`${column}\`: expected ${expected}, found ${kindOf(found)}`)
  }
}

/** The database refused or failed a load or a write. `cause` is the driver's own error. */
export class SourceError extends CorralError {
  constructor(operation: string, cause: unknown) {
    super('SOURCE_FAILED', `${operation} failed at the database: ${reasonOf(cause)}`, { cause, retryable: true })
  }
}

/**
 * A load took longer than `load.hardTimeoutMs`, and there is no stale entry that may be served instead. Waiting for a connection of the pool counts: a read
 * inside a transaction that should have used `in(tx)` waits in vain if the transaction holds the last connection.
 */
export class FillTimeoutError extends CorralError {
  constructor(entity: string, timeoutMs: number) {
    super('FILL_TIMEOUT', `load of ${entity} took longer than load.hardTimeoutMs (${timeoutMs} ms)`, {
      retryable: true,
    })
  }
}

/** More loads are waiting than `load.queue` allows, or one waited longer than `load.queueMs`. */
export class OverloadedError extends CorralError {
  constructor(entity: string, reason: string) {
    super('OVERLOADED', `load of ${entity} was refused: ${reason}`, { retryable: true })
  }
}

/** Redis did not answer in time. Reads and writes never throw it, because they go on without the cache. Audits, rebuilds and the command line do. */
export class CacheUnavailableError extends CorralError {
  constructor(operation: string, cause?: unknown) {
    const why = cause === undefined ? '' : `: ${reasonOf(cause)}`
    super('CACHE_UNAVAILABLE', `${operation} did not reach the cache${why}`, { cause, retryable: true })
  }
}

/** `expectVersion` was given and the row has moved on, or is gone (`actual` is then undefined). */
export class StaleWriteError extends CorralError {
  readonly expected: string
  readonly actual: string | undefined

  constructor(entity: string, expected: string, actual: string | undefined) {
    super('STALE_WRITE', `${entity}: expected version ${expected}, found ${actual ?? 'no row'}; nothing was written`)
    this.expected = expected
    this.actual = actual
  }
}

/** A query's result cannot be kept, or what it depends on cannot be known. Nothing was read. The message names the way out. */
export class QueryUncacheableError extends CorralError {
  constructor(query: string, reason: string, fix: string) {
    super('QUERY_UNCACHEABLE', `query \`${query}\` cannot be cached: ${reason}; ${fix}`)
  }
}

/** Somebody else holds the lock and did not let go in time; the work was not run. */
export class LockBusyError extends CorralError {
  constructor(name: string, waitedMs: number) {
    super(
      'LOCK_BUSY',
      `lock \`${name}\` is held by another call, of this process or another, and was not released within ${waitedMs} ms`,
      {
        retryable: true,
      },
    )
  }
}

/** Somebody else was given the lock since; a transaction that asked for the token has written nothing. */
export class LockLostError extends CorralError {
  constructor(name: string, token: string) {
    super('LOCK_LOST', `lock \`${name}\`: a newer token than ${token} was issued`)
  }
}

/** The instance was closed; nothing was read or written. */
export class ClosedError extends CorralError {
  constructor() {
    super('CLOSED', 'this Corral instance was closed')
  }
}

/** Works across duplicate installs of this package, where `instanceof` does not. */
export function isCorralError(error: unknown, code?: ErrorCode): error is CorralError {
  return error instanceof Error && BRAND in error && (code === undefined || (error as CorralError).code === code)
}

function reasonOf(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause)
  // Where a host has several addresses Node tries each, and leaves it to the errors inside to say why none was reached.
  const [first] = cause instanceof AggregateError ? cause.errors : []
  return cause.message || (first instanceof Error ? first.message : cause.name)
}

/** Whether an option was given what says where a server is and, often, with which password: a URL, or what libpq takes. */
function isSecret(found: unknown): boolean {
  return typeof found === 'string' && /^[a-z][a-z0-9+.-]*:\/\/|\bpassword\s*=/i.test(found)
}

/** What was found, where words tell it better than the value. */
class Words {
  readonly text: string

  constructor(text: string) {
    this.text = text
  }
}

export function inWords(text: string): Words {
  return new Words(text)
}

/** Of what kind a value is, without anything of the value. */
export function kindOf(found: unknown): string {
  if (typeof found === 'string') return `a string of ${found.length}`
  if (typeof found === 'boolean' || typeof found === 'bigint') return `a ${typeof found}`
  if (typeof found !== 'number') return describe(found)
  if (!Number.isFinite(found)) return String(found)
  if (!Number.isInteger(found)) return 'a fraction'
  return Number.isSafeInteger(found) ? 'a whole number' : 'a whole number that is not safe'
}

/** Says what was found without ever printing more than its type and a short form. */
function describe(found: unknown): string {
  if (found instanceof Words) return found.text
  if (found === undefined || found === null) return String(found)
  if (typeof found === 'string') return JSON.stringify(found.length > 80 ? `${found.slice(0, 80)}…` : found)
  if (typeof found === 'number' || typeof found === 'boolean' || typeof found === 'bigint') {
    return `${typeof found} ${String(found)}`
  }
  if (Array.isArray(found)) return `an array of ${found.length}`
  return typeof found === 'object' ? `an object (${found.constructor?.name ?? 'no prototype'})` : `a ${typeof found}`
}
