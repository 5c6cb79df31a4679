import type { Clock } from '../core/clock.js'
import type { Output } from './world.js'

export interface Progress {
  readonly done: number
  /** Undefined: nobody knows. */
  readonly total: number | undefined
  /** Said behind the figures. */
  readonly note?: string
}

const WIDTH = 24
const REDRAW_MS = 100
const CLEAR = '\r\u001b[K'

/** One line on a terminal, drawn over and over; nothing at all where the output is no terminal. */
export class ProgressBar {
  readonly #output: Output
  readonly #clock: Pick<Clock, 'monotonicMs'>
  readonly #startedMs: number
  #drawnMs = Number.NEGATIVE_INFINITY
  #isShown = false

  constructor(output: Output, clock: Pick<Clock, 'monotonicMs'>) {
    this.#output = output
    this.#clock = clock
    this.#startedMs = clock.monotonicMs()
  }

  show(progress: Progress): void {
    const nowMs = this.#clock.monotonicMs()
    if (!this.#output.isTTY || nowMs - this.#drawnMs < REDRAW_MS) return
    this.#drawnMs = nowMs
    this.#isShown = true
    const line = progressLine(progress, nowMs - this.#startedMs)
    this.#output.write(CLEAR + line.slice(0, (this.#output.columns ?? 80) - 1))
  }

  /** Takes the line away, so that what is written next begins in the first column. */
  clear(): void {
    if (this.#isShown) this.#output.write(CLEAR)
    this.#isShown = false
  }
}

export function progressLine({ done, total, note = '' }: Progress, elapsedMs: number): string {
  const perSecond = elapsedMs > 0 ? (done * 1_000) / elapsedMs : 0
  const rate = `${Math.round(perSecond).toLocaleString('en')}/s`
  const figures =
    total === undefined ? done.toLocaleString('en') : `${done.toLocaleString('en')} of ${total.toLocaleString('en')}`
  if (total === undefined || total === 0) return [figures, rate, note].filter((part) => part !== '').join('  ')
  const share = Math.min(1, done / total)
  const filled = Math.round(share * WIDTH)
  const bar = `[${'='.repeat(filled)}${' '.repeat(WIDTH - filled)}]`
  const left = perSecond > 0 ? `${Math.ceil((total - done) / perSecond)} s left` : ''
  return [bar, `${Math.floor(share * 100)} %`, figures, rate, left, note].filter((part) => part !== '').join('  ')
}
