import type { Chance } from '../../src/core/clock.js'

export { seededChance } from '../../bench/simulator/seeded-chance.js'

/**
 * Chance without surprises: always the same number, and tokens that count (`token-1`, `token-2`, …), so that a story
 * tells which lease is meant. 0, the default, never refreshes early and never shortens a TTL.
 */
export function plainChance(number = 0, name = 'token'): Chance {
  let tokens = 0
  return { number: () => number, token: () => `${name}-${++tokens}` }
}
