import { describe, expect, it } from 'vitest'
import { assertSameCount } from '../../bench/demo/cross-check.js'
import { figuresOf, percentile } from '../../bench/demo/figures.js'
import { StatementCounter } from '../../bench/demo/statements.js'
import { formatTable } from '../../bench/demo/table.js'
import { planOf, zipfRanks } from '../../bench/demo/traffic.js'
import { seededChance } from '../../bench/simulator/seeded-chance.js'
import type { ReadRecord, WriteRecord } from '../../src/testing.js'

const ROW = 'products/1'

/** Each by a process of its own, so that none has to show what another has shown. */
function read(startedMs: number, revision: number): ReadRecord {
  const version = String(revision)
  const says = { key: ROW, version }
  return { process: `process ${startedMs}`, key: ROW, startedMs, endedMs: startedMs + 1, version, says }
}

function write(endedMs: number, revision: number, outcome: WriteRecord['outcome'] = 'fenced'): WriteRecord {
  return { process: 'writer', key: ROW, startedMs: endedMs - 1, endedMs, version: String(revision), outcome }
}

describe('figuresOf', () => {
  const atRest = { rows: 2, cached: 1, stale: [] }

  it('puts the notes of all processes together', () => {
    const log = { failures: ['refused'], loads: 3, hits: 2, transactions: 9 }
    const logs = [
      { ...log, reads: [read(1, 1), read(20, 1)], writes: [] },
      { ...log, reads: [read(30, 2), read(40, 2)], writes: [write(10, 2), write(11, 3, 'pending')] },
    ]
    expect(figuresOf(logs, atRest)).toMatchObject({
      reads: 4,
      writes: 2,
      unfenced: 1,
      excused: 2,
      failures: ['refused', 'refused'],
      // From 1 to 41 ms.
      readsPerSecond: 100,
      hitRatio: 1,
      loads: 6,
      stale: 1,
      oldestMs: 10,
      torn: 0,
      atRest,
    })
  })

  it('takes percentiles by rank', () => {
    const hundred = Array.from({ length: 100 }, (_, at) => 100 - at)
    expect([0.01, 0.5, 0.99, 1].map((share) => percentile(hundred, share))).toEqual([1, 50, 99, 100])
    expect(percentile([7], 0.5)).toBe(7)
    expect(percentile([], 0.5)).toBeNaN()
  })
})

describe('StatementCounter', () => {
  it('tells loads from writes, and a sale from four transactions', () => {
    const counter = new StatementCounter()
    counter.count('select * from "products" where "id" = $1')
    counter.count('update "products" set "price_cents" = $1 where "id" = $2 returning *')
    expect(counter).toMatchObject({ loads: 1, transactions: 2 })
    counter.count('begin')
    counter.count('select * from "inventory" where "product_id" = $1 for update')
    counter.count('update "inventory" set "remaining" = $1 where "product_id" = $2 returning *')
    counter.count('commit')
    expect(counter).toMatchObject({ loads: 1, transactions: 3 })
  })

  it("is held against Postgres' own count", () => {
    expect(() => assertSameCount(20_000, 20_350)).not.toThrow()
    expect(() => assertSameCount(500, 650)).not.toThrow()
    expect(() => assertSameCount(20_000, 21_000)).toThrow('counted 20000 transactions where Postgres counted 21000')
    expect(() => assertSameCount(21_000, 20_000)).toThrow('counted 21000')
  })
})

describe('planOf', () => {
  it('is the same each time it is asked for, and different for each process', () => {
    expect(planOf(0)).toEqual(planOf(0))
    expect(planOf(0)).not.toEqual(planOf(1))
  })

  it('sends a price of the same products to every process', () => {
    const fed = (process: number) =>
      planOf(process)
        .flat()
        .flatMap(({ happening }) => (happening.what === 'price' ? [happening.id] : []))
    expect(fed(0).length).toBeGreaterThan(100)
    expect(fed(3)).toEqual(fed(0))
  })

  it('asks for rank 1 twice as often as for rank 2 at exponent 1, and for every rank', () => {
    const chance = seededChance(1)
    const rank = zipfRanks(4, 1)
    const seen = [0, 0, 0, 0]
    for (let at = 0; at < 25_000; at++) seen[rank(chance.number()) - 1]!++
    // 12/25, 6/25, 4/25, 3/25 of the draws.
    const expected = [12_000, 6_000, 4_000, 3_000]
    seen.forEach((count, at) => {
      expect(Math.abs(count - (expected[at] as number))).toBeLessThan(300)
    })
    expect([rank(0), rank(1 - Number.EPSILON)]).toEqual([1, 4])
  })
})

describe('formatTable', () => {
  it('lines up labels to the left and figures to the right', () => {
    expect(formatTable(['', 'by hand', 'Corral'], [['stale reads', '1,024', '0']])).toEqual([
      '               by hand    Corral',
      '────────────────────────────────',
      'stale reads      1,024         0',
    ])
  })
})
