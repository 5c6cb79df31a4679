import { describe, expect, it } from 'vitest'
import { ConfigError, SourceError } from '../../../src/core/errors.js'
import type { RebuildOutcome } from '../../../src/engine/warmer.js'
import { type RebuildJob, type RebuildPage, rebuild } from '../../../src/jobs/rebuild.js'
import { ManualClock } from '../../support/manual-clock.js'

function open(
  pages: readonly Partial<RebuildPage<string, number>>[],
  refill: (copy: string, attempt: number) => RebuildOutcome,
  options: Partial<RebuildJob<string, number>> = {},
) {
  const clock = new ManualClock()
  const attempts = new Map<string, number>()
  const evicted: string[] = []
  const followed: string[] = []
  const settled: number[] = []
  async function* given() {
    for (const [position, page] of pages.entries()) {
      yield { refill: [], evict: [], skipped: 0, cost: 0, position, ...page }
    }
  }
  const running = rebuild<string, number>({
    pages: given(),
    refill: async (copy) => {
      const attempt = (attempts.get(copy) ?? 0) + 1
      attempts.set(copy, attempt)
      return refill(copy, attempt)
    },
    follow: async (copies) => void followed.push(...copies),
    evict: async (copies) => void evicted.push(...copies),
    clock,
    ratePerSecond: 1_000,
    signal: undefined,
    figures: { done: 0, refilled: 0, evicted: 0, skipped: 0 },
    onSettled: (position) => settled.push(position),
    ...options,
  })
  return { clock, running, evicted, followed, settled, attempts }
}

describe('rebuild', () => {
  it('refills, drops what is not to be refilled, and counts all of it', async () => {
    const page = { refill: ['a', 'b'], evict: ['x'], skipped: 4 }
    const { clock, running, evicted, followed } = open([page], (copy) => (copy === 'a' ? 'filled' : 'skipped'))
    await clock.advance(100)
    expect(await running).toEqual({ done: 7, refilled: 1, evicted: 1, skipped: 5 })
    expect({ evicted, followed }).toEqual({ evicted: ['x'], followed: ['a'] })
  })

  it('waits for whoever is told of the progress, and ends with what it fails with', async () => {
    const { clock, running, evicted } = open([{ evict: ['a'] }, { evict: ['b'] }], () => 'filled', {
      onSettled: async () => {
        await clock.sleep(500)
        throw new Error('the disk is full')
      },
    })
    const ended = expect(running).rejects.toThrow('the disk is full')
    await clock.advance(5_000)
    await ended
    expect(evicted).toEqual(['a'])
  })

  it('looks again at what somebody else is filling, and drops what stays busy', async () => {
    const refill = (copy: string, attempt: number) => (copy === 'soon' && attempt > 2 ? 'skipped' : 'busy')
    const { clock, running, evicted, settled } = open([{ refill: ['soon', 'stuck'] }], refill)
    await clock.advance(1_000)
    expect(settled, 'the page is not done yet').toEqual([])
    await clock.advance(10_000)
    expect(await running).toEqual({ done: 2, refilled: 0, evicted: 1, skipped: 1 })
    expect(evicted).toEqual(['stuck'])
  })

  it('drops a copy whose row cannot be stored', async () => {
    const { clock, running, evicted } = open([{ refill: ['odd'] }], () => 'uncacheable')
    await clock.advance(100)
    expect(await running).toMatchObject({ evicted: 1 })
    expect(evicted).toEqual(['odd'])
  })

  it('goes on after a failure that passes', async () => {
    const { clock, running, attempts } = open([{ refill: ['a', 'b'] }], (copy, attempt) => {
      if (copy === 'a' && attempt < 4) throw new SourceError('load', new Error('starting up'))
      return 'filled'
    })
    await clock.advance(1_000)
    expect(await running).toMatchObject({ refilled: 2 })
    expect(attempts.get('b'), 'what is done is not done again').toBe(1)
  })

  it.each([
    ['a failure that stays', () => new SourceError('load', new Error('down'))],
    ['one that cannot pass', () => new ConfigError('table', 'a table', 'none')],
  ])('ends with %s, and drops nothing for it', async (_, failure) => {
    const { clock, running, evicted, settled } = open([{ refill: ['a'] }], () => {
      throw failure()
    })
    const ended = expect(running).rejects.toBeInstanceOf(Error)
    await clock.advance(20_000)
    await ended
    expect({ evicted, settled }).toEqual({ evicted: [], settled: [] })
  })
})
