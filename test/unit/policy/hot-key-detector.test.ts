import { describe, expect, it } from 'vitest'
import { seededChance } from '../../../bench/simulator/seeded-chance.js'
import { DEFAULTS } from '../../../src/config.js'
import type { CacheKey } from '../../../src/core/key.js'
import { HotKeyDetector } from '../../../src/policy/hot-key-detector.js'

const RULES = DEFAULTS.hotKeys
const key = (name: string | number) => `shop:{public.products/${name}}` as CacheKey

/** Ranks by Zipf's law with exponent `skew` over `size` keys, by inversion of the cumulative weights. */
function zipf(size: number, skew: number, seed: number): () => number {
  const chance = seededChance(seed)
  const cumulative: number[] = []
  let sum = 0
  for (let rank = 1; rank <= size; rank++) {
    sum += rank ** -skew
    cumulative.push(sum)
  }
  return () => {
    const drawn = chance.number() * sum
    let low = 0
    let high = size - 1
    while (low < high) {
      const middle = (low + high) >> 1
      if (cumulative[middle]! < drawn) low = middle + 1
      else high = middle
    }
    return low
  }
}

/** Feeds seconds of reads, `next(second, i)` each, evenly over the second; returns exact counts, halved as the detector's. */
function feed(
  detector: HotKeyDetector,
  seconds: number,
  perSecond: number,
  next: (second: number, i: number) => CacheKey,
) {
  const exact = new Map<CacheKey, number>()
  for (let second = 0; second < seconds; second++) {
    for (let i = 0; i < perSecond; i++) {
      const read = next(second, i)
      detector.record(read, 1_000 * second + (1_000 * i) / perSecond)
      exact.set(read, (exact.get(read) ?? 0) + 1)
    }
    for (const [counted, count] of exact) exact.set(counted, count / 2)
  }
  return exact
}

describe('HotKeyDetector: counts', () => {
  it.each([
    ['a Zipf stream', 0.99, 1],
    ['a flat one', 0.2, 1],
    ['a Zipf stream over several halvings', 0.99, 4],
    ['a flat one over several halvings', 0.2, 4],
  ])('is never too low and at most all reads / counters too high on %s', (_, skew, seconds) => {
    const counters = 100
    const draw = zipf(5_000, skew, 3)
    const detector = new HotKeyDetector({ ...RULES, counters })
    const exact = feed(detector, seconds, 20_000, () => key(draw()))
    const reads = [...exact.values()].reduce((sum, count) => sum + count, 0)

    const report = detector.report(1_000 * seconds, counters)
    expect(report).toHaveLength(counters)
    for (const counted of report) {
      const truth = exact.get(counted.key) ?? 0
      expect(counted.perSecond).toBeGreaterThanOrEqual(truth)
      expect(counted.perSecond - counted.errorPerSecond).toBeLessThanOrEqual(truth)
      expect(counted.errorPerSecond).toBeLessThanOrEqual(reads / counters)
    }
    const reported = new Set(report.map((counted) => counted.key))
    for (const [read, count] of exact) if (count > reads / counters) expect(reported).toContain(read)
  })

  it('ranks the head of a Zipf stream as it is', () => {
    const draw = zipf(10_000, 0.99, 4)
    const detector = new HotKeyDetector({ ...RULES, counters: 256 })
    feed(detector, 3, 30_000, () => key(draw()))
    expect(detector.report(3_000, 5).map((counted) => counted.key)).toEqual([0, 1, 2, 3, 4].map(key))
  })

  it('keeps a busy key through a flood of keys read once', () => {
    const detector = new HotKeyDetector({ ...RULES, counters: 16 })
    const exact = feed(detector, 3, 10_000, (second, i) => (i % 8 === 0 ? key('busy') : key(`${second}-${i}`)))
    const [first] = detector.report(3_000, 1)
    expect(first!.key).toBe(key('busy'))
    expect(first!.perSecond - exact.get(key('busy'))!).toBeLessThanOrEqual(10_000 / 16)
  })

  it('estimates the rate of a steady key', () => {
    const detector = new HotKeyDetector(RULES)
    feed(detector, 10, 2_000, (_, i) => key(i % 4 === 0 ? 'quarter' : i % 700))
    const quarter = detector.report(10_000).find((counted) => counted.key === key('quarter'))
    expect(quarter!.perSecond).toBeGreaterThan(495)
    expect(quarter!.perSecond).toBeLessThan(505)
    expect(quarter!.share).toBeCloseTo(0.25, 2)
  })

  it('reports whole seconds only', () => {
    const detector = new HotKeyDetector(RULES)
    for (let i = 0; i < 1_000; i++) detector.record(key(1), 0)
    expect(detector.report(999)).toEqual([])
    expect(detector.report(1_000)[0]).toMatchObject({ key: key(1), perSecond: 500, errorPerSecond: 0, share: 1 })
  })

  it('does not lend the rate of the last second to a key that took over a counter since', () => {
    const detector = new HotKeyDetector({ ...RULES, counters: 2 })
    for (const name of ['a', 'b', 'b']) detector.record(key(name), 0)
    detector.record(key('c'), 1_000)
    expect(detector.report(1_001).map((counted) => counted.key)).toEqual([key('b')])
  })

  it('begins anew after a minute without a read', () => {
    const draw = zipf(2_000, 0.5, 6)
    const detector = new HotKeyDetector({ ...RULES, counters: 20 })
    feed(detector, 1, 20_000, () => key(draw()))
    const startMs = 200_000
    for (let i = 0; i < 500; i++) detector.record(key(`new-${i % 5}`), startMs)
    for (const counted of detector.report(startMs + 1_000)) {
      expect(counted).toMatchObject({ perSecond: 50, errorPerSecond: 0, share: 0.2 })
    }
    const exact = new Map<CacheKey, number>()
    for (let i = 0; i < 4_000; i++) {
      const read = key(`later-${draw()}`)
      detector.record(read, startMs + 100_000)
      exact.set(read, (exact.get(read) ?? 0) + 0.5)
    }
    for (const counted of detector.report(startMs + 101_000)) {
      expect(counted.perSecond).toBeGreaterThanOrEqual(exact.get(counted.key)!)
      expect(counted.errorPerSecond).toBeLessThanOrEqual(2_000 / 20)
    }
  })

  it('counts no more keys than it has counters', () => {
    const detector = new HotKeyDetector({ ...RULES, counters: 8 })
    feed(detector, 2, 1_000, (second, i) => key(`${second}-${i}`))
    expect(detector.report(2_000, 1_000).length).toBeLessThanOrEqual(8)
  })
})

describe('HotKeyDetector: hot', () => {
  /** One second with `hot` reads of one key among `others` reads of as many other keys. */
  function second(detector: HotKeyDetector, at: number, hot: number, others: number, name = 'celebrity') {
    const total = hot + others
    for (let i = 0; i < total; i++) {
      const isHot = Math.floor(((i + 1) * hot) / total) > Math.floor((i * hot) / total)
      detector.record(isHot ? key(name) : key(`other-${i}`), 1_000 * at + (1_000 * i) / total)
    }
  }
  const isHotAfter = (detector: HotKeyDetector, seconds: number) => {
    detector.report(1_000 * seconds)
    return detector.isHot(key('celebrity'))
  }

  it('needs both: more than 5 % of the reads and more than 500 of them a second', () => {
    for (const [hot, others, expected] of [
      [700, 5_000, true],
      [400, 0, false],
      [700, 20_000, false],
    ] as const) {
      const detector = new HotKeyDetector(RULES)
      for (let at = 0; at < 5; at++) second(detector, at, hot, others)
      expect(isHotAfter(detector, 5), `${hot} of ${hot + others}`).toBe(expected)
    }
  })

  it('notices a key that turns hot within two seconds, and says since when', () => {
    const detector = new HotKeyDetector(RULES)
    for (let at = 0; at < 10; at++) second(detector, at, 10, 3_000)
    expect(isHotAfter(detector, 10)).toBe(false)
    second(detector, 10, 900, 3_000)
    second(detector, 11, 900, 3_000)
    expect(isHotAfter(detector, 12)).toBe(true)
    for (let at = 12; at < 15; at++) second(detector, at, 900, 3_000)
    expect(detector.report(15_000)[0]).toMatchObject({ key: key('celebrity'), hotSinceMs: 12_000 })
  })

  it('reports what is hot beyond the number of keys asked for', () => {
    const detector = new HotKeyDetector(RULES)
    feed(detector, 4, 8_000, (_, i) => (i % 2 ? key('hottest') : key(i % 4 ? 'hot' : i)))
    expect(detector.report(4_000, 1).map((counted) => counted.key)).toEqual(['hottest', 'hot'].map(key))
    expect(detector.report(4_000, 3)).toHaveLength(3)
  })

  it('stays hot while it swings between half of the threshold and the threshold', () => {
    const detector = new HotKeyDetector(RULES)
    for (let at = 0; at < 3; at++) second(detector, at, 1_000, 1_000)
    expect(isHotAfter(detector, 3)).toBe(true)
    for (let at = 3; at < 63; at++) second(detector, at, 300, 1_000)
    expect(isHotAfter(detector, 63)).toBe(true)
  })

  it('cools down after 30 s below half of the threshold, not before', () => {
    const detector = new HotKeyDetector({ ...RULES, counters: 64 })
    for (let at = 0; at < 5; at++) second(detector, at, 1_000, 1_000)
    let at = 5
    while (isHotAfter(detector, at) && at < 60) second(detector, at++, 100, 1_000)
    // The moving average needs three seconds to fall from 1,000 below 250.
    expect(at).toBe(5 + 3 + 30)
  })

  it('begins the 30 s anew when the key comes back in between', () => {
    const detector = new HotKeyDetector(RULES)
    for (let at = 0; at < 5; at++) second(detector, at, 1_000, 1_000)
    for (let at = 5; at < 30; at++) second(detector, at, 0, 1_000)
    second(detector, 30, 1_000, 1_000)
    for (let at = 31; at < 56; at++) second(detector, at, 0, 1_000)
    expect(isHotAfter(detector, 56)).toBe(true)
    for (let at = 56; at < 70; at++) second(detector, at, 0, 1_000)
    expect(isHotAfter(detector, 70)).toBe(false)
  })

  it('cools while nothing is read at all', () => {
    const detector = new HotKeyDetector(RULES)
    for (let at = 0; at < 3; at++) second(detector, at, 1_000, 0)
    expect(isHotAfter(detector, 20)).toBe(true)
    expect(isHotAfter(detector, 40)).toBe(false)
    for (let at = 50; at < 53; at++) second(detector, at, 1_000, 0)
    expect(isHotAfter(detector, 53)).toBe(true)
    expect(isHotAfter(detector, 1_000)).toBe(false)
    expect(detector.report(1_000_000)).toEqual([])
  })

  it('never takes a key for hot that took over a large count', () => {
    // Two counters, three keys in turn: each read takes over a counter with half of all reads.
    const detector = new HotKeyDetector({ ...RULES, counters: 2, perSecond: 10 })
    feed(detector, 5, 3_000, (_, i) => key(i))
    const [first] = detector.report(5_000)
    expect(first!.perSecond, 'the estimate alone would be hot').toBeGreaterThan(1_000)
    for (const counted of detector.report(5_000)) expect(counted.hotSinceMs).toBe(undefined)
  })

  it('holds few hot keys even when each second brings new ones', () => {
    const detector = new HotKeyDetector({ ...RULES, counters: 64, perSecond: 10 })
    const hot = new Set<CacheKey>()
    feed(detector, 80, 2_000, (at, i) => {
      const read = key(`${at}-${i % 8}`)
      hot.add(read)
      return read
    })
    detector.report(80_000)
    const stillHot = [...hot].filter((read) => detector.isHot(read)).length
    // 8 a second, for the 30 s they cool and the few seconds they take to fall.
    expect(stillHot).toBeLessThanOrEqual(8 * 35)
    expect(stillHot).toBeGreaterThanOrEqual(8 * 30)
  })
})
