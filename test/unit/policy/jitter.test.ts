import { describe, expect, it } from 'vitest'
import { seededChance } from '../../../bench/simulator/seeded-chance.js'
import { jittered } from '../../../src/policy/jitter.js'

const FRESH_MS = 300_000
const KEYS = 10_000

/** Most expiries in any one hundredth of the TTL, of 10,000 keys filled in one instant. */
function peakOfExpiries(ratio: number, seed: number): number {
  const chance = seededChance(seed)
  const expiries = new Array<number>(101).fill(0)
  for (let key = 0; key < KEYS; key++) {
    expiries[Math.floor((100 * jittered(FRESH_MS, ratio, chance)) / FRESH_MS)]!++
  }
  return Math.max(...expiries)
}

describe('jittered', () => {
  it('spreads 10,000 keys that were filled together: 15 % of jitter leaves at most 7.5 % of them in 1 % of the TTL', () => {
    expect(peakOfExpiries(0, 1)).toBe(KEYS)
    for (const seed of [1, 2, 3]) expect(peakOfExpiries(0.15, seed)).toBeLessThan(KEYS * 0.075)
  })

  it('repeats under the same seed', () => {
    const draw = (seed: number) => {
      const chance = seededChance(seed)
      return Array.from({ length: 100 }, () => jittered(FRESH_MS, 0.15, chance))
    }
    expect(draw(7)).toEqual(draw(7))
    expect(draw(7)).not.toEqual(draw(8))
  })

  it('never lengthens, and shortens by less than the ratio', () => {
    expect(jittered(1_000, 0.2, { ...seededChance(1), number: () => 0 })).toBe(1_000)
    expect(jittered(1_000, 0.2, { ...seededChance(1), number: () => 0.9999 })).toBe(801)
    const chance = seededChance(2)
    for (let i = 0; i < 1_000; i++) {
      const freshMs = jittered(997, 0.3, chance)
      expect(freshMs).toBeGreaterThan(997 * 0.7)
      expect(freshMs).toBeLessThanOrEqual(997)
      expect(Number.isInteger(freshMs)).toBe(true)
    }
  })

  it('leaves at least a millisecond', () => {
    const chance = seededChance(3)
    for (let i = 0; i < 100; i++) expect(jittered(1, 0.99, chance)).toBe(1)
  })
})
