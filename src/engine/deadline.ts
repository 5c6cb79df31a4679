import type { Clock } from '../core/clock.js'

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
