import { describe, expect, it } from 'vitest'
import { fuzz } from '../fuzz/fuzz.js'
import { TARGETS } from '../fuzz/targets.js'

/** A small share of `npm run fuzz`, another one each time: a failure names its seed. */
describe('hostile bytes never throw, hang, or reach a prototype', () => {
  it.each(TARGETS.map((target) => [target.name, target] as const))('%s', { timeout: 60_000 }, (_, target) => {
    const { outcomes, risenMib, inputs } = fuzz(target, Math.max(4_000, target.full / 100), Date.now() % 2 ** 31)
    expect(inputs).toBeGreaterThanOrEqual(4_000)
    expect(Object.keys(outcomes).length, 'sound ones and others were met').toBeGreaterThan(1)
    expect(risenMib, 'MiB more than before').toBeLessThan(256)
  })
})
