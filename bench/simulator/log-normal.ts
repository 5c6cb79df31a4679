import type { Chance } from '../../src/core/clock.js'

/** Draws from the log-normal distribution with this mean; sigma 0 is the mean itself. Box and Muller's transform. */
export function drawLogNormal(mean: number, sigma: number, chance: Chance): number {
  if (sigma === 0) return mean
  const normal = Math.sqrt(-2 * Math.log(1 - chance.number())) * Math.cos(2 * Math.PI * chance.number())
  // Half of sigma squared off the exponent keeps the mean.
  return mean * Math.exp(sigma * normal - sigma ** 2 / 2)
}
