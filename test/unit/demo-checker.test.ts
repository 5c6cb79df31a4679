import { describe, expect, it } from 'vitest'
import { findStaleReads, findTornReads, type ReadRecord, type WriteRecord } from '../../bench/demo/checker.js'
import { assertSameCount } from '../../bench/demo/cross-check.js'
import { figuresOf, percentile } from '../../bench/demo/figures.js'
import { StatementCounter } from '../../bench/demo/statements.js'
import { formatTable } from '../../bench/demo/table.js'
import { planOf, zipfRanks } from '../../bench/demo/traffic.js'
import { seededChance } from '../../bench/simulator/seeded-chance.js'

const ROW = 'products/1'

function read(startedMs: number, revision: number, more: Partial<ReadRecord> = {}): ReadRecord {
  return { worker: 0, row: ROW, startedMs, endedMs: startedMs + 1, revision, intact: true, ...more }
}

function write(acknowledgedMs: number, revision: number, more: Partial<WriteRecord> = {}): WriteRecord {
  return { worker: 1, row: ROW, revision, acknowledgedMs, fenced: true, ...more }
}

describe('findStaleReads', () => {
  it('finds a read that began after a newer revision was acknowledged', () => {
    const late = read(20, 1)
    const missed = write(10, 2)
    expect(findStaleReads([late], [missed])).toEqual([{ read: late, missed, ageMs: 10 }])
  })

  it.each([
    ['returned what was acknowledged', read(20, 2), [write(10, 2)]],
    [
      'returned more than what was acknowledged: the write was committed, its writer not yet told',
      read(20, 3),
      [write(10, 2)],
    ],
    ['began before the acknowledgement, however long it took', read(9, 1, { endedMs: 500 }), [write(10, 2)]],
    ['began in the instant of the acknowledgement', read(10, 1), [write(10, 2)]],
    ['was of another row', read(20, 1, { row: 'inventory/1' }), [write(10, 2)]],
    [
      'missed a write whose writer was told that the cache had not answered',
      read(20, 1),
      [write(10, 2, { fenced: false })],
    ],
    ['had nothing to miss', read(20, 1), []],
  ])('leaves alone a read that %s', (_, innocent, writes) => {
    expect(findStaleReads([innocent], writes)).toEqual([])
  })

  it('holds a read against the newest revision, in whatever order the acknowledgements came', () => {
    const [second, third, fourth] = [write(30, 2), write(10, 3), write(40, 4)]
    const writes = [fourth, second, third]
    // Revision 3 was acknowledged first, so the late word about 2 takes nothing back.
    expect(findStaleReads([read(35, 2)], writes)).toMatchObject([{ missed: third, ageMs: 25 }])
    expect(findStaleReads([read(35, 3)], writes)).toEqual([])
    expect(findStaleReads([read(50, 3)], writes)).toMatchObject([{ missed: fourth, ageMs: 10 }])
  })

  it('counts the age from the first write that the row had missed, not from the last', () => {
    const writes = [write(10, 2), write(20, 3), write(30, 4)]
    expect(findStaleReads([read(35, 1)], writes)).toMatchObject([{ missed: { revision: 4 }, ageMs: 25 }])
    expect(findStaleReads([read(35, 2)], writes)).toMatchObject([{ missed: { revision: 4 }, ageMs: 15 }])
  })

  it('takes a row that did not come back for older than any', () => {
    expect(findStaleReads([read(20, 0)], [write(10, 1)])).toHaveLength(1)
  })

  it('names them in the order they began', () => {
    const found = findStaleReads([read(40, 1), read(20, 1), read(30, 1)], [write(10, 2)])
    expect(found.map((stale) => stale.read.startedMs)).toEqual([20, 30, 40])
  })

  it('agrees with comparing every read with every write', () => {
    const chance = seededChance(5)
    const number = (below: number) => Math.floor(chance.number() * below)
    const row = () => `products/${number(4)}`
    const writes = Array.from({ length: 400 }, () =>
      write(number(1_000), number(60), { row: row(), fenced: number(10) > 0 }),
    )
    const reads = Array.from({ length: 2_000 }, () => read(number(1_000), number(60), { row: row() }))
    const expected = reads.filter((one) =>
      writes.some(
        (other) =>
          other.fenced &&
          other.row === one.row &&
          other.acknowledgedMs < one.startedMs &&
          other.revision > one.revision,
      ),
    )
    expect(expected.length).toBeGreaterThan(100)
    expect(expected.length).toBeLessThan(reads.length)
    const found = findStaleReads(reads, writes).map((stale) => stale.read)
    expect(new Set(found)).toEqual(new Set(expected))
    expect(found).toHaveLength(expected.length)
  })
})

describe('findTornReads', () => {
  it('finds reads whose row contradicts itself', () => {
    const torn = read(2, 1, { intact: false })
    expect(findTornReads([read(1, 1), torn])).toEqual([torn])
  })
})

describe('figuresOf', () => {
  const atRest = { rows: 2, cached: 1, stale: [] }

  it('puts the notes of all processes together', () => {
    const log = { failures: ['refused'], loads: 3, hits: 2, transactions: 9 }
    const logs = [
      { ...log, reads: [read(1, 1), read(20, 1)], writes: [] },
      { ...log, reads: [read(30, 2), read(40, 2)], writes: [write(10, 2), write(11, 3, { fenced: false })] },
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
      stale: [{ read: { worker: 0, startedMs: 20 } }],
      oldestMs: 10,
      torn: [],
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
