import { isCorralError, SourceError } from '../core/errors.js'

/** The load failed in the process that held the lease; its error stays there, because messages may carry values. */
export class RemoteFailure extends Error {
  readonly code: string

  constructor(code: string) {
    super(`the load failed in another process with code ${code}`)
    this.name = 'RemoteFailure'
    this.code = code
  }
}

/** Whoever answers on `db` is a standby now, so what it says may be old. */
export function inRecovery(entity: string): SourceError {
  const cause = new Error('the server is in recovery: a standby, or a primary that was demoted')
  return new SourceError(`load of ${entity}`, cause)
}

/**
 * What is told of a failed load to those who wait for it in other processes: a SQLSTATE or a code of the driver's; never a message.
 * Null: nothing. The database was not asked, because this process has too much to do or refuses the load; others will do it themselves.
 */
export function failureCode(error: unknown): string | null {
  if (isCorralError(error) && error.code !== 'SOURCE_FAILED') return null
  const cause = isCorralError(error) ? error.cause : error
  const code = (cause as { code?: unknown } | null | undefined)?.code
  return typeof code === 'string' && /^[A-Z0-9_]{1,40}$/.test(code) ? code : 'UNKNOWN'
}
