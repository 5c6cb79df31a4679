import { describe, expect, it } from 'vitest'
import { ConfigError } from '../../../src/core/errors.js'
import { checkHistory } from '../../../src/testing/check-history.js'
import type { CheckOptions } from '../../../src/testing/check-options.js'
import { History } from '../../../src/testing/history.js'
import type { LoadRecord, ReadRecord, WriteRecord } from '../../../src/testing/records.js'
import { type CheckName, describeViolation } from '../../../src/testing/violation.js'
import { seededChance } from '../../support/seeded-chance.js'

const KEY = 'products/42'

/** A read that takes a millisecond. */
function read(startedMs: number, version: number | null, more: Partial<ReadRecord> = {}): ReadRecord {
  const shown = version === null ? null : String(version)
  return { process: 'p1', key: KEY, startedMs, endedMs: startedMs + 1, version: shown, ...more }
}

/** A write by another process that returned `fenced` at this time, after a millisecond. */
function write(endedMs: number, version: number | null, more: Partial<WriteRecord> = {}): WriteRecord {
  const stamp = version === null ? null : String(version)
  return { process: 'w', key: KEY, startedMs: endedMs - 1, endedMs, version: stamp, outcome: 'fenced', ...more }
}

function removal(endedMs: number, version: number, more: Partial<WriteRecord> = {}): WriteRecord {
  return write(endedMs, version, { absent: true, ...more })
}

function load(process: string, startedMs: number, endedMs: number): LoadRecord {
  return { process, key: KEY, startedMs, endedMs }
}

interface Records {
  readonly reads?: readonly ReadRecord[]
  readonly writes?: readonly WriteRecord[]
  readonly loads?: readonly LoadRecord[]
}

function check({ reads = [], writes = [], loads = [] }: Records, options: CheckOptions = {}) {
  return checkHistory({ reads, writes, loads, atRest: [] }, options)
}

/** What was broken, as often as it was. */
function broken(records: Records, options: CheckOptions = {}): CheckName[] {
  return check(records, options).violations.map((violation) => violation.check)
}

describe('a right history', () => {
  it('of two processes that write and read one row has nothing wrong with it', () => {
    const report = check(
      {
        writes: [write(10, 1, { process: 'p1' }), write(20, 2), removal(30, 3, { process: 'p2' }), write(40, 3)],
        reads: [
          read(11, 1),
          read(15, 1, { process: 'p2' }),
          // Begun before version 2 was acknowledged: either will do.
          read(19.5, 2),
          read(19.5, 1, { process: 'p2' }),
          read(25, 2, { process: 'p2' }),
          read(31, null),
          read(35, null, { process: 'p2' }),
          read(41, 3),
          read(50, 3, { process: 'p2' }),
        ],
        loads: [load('p1', 1, 5), load('p2', 3, 6), load('p1', 5, 9)],
      },
      { allWritesAreRecorded: true, memoryLagMs: 0 },
    )
    expect(report.violations).toEqual([])
    expect(report).toMatchObject({ reads: 9, writes: 4, staleness: { maxMs: 0 } })
  })
})

describe('acknowledged', () => {
  it('is broken by a read that began after a newer row was acknowledged', () => {
    const [late, missed] = [read(20, 1), write(10, 2)]
    const { violations } = check({ reads: [late], writes: [write(5, 1), missed] })
    expect(violations).toEqual([{ check: 'acknowledged', read: late, missed, ageMs: 10 }])
  })

  it.each<[string, ReadRecord, WriteRecord[]]>([
    ['shows what was acknowledged', read(20, 2), [write(10, 2)]],
    ['shows more than what was acknowledged', read(20, 3), [write(10, 2)]],
    ['began before the acknowledgement, however long it took', read(9, 1, { endedMs: 500 }), [write(10, 2)]],
    ['began in the instant of the acknowledgement', read(10, 1), [write(10, 2)]],
    ['was of another row', read(20, 1, { key: 'products/7' }), [write(10, 2)]],
    ['missed a write that returned `pending`', read(20, 1), [write(10, 2, { outcome: 'pending' })]],
    ['missed a write by SQL', read(20, 1), [write(10, 2, { outcome: 'outside' })]],
    ['missed a COMMIT that was never answered', read(20, 1), [write(10, 2, { outcome: 'unknown' })]],
    ['came from memory, which may lag', read(20, 1, { from: 'memory' }), [write(10, 2)]],
    ['had nothing to miss', read(20, 1), []],
  ])('is not broken by a read that %s', (_, innocent, writes) => {
    expect(broken({ reads: [innocent], writes })).toEqual([])
  })

  it('holds a read against the newest row, in whatever order the acknowledgements came', () => {
    const [second, third, fourth] = [write(30, 2), write(10, 3), write(40, 4)]
    const of = (one: ReadRecord) => check({ reads: [one], writes: [fourth, second, third] }).violations
    // Version 3 was acknowledged first, so the late word about 2 takes nothing back.
    expect(of(read(35, 2))).toMatchObject([{ missed: third, ageMs: 25 }])
    expect(of(read(35, 3))).toEqual([])
    expect(of(read(50, 3))).toMatchObject([{ missed: fourth, ageMs: 10 }])
  })

  it('holds memory to a lag, if it is given one', () => {
    const reads = [read(14, 1, { from: 'memory' }), read(16, 1, { from: 'memory' })]
    expect(check({ reads, writes: [write(10, 2)] }, { memoryLagMs: 5 }).violations).toMatchObject([{ read: reads[1] }])
  })

  it('knows that a row that is gone is not an old one', () => {
    const writes = [write(5, 1), removal(10, 2), write(20, 3)]
    expect(broken({ reads: [read(15, 1)], writes }), 'the row, after its deletion').toEqual(['acknowledged'])
    expect(broken({ reads: [read(15, null)], writes })).toEqual([])
    expect(broken({ reads: [read(25, null)], writes }), 'absent, after it came back').toEqual(['acknowledged'])
    const deletedAgain = [...writes, removal(30, 4)]
    expect(broken({ reads: [read(28, null, { endedMs: 40 })], writes: deletedAgain })).toEqual([])
    expect(broken({ reads: [read(25, null, { endedMs: 26 })], writes: deletedAgain }), 'too early').toEqual([
      'acknowledged',
    ])
  })

  it('lets an absence pass where a write is not known', () => {
    const writes = [write(5, 1), write(10, null, { outcome: 'unknown' })]
    expect(broken({ reads: [read(15, null)], writes })).toEqual([])
    expect(broken({ reads: [read(15, null)], writes: writes.slice(0, 1) })).toEqual(['acknowledged'])
  })

  it('knows that a row may come back with the least stamp its deletion allows', () => {
    const writes = [write(5, 1), removal(10, 2), write(20, 2)]
    expect(broken({ reads: [read(15, null), read(25, 2)], writes })).toEqual([])
    expect(broken({ reads: [read(25, null)], writes })).toEqual(['acknowledged'])
  })

  it('agrees with comparing every read with every write', () => {
    const chance = seededChance(5)
    const number = (below: number) => Math.floor(chance.number() * below)
    const key = () => `products/${number(4)}`
    const writes = Array.from({ length: 400 }, () =>
      write(number(1_000), 1 + number(60), { key: key(), outcome: number(10) > 0 ? 'fenced' : 'pending' }),
    )
    // Each by a process of its own, so that there is nothing else to break.
    const reads = Array.from({ length: 2_000 }, (_, at) =>
      read(number(1_000), 1 + number(60), { key: key(), process: `p${at}` }),
    )
    const expected = reads.filter((one) =>
      writes.some(
        (other) =>
          other.outcome === 'fenced' &&
          other.key === one.key &&
          other.endedMs < one.startedMs &&
          Number(other.version) > Number(one.version),
      ),
    )
    expect(expected.length).toBeGreaterThan(100)
    expect(expected.length).toBeLessThan(reads.length)
    const { violations, counts } = check({ reads, writes }, { maxExamples: reads.length })
    expect(counts.acknowledged).toBe(expected.length)
    expect(new Set(violations.flatMap((each) => (each.check === 'acknowledged' ? [each.read] : [])))).toEqual(
      new Set(expected),
    )
  })
})

describe('monotonic', () => {
  it('is broken by a process that is shown less than before', () => {
    const [before, after] = [read(10, 2), read(20, 1)]
    expect(check({ reads: [after, before] }).violations).toEqual([{ check: 'monotonic', read: after, before }])
  })

  it.each<[string, ReadRecord[]]>([
    ['the reads overlap', [read(10, 2, { endedMs: 30 }), read(20, 1)]],
    ['they are of different processes', [read(10, 2), read(20, 1, { process: 'p2' })]],
    ['they are of different rows', [read(10, 2), read(20, 1, { key: 'products/7' })]],
    ['nothing has changed', [read(10, 2), read(20, 2)]],
  ])('is not broken when %s', (_, reads) => {
    expect(broken({ reads })).toEqual([])
  })

  it('holds answers from memory to it as well', () => {
    expect(broken({ reads: [read(10, 2), read(20, 1, { from: 'memory' })] })).toEqual(['monotonic'])
  })

  it('is broken by a row that was shown, then gone, then there as before', () => {
    const writes = [write(1, 1), removal(9, 2, { outcome: 'pending' })]
    expect(broken({ writes, reads: [read(10, null), read(20, 1)] })).toEqual(['monotonic'])
    expect(broken({ writes, reads: [read(5, 1), read(20, null)] })).toEqual([])
  })
})

describe('own-writes', () => {
  it('is broken by a process that is not shown what it wrote, even if that is pending', () => {
    const missed = write(10, 2, { process: 'p1', outcome: 'pending' })
    const late = read(20, 1)
    expect(check({ reads: [late], writes: [missed] }).violations).toEqual([{ check: 'own-writes', read: late, missed }])
    expect(broken({ reads: [read(20, 2)], writes: [missed] })).toEqual([])
    expect(broken({ reads: [read(20, 1, { process: 'p2' })], writes: [missed] })).toEqual([])
    expect(broken({ reads: [read(5, 1)], writes: [missed] })).toEqual([])
  })
})

describe('session', () => {
  it('is broken by a read that misses what the session wrote or saw, in whichever process', () => {
    const session = 'user 7'
    const written = write(10, 2, { process: 'p2', outcome: 'pending', session })
    expect(check({ reads: [read(20, 1, { session })], writes: [written] }).violations).toMatchObject([
      { check: 'session', missed: written },
    ])
    const seen = read(10, 2, { process: 'p2', session })
    expect(check({ reads: [seen, read(20, 1, { session })] }).violations).toMatchObject([
      { check: 'session', missed: seen },
    ])
    expect(broken({ reads: [seen, read(20, 1, { session: 'another' }), read(30, 1)] })).toEqual([])
    expect(broken({ reads: [seen, read(20, 2, { session })] })).toEqual([])
  })
})

describe('phantom', () => {
  it('is what was rolled back, and what nobody wrote if all writes were recorded', () => {
    const writes = [write(1, 1), write(5, 2, { outcome: 'rolled-back' })]
    expect(broken({ reads: [read(10, 2)], writes })).toEqual(['phantom'])
    expect(broken({ reads: [read(10, 7)], writes })).toEqual([])
    expect(broken({ reads: [read(10, 7)], writes }, { allWritesAreRecorded: true })).toEqual(['phantom'])
    expect(broken({ reads: [read(10, 1), read(11, null)], writes: [] }, { allWritesAreRecorded: true })).toEqual([
      'phantom',
    ])
    const perhaps = [...writes, write(6, null, { outcome: 'unknown' })]
    expect(broken({ reads: [read(10, 7)], writes: perhaps }, { allWritesAreRecorded: true })).toEqual([])
  })
})

describe('label', () => {
  it('is broken by a row that says another key or stamp of itself', () => {
    const reads = [
      read(1, 1, { says: { key: KEY, version: '1' } }),
      read(2, 1, { says: { key: KEY, version: '2' } }),
      read(3, 1, { says: { key: 'products/7', version: '1' } }),
    ]
    expect(check({ reads }).violations).toMatchObject([
      { check: 'label', read: reads[1] },
      { check: 'label', read: reads[2] },
    ])
  })
})

describe('staleness', () => {
  it('is how long what was shown had been overtaken, by whatever write', () => {
    const writes = [write(10, 2, { outcome: 'outside' }), write(20, 3, { outcome: 'pending' })]
    const { staleness, violations } = check({
      writes,
      reads: [read(5, 1), read(13, 1), read(30, 2, { process: 'p2' }), read(21, 3, { process: 'p3' })],
    })
    expect(violations).toEqual([])
    expect(staleness).toMatchObject({ p50Ms: 0, p99Ms: 10, maxMs: 10 })
    const filled = staleness.histogram.filter(({ reads }) => reads > 0)
    expect(filled).toEqual([
      { uptoMs: 0, reads: 2 },
      { uptoMs: 5, reads: 1 },
      { uptoMs: 10, reads: 1 },
    ])
  })

  it('is held against the bound of each read', () => {
    const writes = [write(10, 2, { outcome: 'outside' })]
    const reads = [read(13, 1, { maxStaleMs: 5 }), read(16, 1, { maxStaleMs: 5 }), read(99, 2, { maxStaleMs: 5 })]
    expect(check({ writes, reads }).violations).toEqual([{ check: 'bound', read: reads[1], staleMs: 6 }])
  })

  it('of an absence counts from the last there may have been, though its reader may have seen an earlier one', () => {
    const writes = [write(10, 2, { outcome: 'outside' }), removal(90, 3, { outcome: 'outside' }), write(100, 4)]
    // Overlaps the removal.
    const during = read(80, null, { endedMs: 95, maxStaleMs: 5 })
    expect(check({ writes, reads: [during] }).violations).toEqual([])
    expect(check({ writes, reads: [during] }).staleness.maxMs).toBe(0)
    const late = read(120, null, { maxStaleMs: 5 })
    expect(
      check({ writes: [...writes.slice(0, 2), write(100, 4, { outcome: 'outside' })], reads: [late] }).violations,
    ).toEqual([{ check: 'bound', read: late, staleMs: 20 }])
    // Nobody can say that what follows is older than it.
    expect(broken({ writes, reads: [during, read(96, 2)] })).toEqual([])
  })
})

describe('loads', () => {
  it('are broken by two of one row at once in one process', () => {
    const loads = [load('p1', 0, 10), load('p1', 9, 12), load('p2', 5, 15)]
    const report = check({ loads })
    expect(report.violations).toEqual([{ check: 'loads', load: loads[1], during: loads[0] }])
    expect(report.loads).toMatchObject({ loads: 3, mostAtOnce: 3 })
    expect(broken({ loads: [load('p1', 0, 10), load('p1', 10, 12), load('p2', 5, 15)] })).toEqual([])
  })

  it('are counted for each time an entry had to be made anew', () => {
    const loads = [load('p1', 0, 1), load('p1', 105, 106), load('p2', 106, 107), load('p1', 150, 151)]
    // Records of several processes come one process after the other.
    for (const inSomeOrder of [loads, loads.toReversed()]) {
      const { mostPerExpiry } = check({ loads: inSomeOrder, writes: [write(149, 2)] }, { freshMs: 100 }).loads
      expect(mostPerExpiry).toEqual({ key: KEY, loads: 4, expiries: 3 })
    }
    expect(check({}).loads.mostPerExpiry).toBeUndefined()
  })
})

describe('at rest', () => {
  it('a copy has to be what the row is, absent or not', () => {
    const history = new History()
    const rest = (version: string | null, stored: string | null) =>
      history.rest({ place: 'redis', key: KEY, version, stored })
    rest('1', '1')
    rest(null, null)
    rest('1', '2')
    // After a restore the older one is right.
    rest('2', '1')
    rest(null, '1')
    rest('1', null)
    const { counts, compared } = checkHistory(history)
    expect({ found: counts['at-rest'], compared }).toEqual({ found: 4, compared: 6 })
  })

  it.each([
    [undefined, {}],
    [{ reads: [], writes: [], loads: [] }, {}],
    [new History(), null],
    [new History(), { allWritesRecorded: true }],
    [new History(), { allWritesAreRecorded: 'yes' }],
    [new History(), { memoryLagMs: -1 }],
    [new History(), { freshMs: '5' }],
    [new History(), { maxExamples: Number.NaN }],
  ])('is refused for %o with the options %o', (history, options) => {
    expect(() => checkHistory(history as never, options as never)).toThrow(ConfigError)
  })
})

describe('an absence', () => {
  it('from before the first write that anybody noted may be read any number of times', () => {
    expect(broken({ reads: [read(1, null), read(5, null)] })).toEqual([])
    expect(broken({ reads: [read(1, null), read(5, null)], writes: [write(10, 1)] })).toEqual([])
    expect(broken({ reads: [read(1, null), read(15, null)], writes: [write(10, 1)] })).toEqual(['acknowledged'])
  })

  it('is as young as the last deletion that its reader may have been told of', () => {
    const writes = [write(10, 1), removal(100, 2)]
    const young = read(150, null, { maxStaleMs: 100 })
    expect(broken({ reads: [young], writes: writes.map((each) => ({ ...each, outcome: 'outside' })) })).toEqual([])
    const old = read(150, null, { maxStaleMs: 100 })
    const again = [...writes, write(120, 3), removal(300, 4)].map((each) => ({ ...each, outcome: 'outside' as const }))
    expect(broken({ reads: [{ ...old, startedMs: 240, endedMs: 241 }], writes: again })).toEqual(['bound'])
  })
})

describe('a report', () => {
  it('counts all violations, keeps some, and tells them in the order they began', () => {
    const reads = Array.from({ length: 20 }, (_, at) => read(100 - at, 1, { process: `p${at}` }))
    const { counts, violations } = check({ reads, writes: [write(10, 2)] }, { maxExamples: 3 })
    expect(counts.acknowledged).toBe(20)
    expect(violations).toHaveLength(3)
    const starts = violations.map((violation) => ('read' in violation ? violation.read.startedMs : 0))
    expect(starts).toEqual([...starts].sort((a, b) => a - b))
  })

  it('says each violation in a sentence', () => {
    const session = 'user 7'
    const history = new History()
    history.add({
      writes: [write(10, 2, { session }), write(3, 9, { outcome: 'rolled-back' })],
      reads: [
        read(5, 2, { process: 'p1' }),
        read(20, 1, { process: 'p1', maxStaleMs: 5, says: { key: KEY, version: '3' } }),
        read(30, 1, { process: 'w', session }),
        read(40, 9, { process: 'p3' }),
      ],
      loads: [load('p1', 0, 10), load('p1', 9, 12)],
      atRest: [{ place: 'redis copy', key: 'shop:{public.products/42:slot0.3}', version: '1', stored: null }],
    })
    const told = checkHistory(history).violations.map(describeViolation)
    expect(told).toEqual([
      'p1 began to load products/42 at 9 ms, while it was loading it already',
      'p1 was shown products/42 as version 1, which says of itself that it is products/42 in version 3',
      'p1 was shown products/42 as version 1, though version 2 had been acknowledged; it was 10 ms out of date',
      'p1 was shown products/42 as version 1, though it had been shown version 2 before',
      'p1 was shown products/42 as version 1, 10 ms after it had changed; at most 5 ms were allowed',
      'w was shown products/42 as version 1, though version 2 had been acknowledged; it was 20 ms out of date',
      'w was shown products/42 as version 1, though it had written version 2 itself',
      'w was shown products/42 as version 1, though session user 7 knew of version 2',
      'p3 was shown products/42 as version 9, which was never committed',
      'redis copy holds shop:{public.products/42:slot0.3} as version 1, the database as absent',
    ])
  })

  it('is made of long runs too', () => {
    const chance = seededChance(1)
    const number = (below: number) => Math.floor(chance.number() * below)
    const writes = Array.from({ length: 10_000 }, (_, at) => write(at, 1 + at, { key: `products/${number(100)}` }))
    const reads = Array.from({ length: 100_000 }, () =>
      read(number(10_000), 1 + number(10_000), { key: `products/${number(100)}`, process: `p${number(8)}` }),
    )
    expect(check({ reads, writes })).toMatchObject({ reads: 100_000, writes: 10_000 })
  }, 30_000)
})
