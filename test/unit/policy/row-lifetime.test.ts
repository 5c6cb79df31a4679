import { describe, expect, it } from 'vitest'
import { LIFETIMES_MS, rowLifetime } from '../../../src/policy/row-lifetime.js'

const row = { id: 1, live: true }
const of = (freshMs: (given: never) => unknown) => rowLifetime(row, freshMs as never, 300_000)

describe('rowLifetime', () => {
  it('is what the function says of the row', () => {
    expect(of((given: typeof row) => (given.live ? 1_000 : 60_000))).toEqual({ freshMs: 1_000, refused: undefined })
    expect(of(() => LIFETIMES_MS.least)).toEqual({ freshMs: 1, refused: undefined })
    expect(of(() => LIFETIMES_MS.most)).toEqual({ freshMs: 9_999_999_999, refused: undefined })
    expect(of(() => 1_000.5)).toEqual({ freshMs: 1_000.5, refused: undefined })
  })

  it.each([
    ['nothing left', () => 0, 1],
    ['less than nothing', () => -60_000, 1],
    ['no end', () => Number.POSITIVE_INFINITY, 9_999_999_999],
    ['too long', () => 1e12, 9_999_999_999],
    ['all of the past', () => Number.NEGATIVE_INFINITY, 1],
  ])('takes the nearest bound for %s', (_, freshMs, expected) => {
    expect(of(freshMs)).toEqual({ freshMs: expected, refused: 'out-of-range' })
  })

  it.each([
    ['NaN', () => Number.NaN],
    ['nothing', () => undefined],
    ['a numeric text', () => '1000'],
    ['a bigint', () => 1_000n],
    ['a promise', async () => 1_000],
  ])('takes the fixed time for %s', (_, freshMs) => {
    expect(of(freshMs)).toEqual({ freshMs: 300_000, refused: 'no-number' })
  })

  it('takes the fixed time where an async function rejects, which ends no process', async () => {
    const unhandled: unknown[] = []
    const note = (reason: unknown) => unhandled.push(reason)
    process.on('unhandledRejection', note)
    expect(of(() => Promise.reject(new Error('of the application')))).toEqual({
      freshMs: 300_000,
      refused: 'no-number',
    })
    await new Promise(setImmediate)
    process.off('unhandledRejection', note)
    expect(unhandled).toEqual([])
  })

  it('takes the fixed time where the function throws', () => {
    expect(
      of(() => {
        throw new Error('of the application')
      }),
    ).toEqual({ freshMs: 300_000, refused: 'threw' })
  })
})
