import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { meanHeadStartMs, refreshesPerExpiry } from '../../bench/simulator/closed-form.js'
import { simulateMassExpiry } from '../../bench/simulator/many-keys.js'
import { simulateKey, type Workload } from '../../bench/simulator/one-key.js'
import { seededChance } from '../../bench/simulator/seeded-chance.js'
import { shipped, staleWhileRevalidate, ttl, ttlLease, xfetch, xfetchLease } from '../../bench/simulator/strategies.js'
import { toMarkdown, withTables } from '../../bench/simulator/table.js'
import { allTables } from '../../bench/simulator/tables.js'

/** Loads of 50 ms, an exact estimate, and a TTL so long that no cap on earliness shows. */
const IDEAL: Workload = { ratePerSecond: 2_000, meanLoadMs: 50, loadSigma: 0, ttlMs: 60_000, jitter: 0, estimate: 1 }
/** Loads as a database has them, their cost estimated by the shipped `LoadCost`. */
const REAL: Workload = {
  ratePerSecond: 1_000,
  meanLoadMs: 90,
  loadSigma: 0.5,
  ttlMs: 10_000,
  jitter: 0.15,
  estimate: 'measured',
}

const within = (share: number, actual: number, expected: number) => {
  expect(actual).toBeGreaterThan(expected * (1 - share))
  expect(actual).toBeLessThan(expected * (1 + share))
}

describe('XFetch without a lease, against its closed form', () => {
  it.each([1, 2])('loads exp(D / (beta d)) times an expiry at beta %d', (beta) => {
    const outcome = simulateKey(xfetch(beta), IDEAL, { expiries: 1_500 }, seededChance(1))
    within(0.1, outcome.loadsPerExpiry, refreshesPerExpiry(50, beta, 50))
    within(0.1, outcome.singleShare, 1 / refreshesPerExpiry(50, beta, 50))
    within(0.05, outcome.meanHeadStartMs, meanHeadStartMs(2_000, beta, 50))
    expect(outcome.waitedShare).toBe(0)
  })

  it('loads about e^3 = 20 times when the cost is estimated at a third', () => {
    const workload = { ...IDEAL, ratePerSecond: 20_000, estimate: 1 / 3 }
    const outcome = simulateKey(xfetch(1), workload, { expiries: 600 }, seededChance(1))
    within(0.15, outcome.loadsPerExpiry, Math.exp(3))
  })

  it('loads no more often when ten times as many requests come', () => {
    const busier = { ...IDEAL, ratePerSecond: 20_000 }
    const outcome = simulateKey(xfetch(1), busier, { expiries: 300 }, seededChance(1))
    expect(outcome.loadsPerExpiry).toBeLessThan(1.2 * Math.E)
  })
})

describe('XFetch under a lease', () => {
  it('loads once an expiry, nobody waits and nothing is older than its TTL', () => {
    const outcome = simulateKey(xfetchLease(1), REAL, { expiries: 1_000 }, seededChance(1))
    expect(outcome.loadsPerExpiry).toBeLessThanOrEqual(1.15)
    expect(outcome.waitedShare).toBeLessThan(0.0001)
    expect(outcome.maxAgeMs).toBeLessThanOrEqual(REAL.ttlMs)
    // Early by a few load times of 10 s, so not much more than one load a TTL either.
    expect((outcome.loads.length * 10_000 * (1 - 0.15 / 2)) / outcome.durationMs).toBeLessThan(1.15)
  })

  it('still loads once an expiry when the cost is estimated at a third', () => {
    const workload = { ...IDEAL, ratePerSecond: 20_000, estimate: 1 / 3 }
    const outcome = simulateKey(xfetchLease(1), workload, { expiries: 300 }, seededChance(1))
    expect(outcome.loadsPerExpiry).toBeLessThanOrEqual(1.15)
  })

  it('leaves idle keys alone: under one load in a hundred is a refresh that nobody reads', () => {
    const idle = { ...IDEAL, ratePerSecond: 0.2, meanLoadMs: 100, ttlMs: 10_000 }
    const outcome = simulateKey(xfetchLease(1), idle, { expiries: 2_000 }, seededChance(1))
    expect(outcome.unreadRefreshes / outcome.loads.length).toBeLessThan(0.01)
  })
})

describe('what is shipped', () => {
  /** The hot key of `npm run bench -- expiry`, whose loads are as steady as that of the benchmark. */
  const HOT: Workload = {
    ...IDEAL,
    ratePerSecond: 500,
    ttlMs: 1_000,
    loadSigma: 0.05,
    jitter: 0.15,
    estimate: 'measured',
  }
  const loadsPerTtl = (workload: Workload) => {
    const { loads, durationMs } = simulateKey(shipped, workload, { expiries: 1_000 }, seededChance(1))
    return (loads.length * workload.ttlMs) / durationMs
  }

  it('loads hardly more than once a TTL of twenty loads, nobody waits and nothing is older than its TTL', () => {
    const outcome = simulateKey(shipped, HOT, { expiries: 1_000 }, seededChance(1))
    expect(loadsPerTtl(HOT)).toBeLessThan(1.1)
    expect(outcome.waitedShare).toBe(0)
    expect(outcome.maxAgeMs).toBeLessThanOrEqual(HOT.ttlMs)
  })

  it('loads no more often at ten times the rate', () => {
    within(0.02, loadsPerTtl({ ...HOT, ratePerSecond: 5_000 }), loadsPerTtl(HOT))
  })

  it('makes readers wait for what a load takes longer than one and a half times the estimate', () => {
    const misjudged = { ...HOT, ratePerSecond: 5_000, loadSigma: 0, estimate: 1 / 3 }
    const outcome = simulateKey(shipped, misjudged, { expiries: 200 }, seededChance(1))
    expect(outcome.loadsPerExpiry).toBe(1)
    expect(outcome.longestWaitMs).toBeGreaterThan(20)
    expect(outcome.longestWaitMs).toBeLessThan(35)
  })
})

describe('what XFetch is compared with', () => {
  it('ttl: a stampede of r D loads at each expiry', () => {
    const outcome = simulateKey(ttl, IDEAL, { expiries: 50 }, seededChance(1))
    within(0.1, outcome.loadsPerExpiry, 2_000 * 0.05)
  })

  it('ttl + lease: one load, and everybody waits for it', () => {
    const outcome = simulateKey(ttlLease, { ...IDEAL, ttlMs: 10_000 }, { expiries: 100 }, seededChance(1))
    expect(outcome.loadsPerExpiry).toBe(1)
    within(0.2, outcome.waitedShare, 0.05 / 10)
    expect(outcome.p999WaitMs).toBeGreaterThan(30)
    expect(outcome.p999WaitMs, 'load and what the polls add').toBeLessThan(60)
  })

  it('stale-while-revalidate: nobody waits on a busy key, on an idle one they do', () => {
    const busy = simulateKey(staleWhileRevalidate, REAL, { expiries: 100 }, seededChance(1))
    expect(busy.waitedShare).toBe(0)
    const idle = { ...REAL, ratePerSecond: 0.2 }
    expect(simulateKey(staleWhileRevalidate, idle, { expiries: 100 }, seededChance(1)).waitedShare).toBeGreaterThan(0.2)
  })
})

describe('1,000 keys filled together', () => {
  const workload = { ...IDEAL, ratePerSecond: 10 }
  const peak = (jitter: number) =>
    simulateMassExpiry(ttlLease, { ...workload, jitter }, { keys: 1_000, forMs: 75_000, binMs: 1_000, seed: 1 })
      .peakLoads

  it('cause hundreds of loads at once without jitter, and under 25 with 15 %', () => {
    expect(peak(0)).toBeGreaterThan(300)
    expect(peak(0.15)).toBeLessThan(25)
  })
})

describe('docs/design/early-refresh.md', () => {
  const [first] = allTables(0.002)
  const place = `<!-- table: ${first?.name} -->\nold\n<!-- end -->`

  it('has a place for every table, and no other', () => {
    const page = readFileSync(new URL('../../docs/design/early-refresh.md', import.meta.url), 'utf8')
    expect(() => withTables(page, allTables(0.002))).not.toThrow()
  })

  it('gets a table where its place is', () => {
    const page = withTables(`before\n${place}\nafter`, first ? [first] : [])
    expect(page).toBe(`before\n${place.replace('old', () => toMarkdown(first as never))}\nafter`)
    expect(() => withTables('nowhere', first ? [first] : [])).toThrow('no place for strategies')
    expect(() => withTables(place, [])).toThrow('which nobody makes')
  })
})

it('gives the same result for the same seed, and another for another', () => {
  const run = (seed: number) => simulateKey(xfetchLease(1), REAL, { expiries: 20 }, seededChance(seed))
  expect(run(3)).toEqual(run(3))
  expect(run(3)).not.toEqual(run(4))
})
