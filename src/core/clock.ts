/**
 * Time and chance, as values that are passed in.
 *
 * This is the only file in `src` that may read a clock, start a timer or draw a random number
 * (`scripts/check-layers.mjs` fails the build otherwise), so every wait and every race can be
 * scripted in a test without sleeping.
 */
import { randomBytes } from 'node:crypto'

export interface Clock {
  /** Milliseconds on a clock that never steps back; the origin means nothing. */
  monotonicMs(): number
  /** Milliseconds since the Unix epoch. Only for values that leave the process; never for deadlines. */
  wallMs(): number
  /** Resolves after `ms`, at once if that is not more than 0. Rejects with `signal.reason` if the signal aborts first. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>
  /** Calls `act` once after `ms`, which may be over already, and returns a function that cancels it. Never keeps the process alive. */
  after(ms: number, act: () => void): () => void
  /** Calls `act` when everything that is already runnable in this tick has run, so that a tick's work can travel together. */
  endOfTick(act: () => void): void
  /** The same for everything that the network has brought by now, over whatever connections. */
  endOfTurn(act: () => void): void
}

export interface Chance {
  /** A number in [0, 1). */
  number(): number
  /** An unguessable token of 16 characters, unique across the fleet. */
  token(): string
}

/** So many unguessable bytes. */
export type DrawBytes = (size: number) => Uint8Array

/** Kept, because the global of this name is a getter that costs almost as much as the clock it leads to. */
const { performance } = globalThis

export const systemClock: Clock = {
  monotonicMs: () => performance.now(),
  wallMs: () => Date.now(),
  sleep: (ms, signal) =>
    new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason)
      const onAbort = () => {
        clearTimeout(timer)
        reject(signal?.reason)
      }
      const timer = setTimeout(() => {
        signal?.removeEventListener('abort', onAbort)
        resolve()
      }, fromNow(ms))
      signal?.addEventListener('abort', onAbort, { once: true })
    }),
  after: (ms, act) => {
    let immediate: NodeJS.Immediate | undefined
    const timer = setTimeout(() => {
      // One look at the network in between: what has arrived in time counts, though the timer is seen first.
      // It is not unreferenced: the process would sleep until something else happens, with the immediate still to run.
      immediate = setImmediate(act)
    }, fromNow(ms))
    timer.unref()
    return () => {
      clearTimeout(timer)
      clearImmediate(immediate)
    }
  },
  // A tick queued from a promise job runs after all promise jobs that are ready, so readers that
  // were woken by one network reply all get to ask their next question before the batch leaves.
  endOfTick: (act) => void settled.then(() => process.nextTick(act)),
  endOfTurn: (act) => void setImmediate(act),
}

/** Of what is over by now Node 22 warns, on the application's terminal. */
function fromNow(ms: number): number {
  return Math.max(0, ms)
}

const settled = Promise.resolve()

/**
 * Milliseconds on the one clock that all processes of this machine share: CLOCK_MONOTONIC and its likes start with the machine and
 * not with the process. For noting when things happened, in tests of several processes.
 */
export function machineMs(): number {
  return Number(process.hrtime.bigint()) / 1e6
}

export const systemBytes: DrawBytes = (size) => randomBytes(size)

export const systemChance: Chance = {
  number: () => Math.random(),
  token: () => randomBytes(12).toString('base64url'),
}
