import type { Chance } from '../core/clock.js'

/**
 * A fresh time drawn evenly from the last `ratio` of `freshMs`, so that entries filled together do not expire together.
 *
 * Only ever shortens: `freshMs` stays the longest an entry of this kind may live. With n entries filled in one
 * instant, about n / (100 × ratio) expire in any one hundredth of the TTL, where without jitter all n do.
 *
 * @param freshMs whole milliseconds.
 * @param ratio from 0 (no jitter) up to but not including 1.
 * @returns whole milliseconds, at least 1, in ((1 - ratio) × freshMs, freshMs].
 */
export function jittered(freshMs: number, ratio: number, chance: Chance): number {
  return Math.max(1, Math.ceil(freshMs * (1 - ratio * chance.number())))
}
