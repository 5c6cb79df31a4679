import type { Clock } from '../core/clock.js'
import type { WarmOutcome } from '../engine/warmer.js'
import { Pace, pageSize } from './pace.js'

/** How far a warm-up has come. */
export interface WarmProgress {
  /** Keys dealt with; `filled`, `skipped` and `failed` add up to it. */
  readonly done: number
  /** Loaded and stored. */
  readonly filled: number
  /** Cached already, being filled by somebody else, or written just now. */
  readonly skipped: number
  /** The load or the cache failed, the row cannot be cached, or no row can have the id. */
  readonly failed: number
  /** How many there are, where that is known. */
  readonly total: number | undefined
  /** Everything up to here is dealt with: `after` of a warm-up that goes on from here. Undefined before the first key. */
  readonly cursor: string | undefined
}

/** A key to warm up, and where its source goes on after it. */
export interface WarmKey<Id> {
  /** Undefined: what was given cannot be the id of any row. */
  readonly id: Id | undefined
  readonly cursor: string
}

export interface WarmJob<Id> {
  readonly keys: AsyncIterable<WarmKey<Id>>
  /** Fills one key. Those asked for in one tick travel together. Never rejects. */
  readonly fill: (id: Id) => Promise<WarmOutcome>
  readonly clock: Pick<Clock, 'monotonicMs' | 'sleep'>
  /** Rows loaded a second at most, on average over more than a page. Looking at what is cached already is not counted. */
  readonly ratePerSecond: number
  /** Keys in one page: looked at, loaded and stored together. */
  readonly concurrency: number
  readonly signal: AbortSignal | undefined
  readonly total: number | undefined
  /** Where an earlier warm-up had come, if this one goes on from there. */
  readonly cursor: string | undefined
  /** Called after every page, and waited for. What it throws ends the warm-up. */
  readonly onProgress: ((progress: WarmProgress) => unknown) | undefined
}

/**
 * Fills keys page by page, no faster than it may.
 *
 * A key that fails is counted and left behind; the next reader will fill it. Aborted, it rejects with the signal's reason between
 * two pages: the last `cursor` says how far it came.
 *
 * @throws what `keys` or `onProgress` throws, and `signal.reason`.
 */
export async function warm<Id>(job: WarmJob<Id>): Promise<WarmProgress> {
  const { ratePerSecond, signal } = job
  const pace = new Pace(job.clock, ratePerSecond)
  let progress: WarmProgress = { done: 0, filled: 0, skipped: 0, failed: 0, total: job.total, cursor: job.cursor }
  for await (const page of pagesOf(job.keys, pageSize(ratePerSecond, job.concurrency))) {
    await pace.turn(signal)
    const outcomes = await Promise.all(page.map(({ id }) => (id === undefined ? 'failed' : job.fill(id))))
    const count = (wanted: WarmOutcome) => outcomes.filter((outcome) => outcome === wanted).length
    progress = {
      done: progress.done + page.length,
      filled: progress.filled + count('filled'),
      skipped: progress.skipped + count('skipped'),
      failed: progress.failed + count('failed'),
      total: job.total,
      cursor: page.at(-1)?.cursor,
    }
    await job.onProgress?.(progress)
    pace.spend(page.length - count('skipped'))
  }
  signal?.throwIfAborted()
  return progress
}

export async function* pagesOf<Key>(keys: AsyncIterable<Key>, size: number): AsyncGenerator<Key[]> {
  let page: Key[] = []
  for await (const key of keys) {
    page.push(key)
    if (page.length < size) continue
    yield page
    page = []
  }
  if (page.length > 0) yield page
}
