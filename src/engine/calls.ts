import type { Clock } from '../core/clock.js'

/** The application's calls that are under way and ask the cache or the database, so that closing can wait for them. */
export class Calls {
  #running = 0
  #whenIdle: (() => void) | undefined

  /** Counts until `answer` has settled, and gives back the same. */
  count<Answer extends Promise<unknown>>(answer: Answer): Answer {
    this.#running++
    answer.then(this.#end, this.#end)
    return answer
  }

  /** Resolves when none is under way, or after `limitMs`. */
  idle(clock: Pick<Clock, 'after'>, limitMs: number): Promise<void> {
    if (this.#running === 0) return Promise.resolve()
    return new Promise((resolve) => {
      const cancel = clock.after(limitMs, resolve)
      this.#whenIdle = () => {
        cancel()
        resolve()
      }
    })
  }

  readonly #end = (): void => {
    this.#running--
    if (this.#running === 0) this.#whenIdle?.()
  }
}
