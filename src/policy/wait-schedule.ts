import type { Chance } from '../core/clock.js'

/** The first gap between two polls, and the first poll where nothing is known: short against any load worth a lease. */
const FIRST_GAP_MS = 2
/** Each gap is this many times the one before, until one of the caps below. */
const GAP_GROWTH = 1.5
/** Gaps may always grow to this, so that a load of 30 ms is noticed hardly later than one of 5; longer loads ask more often for it. */
const SHORT_WAIT_GAP_MS = 4
/** In longer waits gaps may grow to this share of the time waited so far: 400 ms are noticed at most 50 ms late. */
const WAITED_SHARE = 1 / 8
/** No gap is longer, however long the load takes. */
const LONGEST_GAP_MS = 100
/** Gaps are shortened by up to this share by chance, so that waiters in many processes do not ask in step. */
const JITTER = 0.25

/** Where a process stands that waits for another's fill. */
export interface Wait {
  /** Polls made so far, not counting the request that found the lease taken. */
  readonly polls: number
  readonly waitedMs: number
  /**
   * How long after the wait began the fill may be expected at the soonest: `LoadCost.soonestMs` less the time the holder
   * has had its lease. 0 when nothing is known.
   */
  readonly soonestMs: number
  /** What remains of the holder's lease, as the last poll told. */
  readonly leaseRemainingMs: number
  /** How long this process waits at most. */
  readonly limitMs: number
}

/**
 * How long to pause before the next poll for a value that another process is loading, in whole milliseconds, or
 * undefined when the limit is reached.
 *
 * The first poll comes just after the soonest the fill can be expected, then in growing gaps. One poll falls right behind
 * the end of the lease, so that a holder that died costs one lease period and not more, and the last one on the limit.
 */
export function nextPollMs(wait: Wait, chance: Chance): number | undefined {
  const leftMs = wait.limitMs - wait.waitedMs
  if (leftMs <= 0) return undefined
  const gap = gapMs(wait) * (1 - JITTER * chance.number())
  const pauseMs = wait.polls === 0 ? wait.soonestMs + gap : gap
  const takeoverMs = wait.leaseRemainingMs > 0 ? wait.leaseRemainingMs + 1 : Number.POSITIVE_INFINITY
  // Rounded up, a gap of 4 would be 4 for everybody. The other two must not fall short.
  return Math.max(1, Math.min(Math.round(pauseMs), Math.ceil(takeoverMs), Math.ceil(leftMs)))
}

function gapMs(wait: Wait): number {
  const grownMs = FIRST_GAP_MS * GAP_GROWTH ** Math.max(0, wait.polls - 1)
  const capMs = Math.min(LONGEST_GAP_MS, Math.max(SHORT_WAIT_GAP_MS, wait.waitedMs * WAITED_SHARE))
  return Math.min(grownMs, capMs)
}
