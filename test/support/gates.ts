import { setTimeout as sleep } from 'node:timers/promises'
import { manyTurns } from './manual-clock.js'

/** A place where a call can be made to wait: races are written as "stop here, do that, go on". */
export interface Pause {
  /** Resolves when a call has arrived and waits. Rejects when none has come though it had all the time it may need. */
  readonly reached: Promise<void>
  /** Lets it go on. */
  resume(): void
}

/** Resolves when whatever is to come must have come, or earlier when `isOver` aborts. */
export type Patience = (isOver: AbortSignal) => Promise<void>

const LIMIT_MS = 10_000

/** For calls that follow the answers of servers, on a machine that is busy. */
export const tenSeconds: Patience = (isOver) => sleep(LIMIT_MS, undefined, { signal: isOver }).catch(() => {})

/** Named points of a port at which the next call can be paused or made to fail. */
export class Gates<Point extends string> {
  readonly #patience: Patience
  readonly #pauses = new Map<Point, { arrive: () => void; open: Promise<void> }[]>()
  readonly #resumes = new Set<() => void>()

  constructor(patience: Patience = manyTurns) {
    this.#patience = patience
  }

  /** The next call that comes to `point` waits there until it is resumed. Asked twice: the next two calls. */
  pause(point: Point): Pause {
    const patience = this.#patience
    const here = new AbortController()
    const arrived = new Promise<void>((resolve) => here.signal.addEventListener('abort', () => resolve()))
    let resume = () => {}
    const open = new Promise<void>((resolve) => {
      resume = resolve
    })
    this.#resumes.add(resume)
    const waiting = this.#pauses.get(point) ?? []
    this.#pauses.set(point, [...waiting, { arrive: () => here.abort(), open }])
    return {
      get reached() {
        const inVain = patience(here.signal).then(() => {
          if (!here.signal.aborted) throw new Error(`no call has come to \`${point}\``)
        })
        return Promise.race([arrived, inVain])
      },
      resume,
    }
  }

  /** Lets all go on, those that are still to come too: a test that has failed leaves nobody waiting. */
  openAll(): void {
    for (const resume of this.#resumes) resume()
    this.#resumes.clear()
  }

  /** Called by the port when a call comes to `point`. */
  async pass(point: Point): Promise<void> {
    const pause = this.#pauses.get(point)?.shift()
    if (pause === undefined) return
    pause.arrive()
    await pause.open
  }
}
