import type { Clock } from '../core/clock.js'
import { FillTimeoutError } from '../core/errors.js'

/** The answer, or a rejection with `late()` when it takes longer than `limitMs`. What was asked for goes on. */
export function withinMs<Answer>(
  clock: Pick<Clock, 'after'>,
  limitMs: number,
  answer: Promise<Answer>,
  late: () => Error,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const cancel = clock.after(limitMs, () => reject(late()))
    answer.then(resolve, reject).finally(() => cancel())
  })
}

/** Resolves when `work` has ended, however it did, or after `limitMs`. */
export function endsWithinMs(clock: Pick<Clock, 'after'>, limitMs: number, work: Promise<unknown>): Promise<void> {
  return new Promise((resolve) => {
    const cancel = clock.after(limitMs, resolve)
    const end = () => {
      cancel()
      resolve()
    }
    work.then(end, end)
  })
}

/**
 * `withinMs` for a read that has to end within `load.hardTimeoutMs`.
 *
 * @param leftMs what is left of that, where it has waited before.
 */
export function withinHardTimeout<Answer>(
  clock: Pick<Clock, 'after'>,
  entity: string,
  hardTimeoutMs: number,
  answer: Promise<Answer>,
  leftMs = hardTimeoutMs,
): Promise<Answer> {
  return withinMs(clock, leftMs, answer, () => new FillTimeoutError(entity, hardTimeoutMs))
}
