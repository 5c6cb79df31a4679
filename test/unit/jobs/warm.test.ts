import { describe, expect, it } from 'vitest'
import type { WarmOutcome } from '../../../src/engine/warmer.js'
import { type WarmJob, type WarmProgress, warm } from '../../../src/jobs/warm.js'
import { ManualClock } from '../../support/manual-clock.js'

async function* numbered(count: number, from = 0) {
  for (let at = from + 1; at <= count; at++) yield { id: at, cursor: String(at) }
}

/** A job over ids 1 to `count`; `outcomes` says what becomes of an id, `filled` for all others. */
function open(count: number, options: Partial<WarmJob<number>> = {}, outcomes: Record<number, WarmOutcome> = {}) {
  const clock = new ManualClock()
  const asked: { id: number; atMs: number }[] = []
  let running = 0
  let most = 0
  const fill = async (id: number) => {
    asked.push({ id, atMs: clock.monotonicMs() })
    most = Math.max(most, ++running)
    await clock.sleep(1)
    running--
    return outcomes[id] ?? 'filled'
  }
  const told: WarmProgress[] = []
  const job: WarmJob<number> = {
    keys: numbered(count),
    fill,
    clock,
    ratePerSecond: 1_000,
    concurrency: 10,
    signal: undefined,
    total: count,
    cursor: undefined,
    onProgress: (progress) => told.push(progress),
    ...options,
  }
  return { clock, asked, told, most: () => most, running: warm(job) }
}

describe('warm', () => {
  it('fills every key, a page at a time, and says how far it has come', async () => {
    const { clock, asked, told, most, running } = open(25)
    await clock.advance(1_000)
    const summary = { done: 25, filled: 25, skipped: 0, failed: 0, total: 25, cursor: '25' }
    expect(await running).toEqual(summary)
    expect(asked.map(({ id }) => id)).toEqual(Array.from({ length: 25 }, (_, at) => at + 1))
    expect(most()).toBe(10)
    expect(told.map(({ done, cursor }) => [done, cursor])).toEqual([
      [10, '10'],
      [20, '20'],
      [25, '25'],
    ])
    expect(told.at(-1)).toEqual(summary)
  })

  it('waits for whoever is told of the progress, and ends with what it fails with', async () => {
    const saved: (string | undefined)[] = []
    const { clock, asked, running } = open(25, {
      onProgress: async ({ cursor }) => {
        await clock.sleep(500)
        if (cursor === '20') throw new Error('the disk is full')
        saved.push(cursor)
      },
    })
    const ended = expect(running).rejects.toThrow('the disk is full')
    await clock.advance(400)
    expect(asked).toHaveLength(10)
    await clock.advance(5_000)
    await ended
    expect({ asked: asked.length, saved }).toEqual({ asked: 20, saved: ['10'] })
  })

  it('counts what it skipped and what failed, and goes on', async () => {
    const { clock, running } = open(10, {}, { 2: 'skipped', 3: 'skipped', 7: 'failed' })
    await clock.advance(100)
    expect(await running).toMatchObject({ done: 10, filled: 7, skipped: 2, failed: 1 })
  })

  it('counts what can be no id as failed', async () => {
    const keys = (async function* () {
      yield { id: undefined, cursor: '1' }
      yield { id: 2, cursor: '2' }
    })()
    const { clock, asked, running } = open(0, { keys })
    await clock.advance(100)
    expect(await running).toMatchObject({ done: 2, filled: 1, failed: 1 })
    expect(asked.map(({ id }) => id)).toEqual([2])
  })

  it.each([
    [20, 50],
    [100, 50],
    [1_000, 50],
    [3, 50],
  ])('loads at most %i rows a second in any second, but for one page', async (ratePerSecond, concurrency) => {
    const { clock, asked, most, running } = open(10 * ratePerSecond, { ratePerSecond, concurrency })
    await clock.advance(11_000)
    expect((await running).filled).toBe(10 * ratePerSecond)
    for (const { atMs } of asked) {
      const within = asked.filter((other) => other.atMs >= atMs && other.atMs < atMs + 1_000).length
      expect(within).toBeLessThanOrEqual(ratePerSecond + most())
    }
    const tookMs = (asked.at(-1)?.atMs ?? 0) + 1
    expect(tookMs, 'and hardly fewer').toBeLessThanOrEqual(10_100)
    expect(tookMs).toBeGreaterThan(8_900)
  })

  it('does not wait for what it skipped, nor save that up for a burst', async () => {
    const skipped = Object.fromEntries(Array.from({ length: 500 }, (_, at) => [at + 1, 'skipped' as const]))
    const { clock, asked, running } = open(600, { ratePerSecond: 100, concurrency: 10 }, skipped)
    await clock.advance(3_000)
    await running
    expect(asked[499]?.atMs, '50 pages of 1 ms').toBeLessThan(100)
    expect((asked[599]?.atMs ?? 0) - (asked[500]?.atMs ?? 0)).toBeGreaterThan(850)
  })

  it('ends between two pages when it is aborted, with the reason, and goes on from the last cursor', async () => {
    const abort = new AbortController()
    const reason = new Error('enough')
    const first = open(100, { ratePerSecond: 100, signal: abort.signal })
    const ended = expect(first.running).rejects.toBe(reason)
    await first.clock.advance(350)
    abort.abort(reason)
    await ended
    const { cursor, done } = first.told.at(-1) as WarmProgress
    expect(done).toBe(40)
    expect(first.asked).toHaveLength(40)
    const second = open(100, { keys: numbered(100, Number(cursor)), cursor, ratePerSecond: 1_000 })
    await second.clock.advance(1_000)
    await second.running
    expect([...first.asked, ...second.asked].map(({ id }) => id)).toEqual(
      Array.from({ length: 100 }, (_, at) => at + 1),
    )
  })

  it('closes its source when it is aborted while it waits', async () => {
    const abort = new AbortController()
    let closed = false
    const keys = (async function* () {
      try {
        yield* numbered(100)
      } finally {
        closed = true
      }
    })()
    const { clock, running } = open(100, { keys, ratePerSecond: 100, signal: abort.signal })
    const ended = expect(running).rejects.toThrow()
    await clock.advance(50)
    abort.abort()
    await ended
    expect(closed).toBe(true)
  })

  it('rejects with what its source throws', async () => {
    const keys = (async function* () {
      yield { id: 1, cursor: '1' }
      throw new Error('of the source')
    })()
    const { running } = open(0, { keys })
    await expect(running).rejects.toThrow('of the source')
  })

  it('has nothing to do for no keys', async () => {
    const { told, running } = open(0)
    expect(await running).toEqual({ done: 0, filled: 0, skipped: 0, failed: 0, total: 0, cursor: undefined })
    expect(told).toEqual([])
  })
})
