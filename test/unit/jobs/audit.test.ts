import { describe, expect, it } from 'vitest'
import type { CacheKey } from '../../../src/core/key.js'
import {
  type AuditJob,
  type AuditPage,
  audit,
  type Difference,
  type Drift,
  type FoundCopy,
  NO_FIGURES,
} from '../../../src/jobs/audit.js'
import { ManualClock } from '../../support/manual-clock.js'

const BEHIND: Difference = { kind: 'behind', version: null, writtenAtMs: undefined }

interface Copy extends FoundCopy {
  readonly id: number
}

/** An audit of copies 1 to `count`; `differing` and `gone` are asked at each look. */
function open(
  count: number,
  options: Partial<AuditJob<Copy, number>> & {
    readonly size?: number
    readonly differs?: (id: number) => boolean
    readonly isGone?: (id: number) => boolean
  } = {},
) {
  const { size = 10, differs = () => false, isGone = () => false, ...rest } = options
  const clock = new ManualClock()
  const compared: { id: number; atMs: number }[] = []
  const settled: { position: number; drifted: number; transient: number }[] = []
  const drifts: Drift[] = []
  async function* pages(): AsyncGenerator<AuditPage<Copy, number>> {
    for (let from = 1; from <= count; from += size) {
      const ids = Array.from({ length: Math.min(size, count - from + 1) }, (_, at) => from + at)
      const copies = ids.map(
        (id) => ({ id, key: `k${id}` as CacheKey, place: 'redis', entity: 't', filledAtMs: 0 }) as const,
      )
      yield { copies, unused: 0, skipped: 0, undecoded: 0, cost: copies.length, position: from + copies.length - 1 }
    }
  }
  const running = audit<Copy, number>({
    pages: pages(),
    compare: async (copies) => {
      for (const { id } of copies) compared.push({ id, atMs: clock.monotonicMs() })
      return copies.map(({ id }) => (differs(id) ? BEHIND : undefined))
    },
    lookAgain: async (copies) => copies.filter(({ id }) => !isGone(id)),
    repair: undefined,
    clock,
    ratePerSecond: 100,
    recheckMs: 1_000,
    signal: undefined,
    figures: NO_FIGURES,
    onDrift: (drift) => drifts.push(drift),
    onCompared: () => {},
    onSettled: (position, { drifted, transient }) => settled.push({ position, drifted, transient }),
    ...rest,
  })
  return { clock, compared, settled, drifts, running }
}

describe('audit', () => {
  it('waits for whoever is told of the progress, and ends with what it fails with', async () => {
    const told: number[] = []
    const { clock, compared, running } = open(30, {
      onSettled: async (position) => {
        told.push(position)
        await clock.sleep(500)
        throw new Error('the disk is full')
      },
    })
    const ended = expect(running).rejects.toThrow('the disk is full')
    await clock.advance(5_000)
    await ended
    expect({ compared: compared.length, told }).toEqual({ compared: 10, told: [10] })
  })

  it('counts as drift only what still differs at the second look, and is the same copy', async () => {
    const row = { differs: true }
    const { clock, running, drifts } = open(3, {
      differs: (id) => id === 1 || (id === 2 && row.differs) || id === 3,
      isGone: (id) => id === 3 && !row.differs,
    })
    await clock.advance(500)
    expect(drifts, 'nothing is said before the second look').toEqual([])
    row.differs = false
    await clock.advance(600)
    expect(await running).toMatchObject({ compared: 3, drifted: 1, transient: 2 })
    expect(drifts.map(({ key }) => key)).toEqual(['k1'])
  })

  it('counts lookups that lead astray by themselves: they are no drift, nobody is told, and repair drops them', async () => {
    const evicted: number[] = []
    const { clock, running, drifts, settled } = open(3, {
      compare: async (copies) => copies.map(({ id }) => (id < 3 ? { ...BEHIND, kind: 'astray' } : undefined)),
      lookAgain: async (copies) => copies.filter(({ id }) => id === 1),
      repair: async ({ id }) => {
        evicted.push(id)
        return 'fenced'
      },
    })
    await clock.advance(1_100)
    const none = { drifted: 0, repaired: 0, kinds: NO_FIGURES.kinds, places: NO_FIGURES.places, ages: NO_FIGURES.ages }
    expect(await running).toMatchObject({ compared: 3, astray: 1, transient: 1, ...none })
    expect({ drifts, evicted }).toEqual({ drifts: [], evicted: [1] })
    expect(settled.at(-1)?.position).toBe(3)
  })

  it('goes on comparing while copies wait for their second look, and tells no position past them', async () => {
    const { clock, running, settled, compared } = open(50, { differs: (id) => id === 15 })
    await clock.advance(600)
    expect(compared.length, 'the walk has not waited').toBe(50)
    expect(
      settled.map(({ position }) => position),
      'a resumed audit must look at 15 again',
    ).toEqual([10])
    await clock.advance(1_000)
    expect(settled.map(({ position, drifted }) => [position, drifted])).toEqual([
      [10, 0],
      [20, 1],
      [30, 1],
      [40, 1],
      [50, 1],
    ])
    await running
  })

  it('waits when too many wait for their second look', async () => {
    const { clock, running, compared } = open(40_000, { size: 5_000, differs: () => true, ratePerSecond: 1e9 })
    await clock.advance(900)
    expect(compared.length).toBe(15_000)
    await clock.advance(10_000)
    expect(await running).toMatchObject({ compared: 40_000, drifted: 40_000 })
  })

  it('compares no more copies a second than it may', async () => {
    const { clock, running, compared } = open(300)
    await clock.advance(3_500)
    await running
    for (const { atMs } of compared) {
      expect(compared.filter((each) => each.atMs >= atMs && each.atMs < atMs + 1_000).length).toBeLessThanOrEqual(110)
    }
    expect(compared.at(-1)?.atMs).toBeGreaterThan(2_800)
  })

  it('says how old a drift is at most: no longer than its row is as it is, or the copy is there', async () => {
    const now = 1_000_000_000_000
    const ages = [now - 5_000, now - 50_000, now - 250_000, now - 3_000_000, now - 9_000_000]
    const { clock, running } = open(5, {
      recheckMs: 0,
      differs: () => true,
      clock: { monotonicMs: () => 0, wallMs: () => now, sleep: async () => {} },
      compare: async (copies) =>
        copies.map(({ id }) => ({ kind: 'behind', version: null, writtenAtMs: ages[id - 1] as number })),
    })
    await clock.advance(1)
    expect((await running).ages).toEqual({ upTo10s: 1, upTo1min: 1, upTo5min: 1, upTo1h: 1, older: 1 })
  })

  it('ends with the reason when it is aborted, also while it waits for a second look', async () => {
    const abort = new AbortController()
    const { clock, running } = open(5, { differs: () => true, signal: abort.signal })
    const ended = expect(running).rejects.toThrow('enough')
    await clock.advance(500)
    abort.abort(new Error('enough'))
    await clock.advance(1)
    await ended
  })
})
