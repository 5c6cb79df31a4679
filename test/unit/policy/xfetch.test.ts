import { describe, expect, it } from 'vitest'
import { seededChance } from '../../../bench/simulator/seeded-chance.js'
import type { Chance } from '../../../src/core/clock.js'
import { longestHeadStartMs, shouldRefreshEarly } from '../../../src/policy/xfetch.js'

/** A cost of 100 ms in a TTL long enough for no cap to matter. */
const COST = { loadMs: 100, freshMs: 1_000_000 }
const drawing = (number: number): Chance => ({ number: () => number, token: () => '' })
const ALMOST_ONE = 1 - 2 ** -53

describe('shouldRefreshEarly', () => {
  it('follows exp(-s / (beta d)): 37 % with one load time left, 14 % with two, 0.7 % with five', () => {
    for (const [remainingMs, beta, probability] of [
      [100, 1, 0.3679],
      [200, 1, 0.1353],
      [500, 1, 0.0067],
      [200, 2, 0.3679],
      [100, 0.5, 0.1353],
    ] as const) {
      const chance = seededChance(11)
      let yes = 0
      for (let i = 0; i < 40_000; i++) if (shouldRefreshEarly(remainingMs, COST, { beta }, chance)) yes++
      expect(Math.abs(yes / 40_000 - probability), `${remainingMs} ms, beta ${beta}`).toBeLessThan(0.008)
    }
  })

  it('says yes exactly when the drawn head start reaches expiry', () => {
    // A draw of 1 - 1/e is a head start of one load time.
    expect(shouldRefreshEarly(99.99, COST, { beta: 1 }, drawing(1 - Math.exp(-1)))).toBe(true)
    expect(shouldRefreshEarly(100.01, COST, { beta: 1 }, drawing(1 - Math.exp(-1)))).toBe(false)
  })

  it('starts at most 14 beta d before expiry, whatever is drawn', () => {
    for (const beta of [0.5, 1, 3]) {
      const capMs = 14 * beta * COST.loadMs
      expect(shouldRefreshEarly(capMs, COST, { beta }, drawing(ALMOST_ONE))).toBe(true)
      expect(shouldRefreshEarly(capMs + 1, COST, { beta }, drawing(ALMOST_ONE))).toBe(false)
    }
  })

  it('starts at most a quarter of the TTL before expiry, or the share it is given', () => {
    const slow = { loadMs: 5_000, freshMs: 10_000 }
    expect(shouldRefreshEarly(2_500, slow, { beta: 1 }, drawing(ALMOST_ONE))).toBe(true)
    expect(shouldRefreshEarly(2_501, slow, { beta: 1 }, drawing(ALMOST_ONE))).toBe(false)
    expect(shouldRefreshEarly(2_501, slow, { beta: 1, maxEarliness: 0.5 }, drawing(ALMOST_ONE))).toBe(true)
    expect(shouldRefreshEarly(5_001, slow, { beta: 1, maxEarliness: 0.5 }, drawing(ALMOST_ONE))).toBe(false)
  })

  it('starts at most `maxLoads` load times before expiry, whatever is drawn', () => {
    const rules = { beta: 2, maxLoads: 1.5 }
    expect(shouldRefreshEarly(150, COST, rules, drawing(ALMOST_ONE))).toBe(true)
    expect(shouldRefreshEarly(151, COST, rules, drawing(ALMOST_ONE))).toBe(false)
    expect(shouldRefreshEarly(150, COST, rules, drawing(0.1)), 'within it the lot decides').toBe(false)
  })

  it('is never early with beta 0', () => {
    for (const remainingMs of [1, 0, -1]) {
      expect(shouldRefreshEarly(remainingMs, COST, { beta: 0 }, drawing(ALMOST_ONE))).toBe(false)
    }
  })

  it('is certain once nothing remains', () => {
    expect(shouldRefreshEarly(0, COST, { beta: 1 }, drawing(0))).toBe(true)
  })

  it('draws nothing while it cannot matter', () => {
    let draws = 0
    const counting: Chance = { number: () => draws++ && 0.5, token: () => '' }
    shouldRefreshEarly(1_401, COST, { beta: 1 }, counting)
    expect(draws).toBe(0)
    shouldRefreshEarly(1_399, COST, { beta: 1 }, counting)
    expect(draws).toBe(1)
  })
})

describe('longestHeadStartMs', () => {
  it('is the smallest of the caps', () => {
    expect(longestHeadStartMs(COST, { beta: 2 })).toBe(2_800)
    expect(longestHeadStartMs({ loadMs: 100, freshMs: 4_000 }, { beta: 2 })).toBe(1_000)
    expect(longestHeadStartMs(COST, { beta: 2, maxLoads: 1.5 })).toBe(150)
    expect(longestHeadStartMs(COST, { beta: 0.1, maxLoads: 1.5 })).toBe(140)
    expect(longestHeadStartMs({ loadMs: 100, freshMs: 400 }, { beta: 2, maxLoads: 1.5 })).toBe(100)
  })
})
