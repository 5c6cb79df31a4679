import { describe, expect, it } from 'vitest'
import { LoadCost, leaseMs } from '../../../src/policy/load-cost.js'

function costOf(samples: readonly number[]): LoadCost {
  const cost = new LoadCost()
  for (const sample of samples) cost.record(sample)
  return cost
}

const constant = (ms: number, times: number) => new Array<number>(times).fill(ms)

describe('LoadCost', () => {
  it('guesses slow before the first measurement, and as slow as it is told', () => {
    expect(new LoadCost().estimateMs).toBe(1_000)
    expect(new LoadCost(80).estimateMs).toBe(80)
    expect(new LoadCost().soonestMs).toBe(0)
  })

  it('takes the first sample as the mean and half of it as the deviation', () => {
    expect(costOf([40]).estimateMs).toBe(80)
  })

  it('expects a load when the shortest of the latest 16 was done, and the sooner the fewer it knows', () => {
    const cost = costOf([48])
    expect(cost.soonestMs).toBe(3)
    for (let load = 1; load < 8; load++) cost.record(64)
    expect(cost.soonestMs).toBe(24)
    for (let load = 8; load < 16; load++) cost.record(64)
    expect(cost.soonestMs).toBe(48)
    cost.record(64)
    expect(cost.soonestMs, 'the shortest is forgotten').toBe(64)
  })

  it('expects loads no sooner because some were held up', () => {
    const cost = costOf(constant(50, 60))
    for (const heldUpMs of [130, 58, 400]) cost.record(heldUpMs)
    cost.recordOther(90)
    expect(cost.soonestMs).toBe(50)
  })

  it('comes down to the cost of steady loads', () => {
    expect(costOf(constant(50, 60)).estimateMs).toBe(51)
    expect(costOf(constant(50, 60)).soonestMs).toBeCloseTo(50, 4)
  })

  it('weighs a new sample 1/8 in the mean and 1/4 in the deviation', () => {
    const steady = costOf(constant(50, 200))
    steady.record(130)
    // Mean 50 + 80/8 = 60, deviation 80/4 = 20.
    expect(steady.estimateMs).toBe(100)
  })

  it('reaches the new cost within two samples when loads become three times as slow', () => {
    const cost = costOf(constant(50, 100))
    cost.record(150)
    cost.record(150)
    expect(cost.estimateMs).toBeGreaterThanOrEqual(150)
  })

  it('covers the spread: of loads between 20 and 80 ms fewer than one in fifty take longer than the estimate', () => {
    const cost = new LoadCost()
    let longer = 0
    for (let i = 0; i < 1_000; i++) {
      const sample = 20 + ((i * 37) % 61)
      if (i > 20 && sample > cost.estimateMs) longer++
      cost.record(sample)
    }
    expect(longer).toBeLessThan(20)
  })

  it('never says less than 2 ms', () => {
    expect(costOf(constant(0.1, 50)).estimateMs).toBe(2)
  })

  it('doubles while loads fail, for the four successes after the last failure', () => {
    const cost = costOf(constant(50, 100))
    const usual = cost.estimateMs
    cost.recordFailure()
    for (let success = 0; success < 4; success++) {
      expect(cost.estimateMs, `after ${success} successes`).toBe(2 * usual)
      cost.record(50)
    }
    expect(cost.estimateMs).toBe(usual)
  })

  it('stays doubled while one load in five fails', () => {
    const cost = costOf(constant(50, 100))
    for (let round = 0; round < 20; round++) {
      for (let success = 0; success < 4; success++) cost.record(50)
      cost.recordFailure()
      expect(cost.estimateMs).toBeGreaterThanOrEqual(100)
    }
  })

  it('expects loads as soon as one of another process was done, until 16 say otherwise', () => {
    const cost = costOf(constant(400, 60))
    const { estimateMs } = cost
    cost.recordOther(100)
    expect(cost.soonestMs).toBeCloseTo(100, 0)
    expect(cost.estimateMs, 'leases and refreshes go by what loads of this process cost').toBe(estimateMs)
    cost.recordOther(0)
    expect(cost.soonestMs, 'never less than at once').toBe(0)
    for (let load = 0; load < 60; load++) cost.record(400)
    expect(cost.soonestMs).toBeCloseTo(400, 0)
  })

  it('expects loads when those of other processes were done, though it has made none or other ones itself', () => {
    for (const cost of [costOf([]), costOf(constant(20, 60)), costOf([90, 30, 60])]) {
      const { estimateMs } = cost
      for (let load = 0; load < 60; load++) cost.recordOther(50)
      expect(cost.soonestMs).toBeCloseTo(50, 0)
      expect(cost.estimateMs).toBe(estimateMs)
    }
  })

  it('takes no measure from loads that failed', () => {
    const cost = costOf(constant(50, 100))
    for (let i = 0; i < 10; i++) cost.recordFailure()
    expect(cost.estimateMs).toBe(102)
    expect(cost.soonestMs).toBeCloseTo(50, 4)
  })
})

describe('leaseMs', () => {
  const bounds = { minMs: 100, maxMs: 5_000 }

  it('is three times the estimate', () => {
    expect(leaseMs(50, bounds)).toBe(150)
  })

  it('stays within its bounds', () => {
    expect(leaseMs(2, bounds)).toBe(100)
    expect(leaseMs(10_000, bounds)).toBe(5_000)
  })
})
