import type { Clock } from '../core/clock.js'
import { CacheUnavailableError, isCorralError } from '../core/errors.js'
import { NoAnswer } from '../core/no-answer.js'
import { withinMs } from '../engine/deadline.js'

export interface Patience {
  readonly clock: Pick<Clock, 'after' | 'sleep'>
  readonly signal: AbortSignal | undefined
}

const FIRST_WAIT_MS = 100
const ATTEMPTS = 7
const DEADLINE_MS = 5_000

/**
 * Tries again what may succeed later, for about six seconds: a long job is not to end for a moment's failover.
 *
 * @throws the last error, any that is not retryable, and the signal's reason.
 */
export async function patiently<Result>(
  { clock, signal }: { readonly clock: Pick<Clock, 'sleep'>; readonly signal: AbortSignal | undefined },
  act: () => Promise<Result>,
): Promise<Result> {
  for (let attempt = 1, waitMs = FIRST_WAIT_MS; ; attempt++, waitMs *= 2) {
    signal?.throwIfAborted()
    try {
      return await act()
    } catch (error) {
      if (attempt === ATTEMPTS || !isCorralError(error) || !error.retryable) throw error
      await clock.sleep(waitMs, signal)
    }
  }
}

/**
 * The same for a question to the cache itself, which rejects with anything or never answers.
 *
 * @param operation what is asked, in the words of the store's port.
 * @throws CacheUnavailableError
 */
export function askPatiently<Answer>(
  patience: Patience,
  operation: string,
  ask: () => Promise<Answer>,
): Promise<Answer> {
  const late = () => new CacheUnavailableError(operation, new NoAnswer(DEADLINE_MS))
  return patiently(patience, async () => {
    try {
      return await withinMs(patience.clock, DEADLINE_MS, ask(), late)
    } catch (error) {
      throw isCorralError(error) ? error : new CacheUnavailableError(operation, error)
    }
  })
}
