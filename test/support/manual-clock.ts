import type { Clock } from '../../src/core/clock.js'

interface Timer {
  readonly atMs: number
  readonly act: () => void
}

/** A wall-clock time to start from; entries carry it, so it has the 13 digits of our century. */
const START_WALL_MS = 1_795_207_238_000

/**
 * A clock that moves only when told to. Timers fire in order, and whatever one of them sets off runs to its end before
 * the next may fire, so a race that takes minutes is a script of a few lines.
 */
export class ManualClock implements Clock {
  readonly #timers = new Set<Timer>()
  #elapsedMs = 0
  #wallStepMs = 0

  monotonicMs(): number {
    return this.#elapsedMs
  }

  wallMs(): number {
    return START_WALL_MS + this.#elapsedMs + this.#wallStepMs
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason)
      const onAbort = () => {
        cancel()
        reject(signal?.reason)
      }
      const cancel = this.after(ms, () => {
        signal?.removeEventListener('abort', onAbort)
        resolve()
      })
      signal?.addEventListener('abort', onAbort, { once: true })
    })
  }

  after(ms: number, act: () => void): () => void {
    const timer = { atMs: this.#elapsedMs + Math.max(0, ms), act }
    this.#timers.add(timer)
    return () => void this.#timers.delete(timer)
  }

  endOfTick(act: () => void): void {
    void Promise.resolve().then(() => process.nextTick(act))
  }

  endOfTurn(act: () => void): void {
    this.endOfTick(act)
  }

  /** Moves time forward by `ms`, firing what falls due on the way. */
  async advance(ms: number): Promise<void> {
    const untilMs = this.#elapsedMs + ms
    await settle()
    for (let next = this.#next(untilMs); next; next = this.#next(untilMs)) {
      this.#timers.delete(next)
      this.#elapsedMs = Math.max(this.#elapsedMs, next.atMs)
      next.act()
      await settle()
    }
    this.#elapsedMs = untilMs
  }

  /** Sets the wall clock forward or back, as an operator or NTP would; time that has passed is not touched. */
  stepWall(ms: number): void {
    this.#wallStepMs += ms
  }

  /** Timers and sleeps that have not fired and were not cancelled. */
  get timers(): number {
    return this.#timers.size
  }

  /** The earliest timer due by `untilMs`; of several at one time, the one that was set first. */
  #next(untilMs: number): Timer | undefined {
    let next: Timer | undefined
    for (const timer of this.#timers) {
      if (timer.atMs <= untilMs && (next === undefined || timer.atMs < next.atMs)) next = timer
    }
    return next
  }
}

/** What needs no time to pass has come after some dozens of turns of Node's loop. */
const TURNS = 2_000

/** Resolves when everything that needs no time to pass must have run, or earlier when `isOver` aborts. */
export async function manyTurns(isOver: AbortSignal): Promise<void> {
  for (let turn = 0; turn < TURNS && !isOver.aborted; turn++) await settle()
}

/** What comes of `work` without time passing. Rejects when it does not end: it waits for something that nobody is going to do. */
export async function untimed<Result>(work: Promise<Result>): Promise<Result> {
  const over = new AbortController()
  const end = () => over.abort()
  work.then(end, end)
  await manyTurns(over.signal)
  if (!over.signal.aborted)
    throw new Error('it does not end, however long it is waited for, while the clock stands still')
  return work
}

/** Lets everything run that needs no time to pass: promise jobs, ticks, and what they lead to. */
export function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
