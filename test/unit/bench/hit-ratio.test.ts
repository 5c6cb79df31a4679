import { describe, expect, it } from 'vitest'
import { MODELS, modelRequests } from '../../../bench/hit-ratio/models.js'
import { FLEET } from '../../../bench/hit-ratio/outcomes.js'
import { atRate, firstOf, type Requests } from '../../../bench/hit-ratio/requests.js'
import { simulate } from '../../../bench/hit-ratio/simulate.js'
import { STRATEGIES } from '../../../bench/hit-ratio/strategies.js'

const SIZE = { requests: 20_000, keys: 500, perSecond: 2_000, seed: 3 }
const FAST = { ...FLEET, ttlMs: 2_000 }

/** One key: `r` reads it, `w` writes it, each `stepMs` after the one before. */
function story(acts: string, stepMs: number): Requests {
  const keys = new Uint32Array(acts.length)
  const writes = Uint8Array.from(acts, (act) => (act === 'w' ? 1 : 0))
  return { ...atRate('story', keys, 1_000 / stepMs), writes, keyCount: 1 }
}

describe('simulate', () => {
  it('accounts for every read once, whatever the traffic and the strategy', () => {
    for (const model of MODELS) {
      const requests = modelRequests(model, SIZE)
      for (const strategy of Object.values(STRATEGIES)) {
        const outcome = simulate(requests, strategy, FAST)
        expect(outcome.reads + outcome.writes).toBe(SIZE.requests)
        expect(outcome.hitRatio + outcome.waitedShare).toBeCloseTo(1, 10)
      }
    }
  })

  it('loads once per expiry under the lease, and once per reader without', () => {
    // 20 reads within the 50 ms of one load, then silence.
    const burst = story('r'.repeat(20), 2)
    expect(simulate(burst, STRATEGIES.none, FAST).loads).toBe(20)
    expect(simulate(burst, STRATEGIES.xfetch, FAST).loads).toBe(20)
    const leased = simulate(burst, STRATEGIES.lease, { ...FAST, processes: 1 })
    expect(leased.loads).toBe(1)
    expect(leased.waitedShare).toBe(1)
    expect(leased.p99WaitMs).toBe(50)
  })

  it('leaves the old value behind where a write overtakes a load, and not under the lease', () => {
    // Read, write 30 ms later, both within one load of 50 ms; then nothing but reads.
    const race = story(`rw${'r'.repeat(60)}`, 30)
    const byHand = simulate(race, STRATEGIES.fixed, FAST)
    expect(byHand.staleShare).toBeGreaterThan(0.9)
    expect(byHand.oldestStaleMs).toBeGreaterThan(1_000)
    expect(simulate(race, STRATEGIES.lease, FAST).staleShare).toBe(0)
  })

  it('shows in L1 what the bus has not told yet, and nothing older', () => {
    const outcome = simulate(modelRequests('write-heavy', SIZE), STRATEGIES.l1, { ...FAST, busMs: 5 })
    expect(outcome.staleShare).toBeGreaterThan(0)
    expect(outcome.oldestStaleMs).toBeLessThanOrEqual(5)
    expect(simulate(modelRequests('write-heavy', SIZE), STRATEGIES.l1, { ...FAST, busMs: 0 }).staleShare).toBe(0)
  })

  it('publishing on write keeps hits that dropping loses', () => {
    const requests = modelRequests('write-heavy', SIZE)
    const dropped = simulate(requests, STRATEGIES.l1, FAST)
    const published = simulate(requests, STRATEGIES.publish, FAST)
    expect(published.hitRatio).toBeGreaterThan(dropped.hitRatio + 0.05)
    expect(published.loads).toBeLessThan(dropped.loads)
  })

  it('does not load more as the fleet grows', () => {
    const requests = firstOf(modelRequests('zipf 1.2', SIZE), 10_000)
    const loads = [1, 4, 16].map((processes) => simulate(requests, STRATEGIES.l1, { ...FAST, processes }).loads)
    expect(Math.max(...loads)).toBeLessThan(Math.min(...loads) * 1.1)
  })

  it('repeats under the same seed', () => {
    const run = () => simulate(modelRequests('flash crowd', SIZE), STRATEGIES.publish, FAST)
    expect(run()).toEqual(run())
  })
})
