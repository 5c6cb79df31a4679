import type { EmitEvent } from '../core/events.js'

/** Work that nobody awaits. The names are a closed list so that an operator can know them all. */
export type BackgroundTask =
  | 'fill'
  | 'refresh'
  | 'copy'
  | 'release'
  | 'fence-retry'
  | 'commit-check'
  | 'catalog'
  | 'horizon'

/**
 * The only place where promises are left running. A rejection becomes an event, never an unhandled rejection, and
 * `idle()` lets `close()` and tests wait for all of it.
 */
export class Background {
  readonly #running = new Set<Promise<void>>()
  readonly #emit: EmitEvent

  constructor(emit: EmitEvent) {
    this.#emit = emit
  }

  run(task: BackgroundTask, work: () => Promise<unknown>): void {
    const running = (async () => {
      try {
        await work()
      } catch (error) {
        this.#emit({ type: 'background.failed', task, error })
      }
    })().finally(() => this.#running.delete(running))
    this.#running.add(running)
  }

  /** Resolves when nothing is running, including what running work starts. */
  async idle(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running)
  }

  get size(): number {
    return this.#running.size
  }
}
