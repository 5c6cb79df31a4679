import type { Clock } from '../core/clock.js'
import { isCorralError } from '../core/errors.js'
import type { RebuildOutcome } from '../engine/warmer.js'
import { Pace } from './pace.js'

export interface RebuildFigures {
  /** Copies and ids dealt with; the three others add up to it. */
  readonly done: number
  /** Loaded from the database and stored in place of the old one. */
  readonly refilled: number
  /** Dropped: the next reader loads it. */
  readonly evicted: number
  /** Filled since, gone, or never there. */
  readonly skipped: number
}

/** Copies that are too old, and where the walk goes on behind them. */
export interface RebuildPage<Copy, Position> {
  readonly refill: readonly Copy[]
  readonly evict: readonly Copy[]
  readonly skipped: number
  /** What finding them counts for against the rate. */
  readonly cost: number
  readonly position: Position
}

export interface RebuildJob<Copy, Position> {
  readonly pages: AsyncIterable<RebuildPage<Copy, Position>>
  /** Under a lease, as readers do. May reject. */
  readonly refill: (copy: Copy) => Promise<RebuildOutcome>
  /** These have been refilled: what was made of the old ones has to go, too. Rejects until it has. */
  readonly follow: (copies: readonly Copy[]) => Promise<void>
  /** Rejects until the cache has acknowledged it. */
  readonly evict: (copies: readonly Copy[]) => Promise<void>
  readonly clock: Pick<Clock, 'monotonicMs' | 'sleep'>
  /** Copies dropped or refilled a second at most. */
  readonly ratePerSecond: number
  readonly signal: AbortSignal | undefined
  /** Of an earlier rebuild that this one goes on with. */
  readonly figures: RebuildFigures
  /** Waited for. What it throws ends the rebuild. */
  readonly onSettled: (position: Position, figures: RebuildFigures) => unknown
}

const FIRST_WAIT_MS = 50
/** With pauses that double, some six seconds in all. */
const ROUNDS = 8

/**
 * Replaces or drops copies page by page, no faster than it may. When a page is done, none of its copies is left.
 *
 * One that somebody else is filling is looked at again until it has been filled. One that stays busy, or cannot be stored, is dropped,
 * which takes the lease from whoever holds it.
 *
 * @throws what the pages, the database and the cache throw, after some patience; `signal.reason`.
 */
export async function rebuild<Copy, Position>(job: RebuildJob<Copy, Position>): Promise<RebuildFigures> {
  const pace = new Pace(job.clock, job.ratePerSecond)
  let { figures } = job
  for await (const page of job.pages) {
    await pace.turn(job.signal)
    const { refilled, skipped, stuck } = await refillAll(job, page.refill)
    const evicted = [...page.evict, ...stuck]
    if (evicted.length > 0) await job.evict(evicted)
    figures = {
      done: figures.done + page.refill.length + page.evict.length + page.skipped,
      refilled: figures.refilled + refilled,
      evicted: figures.evicted + evicted.length,
      skipped: figures.skipped + skipped + page.skipped,
    }
    await job.onSettled(page.position, figures)
    pace.spend(refilled + evicted.length + page.cost)
  }
  job.signal?.throwIfAborted()
  return figures
}

async function refillAll<Copy, Position>(job: RebuildJob<Copy, Position>, copies: readonly Copy[]) {
  const { refill, clock, signal, follow } = job
  const done: Copy[] = []
  const stuck: Copy[] = []
  let skipped = 0
  let left = copies
  for (let round = 1, waitMs = FIRST_WAIT_MS; left.length > 0; round++, waitMs *= 2) {
    const outcomes = await Promise.allSettled(left.map((copy) => refill(copy)))
    const again: Copy[] = []
    let failure: unknown
    for (const [at, outcome] of outcomes.entries()) {
      const copy = left[at] as Copy
      if (outcome.status === 'rejected') {
        failure ??= outcome.reason
        again.push(copy)
      } else if (outcome.value === 'filled') done.push(copy)
      else if (outcome.value === 'skipped') skipped++
      else if (outcome.value === 'uncacheable') stuck.push(copy)
      else again.push(copy)
    }
    const mayRecover = failure === undefined || (isCorralError(failure) && failure.retryable)
    if (failure !== undefined && (round === ROUNDS || !mayRecover)) throw failure
    if (round === ROUNDS) stuck.push(...again)
    left = round === ROUNDS ? [] : again
    if (left.length > 0) await clock.sleep(waitMs, signal)
  }
  if (done.length > 0) await follow(done)
  return { refilled: done.length, skipped, stuck }
}
