import type { Clock } from '../core/clock.js'

/** Signals that end a command in good order. */
export const SIGNALS = ['SIGINT', 'SIGTERM'] as const
export type SignalName = (typeof SIGNALS)[number]

/** How work that was interrupted goes on: a command line, and how far it had come. */
export interface Resume {
  readonly goOnWith: string
  readonly cursor: string | undefined
}

/** Somebody has asked for the end. */
export class Interrupted extends Error {
  readonly signalName: SignalName
  readonly resume: Resume | undefined

  constructor(signalName: SignalName, resume?: Resume) {
    super(`interrupted by ${signalName}`)
    this.name = 'Interrupted'
    this.signalName = signalName
    this.resume = resume
  }
}

/** Where signals come from, and the way out at once. */
export interface Signals {
  /** Returns a function that ends the listening. */
  listen(listener: (name: SignalName) => void): () => void
  /** Ends the process as it stands. */
  exit(code: number): void
}

/** A signal that comes so soon after the first is the same: npx passes on what its terminal has sent to both. */
const SAME_MS = 1_000

/**
 * The first signal asks for the end: work stops at the next place where it can go on later, and what was opened is closed. Another
 * one ends the process as it stands, which is safe at any moment: what is stored in Redis is changed by scripts that run whole or not
 * at all.
 */
export function heedSignals(
  signals: Signals,
  clock: Pick<Clock, 'monotonicMs'>,
): { readonly signal: AbortSignal; stop(): void } {
  const controller = new AbortController()
  let firstMs = 0
  const stop = signals.listen((name) => {
    const nowMs = clock.monotonicMs()
    if (!controller.signal.aborted) {
      firstMs = nowMs
      controller.abort(new Interrupted(name))
    } else if (nowMs - firstMs >= SAME_MS) signals.exit(name === 'SIGINT' ? 130 : 143)
  })
  return { signal: controller.signal, stop }
}
