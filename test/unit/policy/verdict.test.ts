import { describe, expect, it } from 'vitest'
import type { Chance } from '../../../src/core/clock.js'
import type { Version } from '../../../src/core/version.js'
import { type Demands, type Floor, type Judged, judge } from '../../../src/policy/verdict.js'

const FILLED_AT_MS = 1_795_207_238_000
const row: Judged = {
  kind: 'row',
  version: '1000' as Version,
  shape: '1f0c3a7e',
  epoch: '00000000',
  filledAtMs: FILLED_AT_MS,
  freshMs: 10_000,
  loadMs: 50,
}
const absence: Judged = { ...row, kind: 'absent', version: undefined }
const demands: Demands = {
  shape: '1f0c3a7e',
  epoch: '00000000',
  graceMs: 5_000,
  early: { beta: 1, maxEarliness: 0.25 },
}
const never: Chance = { number: () => 0, token: () => '' }
const soonest: Chance = { number: () => 1 - 2 ** -53, token: () => '' }
const floor = (version: string, absent = false): Floor => ({ version: version as Version, absent })

function judgeAt(ageMs: number, entry = row, limit?: Floor, chance = never, asked = demands) {
  return judge(entry, FILLED_AT_MS + ageMs, limit, asked, chance)
}

describe('judge: age', () => {
  it('is fresh until the fresh time is over, stale within grace, expired after it', () => {
    expect(judgeAt(0)).toBe('fresh')
    expect(judgeAt(9_999.9)).toBe('fresh')
    expect(judgeAt(10_000)).toBe('stale')
    expect(judgeAt(14_999.9)).toBe('stale')
    expect(judgeAt(15_000)).toBe('expired')
  })

  it('has no stale entries without grace', () => {
    expect(judgeAt(10_000, row, undefined, never, { ...demands, graceMs: 0 })).toBe('expired')
  })

  it('is early when the lot says so, near expiry only, for absences too', () => {
    expect(judgeAt(9_999, row, undefined, soonest)).toBe('early')
    expect(judgeAt(9_999, absence, undefined, soonest)).toBe('early')
    expect(judgeAt(9_299, row, undefined, soonest), 'more than 14 loads before expiry').toBe('fresh')
    const slow = { ...row, loadMs: 5_000 }
    expect(judgeAt(7_500, slow, undefined, soonest)).toBe('early')
    expect(judgeAt(7_499, slow, undefined, soonest), 'more than a quarter before expiry').toBe('fresh')
  })

  it('is never early with beta 0', () => {
    const off = { ...demands, early: { beta: 0, maxEarliness: 0.25 } }
    expect(judgeAt(9_999, row, undefined, soonest, off)).toBe('fresh')
  })

  it('counts an entry from up to a second ahead as filled now, so that it is not early for it either', () => {
    expect(judgeAt(-1_000)).toBe('fresh')
    const short = { ...row, freshMs: 100, loadMs: 100 }
    const half = { ...demands, early: { beta: 1, maxEarliness: 1 } }
    // Judged by the clock alone 600 ms would remain, out of reach of a refresh.
    expect(judgeAt(-500, short, undefined, soonest, half)).toBe('early')
  })

  it('does not trust an entry from further ahead: it may be of any age', () => {
    expect(judgeAt(-1_001)).toBe('expired')
    expect(judgeAt(-3_600_000)).toBe('expired')
  })
})

describe('judge: identity', () => {
  it('refuses another shape and another epoch, whatever the age', () => {
    for (const ageMs of [0, 12_000, 99_000]) {
      expect(judgeAt(ageMs, { ...row, shape: '00000000' })).toBe('other-shape')
      expect(judgeAt(ageMs, { ...row, epoch: '00000001' })).toBe('other-epoch')
    }
  })
})

describe('judge: floor', () => {
  it('shows a row at or above the floor', () => {
    expect(judgeAt(0, row, floor('999'))).toBe('fresh')
    expect(judgeAt(0, row, floor('1000'))).toBe('fresh')
    expect(judgeAt(0, row, floor('1000', true))).toBe('fresh')
  })

  it('refuses a row below it, in grace too', () => {
    expect(judgeAt(0, row, floor('1001'))).toBe('below-floor')
    expect(judgeAt(0, row, floor('1001', true))).toBe('below-floor')
    expect(judgeAt(12_000, row, floor('1001'))).toBe('below-floor')
  })

  it('compares versions as numbers, exactly', () => {
    expect(judgeAt(0, { ...row, version: '9007199254740992' as Version }, floor('9007199254740993'))).toBe(
      'below-floor',
    )
    expect(judgeAt(0, { ...row, version: '999' as Version }, floor('1000'))).toBe('below-floor')
    expect(judgeAt(0, { ...row, version: '10000' as Version }, floor('9999'))).toBe('fresh')
  })

  it('refuses a row without a version once there is a floor', () => {
    expect(judgeAt(0, { ...row, version: undefined }, floor('1'))).toBe('below-floor')
    expect(judgeAt(0, { ...row, version: undefined })).toBe('fresh')
  })

  it('refuses an absence where a row was seen, and admits it where the row is known to be gone', () => {
    expect(judgeAt(0, absence)).toBe('fresh')
    expect(judgeAt(0, absence, floor('1'))).toBe('below-floor')
    expect(judgeAt(12_000, absence, floor('1'))).toBe('below-floor')
    expect(judgeAt(0, absence, floor('1', true))).toBe('fresh')
  })

  it('does not hold lookups and queries against the floor of a row', () => {
    for (const kind of ['lookup', 'query'] as const) {
      expect(judgeAt(0, { ...row, kind }, floor('2000'))).toBe('fresh')
      expect(judgeAt(0, { ...row, kind, version: undefined }, floor('2000', true))).toBe('fresh')
    }
  })
})
