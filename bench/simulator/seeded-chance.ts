import type { Chance } from '../../src/core/clock.js'

/** Chance that repeats: the same seed gives the same numbers and tokens on every machine. Mulberry32 (Tommy Ettinger, 2017). */
export function seededChance(seed: number): Chance {
  let state = seed >>> 0
  const number = () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  const token = () => Array.from({ length: 16 }, () => Math.floor(number() * 36).toString(36)).join('')
  return { number, token }
}
