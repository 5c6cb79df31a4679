import { beforeEach, describe, expect, it } from 'vitest'
import type { Version } from '../../../src/core/version.js'
import { L1, type L1Options, type L1Slot } from '../../../src/engine/l1.js'
import { ManualClock } from '../../support/manual-clock.js'

interface Row {
  readonly name: string
  readonly version: Version | undefined
}

let clock = new ManualClock()
let late: { slot: L1Slot; remainingMs: number }[] = []

beforeEach(() => {
  clock = new ManualClock()
  late = []
})

function open(options: Partial<L1Options<Row>> = {}): L1<Row> {
  return new L1<Row>({
    clock,
    maxEntries: 100,
    maxBytes: 100_000,
    maxAgeMs: 10_000,
    versionOf: ({ version }) => version,
    earlinessMs: () => 0,
    onLate: (slot, remainingMs) => void late.push({ slot, remainingMs }),
    ...options,
  })
}

function row(name: string, version?: number): Row {
  return { name, version: version === undefined ? undefined : (String(version) as Version) }
}

function put(
  l1: L1<Row>,
  slot: L1Slot,
  value: Row | undefined,
  more: { remainingMs?: number; freshMs?: number; sizeBytes?: number } = {},
) {
  l1.remember(slot, { value, remainingMs: 5_000, freshMs: 5_000, sizeBytes: 10, ...more }, l1.generation(slot))
}

/** What a hit answers; `nothing` for a miss. */
async function recalled(l1: L1<Row>, slot: L1Slot): Promise<Row | undefined | 'nothing'> {
  const answer = l1.recall(slot, clock.monotonicMs())
  return answer === undefined ? 'nothing' : answer
}

describe('L1', () => {
  it('answers with the very object it was given, through one promise for all hits but the first', async () => {
    const l1 = open()
    const tea = row('tea')
    put(l1, 42, tea)
    const first = l1.recall(42, 0)
    expect(await first).toBe(tea)
    const second = l1.recall(42, 1)
    expect(await second).toBe(tea)
    expect(second, 'a row that is read once keeps no promise').not.toBe(first)
    expect(l1.recall(42, 2), 'a hit makes nothing').toBe(second)
    expect(l1.recall(42, 4_999)).toBe(second)
    expect(l1.peek(42, 0)).toEqual({ held: true, value: tea })
    expect(await recalled(l1, 43)).toBe('nothing')
  })

  it('holds an absence, which is an answer', async () => {
    const l1 = open()
    put(l1, 'x', undefined, { sizeBytes: 0 })
    expect(await recalled(l1, 'x')).toBeUndefined()
    expect(l1.peek('x', 0)).toEqual({ held: true, value: undefined })
    expect(l1.bytes).toBe(1)
  })

  it('tells a number from its text', async () => {
    const l1 = open()
    put(l1, 42, row('number'))
    put(l1, '42', row('text'))
    expect(await recalled(l1, 42)).toEqual(row('number'))
    expect(await recalled(l1, '42')).toEqual(row('text'))
  })

  describe('expiry', () => {
    it('is when the entry in the cache stops being fresh', async () => {
      const l1 = open()
      put(l1, 1, row('tea'), { remainingMs: 1_000, freshMs: 300_000 })
      await clock.advance(999)
      expect(await recalled(l1, 1)).toEqual(row('tea'))
      await clock.advance(1)
      expect(l1.peek(1, clock.monotonicMs()).held).toBe(false)
      expect(await recalled(l1, 1)).toBe('nothing')
      expect(l1.entries, 'and is let go').toBe(0)
    })

    it('is not put off by hits, nor by being told the same again', async () => {
      const l1 = open()
      put(l1, 1, row('tea'), { remainingMs: 1_000 })
      for (let at = 0; at < 9; at++) {
        await clock.advance(100)
        expect(await recalled(l1, 1)).toEqual(row('tea'))
        put(l1, 1, row('tea'), { remainingMs: 1_000 - clock.monotonicMs() })
      }
      await clock.advance(100)
      expect(await recalled(l1, 1)).toBe('nothing')
    })

    it('comes after maxAgeMs at the latest, without an early refresh then', async () => {
      const l1 = open({ earlinessMs: () => 4_000 })
      put(l1, 1, row('tea'), { remainingMs: 300_000, freshMs: 300_000 })
      await clock.advance(9_999)
      expect(await recalled(l1, 1)).toEqual(row('tea'))
      expect(late).toEqual([])
      await clock.advance(1)
      expect(await recalled(l1, 1)).toBe('nothing')
    })

    it.each([0, -1, -10_000])('%i ms of life are not held', async (remainingMs) => {
      const l1 = open()
      put(l1, 1, row('tea'), { remainingMs })
      expect(l1.entries).toBe(0)
    })
  })

  describe('early refresh', () => {
    it('is offered to each look from the head start on, with what is left of the life', async () => {
      const l1 = open({ earlinessMs: (freshMs) => freshMs / 4 })
      put(l1, 'x', row('tea'), { remainingMs: 2_000, freshMs: 4_000 })
      await recalled(l1, 'x')
      await clock.advance(999)
      await recalled(l1, 'x')
      expect(late).toEqual([])
      await clock.advance(1)
      await recalled(l1, 'x')
      await clock.advance(500)
      await recalled(l1, 'x')
      await recalled(l1, 'x')
      expect(late).toEqual([
        { slot: 'x', remainingMs: 1_000 },
        { slot: 'x', remainingMs: 500 },
        { slot: 'x', remainingMs: 500 },
      ])
    })

    it('is not offered by a peek', async () => {
      const l1 = open({ earlinessMs: () => 5_000 })
      put(l1, 1, row('tea'))
      l1.peek(1, 0)
      expect(late).toEqual([])
    })
  })

  describe('bounds', () => {
    it('holds so many entries, and lets the one go that was used longest ago', async () => {
      const l1 = open({ maxEntries: 3 })
      for (const slot of [1, 2, 3]) {
        put(l1, slot, row(String(slot)))
        await clock.advance(200)
      }
      await recalled(l1, 1)
      put(l1, 4, row('4'))
      expect(l1.entries).toBe(3)
      expect(await recalled(l1, 2)).toBe('nothing')
      for (const slot of [1, 3, 4]) expect(await recalled(l1, slot), String(slot)).not.toBe('nothing')
    })

    it('holds so many bytes', async () => {
      const l1 = open({ maxBytes: 1_000 })
      for (let slot = 0; slot < 50; slot++) {
        put(l1, slot, row(String(slot)), { sizeBytes: 100 })
        expect(l1.bytes).toBeLessThanOrEqual(1_000)
      }
      expect(l1.entries).toBe(10)
      expect(await recalled(l1, 49)).toEqual(row('49'))
    })

    it('does not hold what alone is too large, and does not go on holding what it would have replaced', async () => {
      const l1 = open({ maxBytes: 1_000 })
      put(l1, 1, row('small'), { sizeBytes: 100 })
      put(l1, 2, row('other'), { sizeBytes: 100 })
      put(l1, 1, row('large'), { sizeBytes: 1_001 })
      expect(await recalled(l1, 1)).toBe('nothing')
      expect(await recalled(l1, 2)).toEqual(row('other'))
      expect(l1.bytes).toBe(100)
    })

    it('counts a replaced entry once', () => {
      const l1 = open()
      put(l1, 1, row('a'), { sizeBytes: 100 })
      put(l1, 1, row('b'), { sizeBytes: 40 })
      expect([l1.entries, l1.bytes]).toEqual([1, 40])
    })
  })

  it('outlives the reach of its times, and lets everything go once for that', async () => {
    const letGo: L1Slot[] = []
    const l1 = open({ onLetGo: (slot) => void letGo.push(slot) })
    put(l1, 1, row('first', 1))
    for (const days of [24.84, 24.9, 50, 100, 400]) {
      await clock.advance(days * 86_400_000 - clock.monotonicMs())
      expect(await recalled(l1, 1), `${days} days`).toBe('nothing')
      put(l1, 2, row('tea', 2))
      put(l1, 3, row('other', 3), { remainingMs: 1_000 })
      expect(l1.freshForMs(2, clock.monotonicMs())).toBe(5_000)
      expect(l1.entries).toBe(2)
      await clock.advance(1_000)
      expect(await recalled(l1, 2)).toEqual(row('tea', 2))
      expect(await recalled(l1, 3)).toBe('nothing')
      await clock.advance(4_000)
      put(l1, 1, row('once more', 1), { remainingMs: 1 })
    }
    expect(l1.bytes).toBe(20)
    expect(letGo.length).toBeGreaterThan(5)
  })

  it('knows since when nothing is missing, also from before it was there; not known is never enough', () => {
    const l1 = open()
    const proven = (slot: L1Slot, provenAtMs: number | undefined) =>
      l1.remember(
        slot,
        { value: row('tea'), remainingMs: 5_000, freshMs: 5_000, sizeBytes: 10, provenAtMs },
        l1.generation(slot),
      )
    proven(1, -60_000.5)
    proven(2, undefined)
    expect(l1.recallProven(1, 0, -60_001)).toEqual({ value: row('tea') })
    expect(l1.recallProven(1, 0, -60_000)).toBeUndefined()
    expect(l1.recallProven(1, 5_000, -60_001)).toBeUndefined()
    expect(l1.recallProven(2, 0, -(2 ** 40))).toBeUndefined()
  })

  it('tells of every row it lets go', async () => {
    const letGo: string[] = []
    const l1 = open({ maxEntries: 2, onLetGo: (slot, version) => void letGo.push(`${slot}@${version}`) })
    put(l1, 1, row('replaced', 1))
    put(l1, 1, row('crowded out', 2))
    put(l1, 2, row('expired', 3), { remainingMs: 10 })
    put(l1, 3, row('flushed', 4))
    await clock.advance(10)
    await recalled(l1, 2)
    put(l1, 4, row('invalidated', 5))
    l1.forget(4, null)
    l1.clear()
    expect(letGo).toEqual(['1@1', '1@2', '2@3', '4@5', '3@4'])
  })

  describe('invalidation', () => {
    it.each([
      ['an older row goes', 5, 6, 'nothing'],
      ['an equal one stays', 6, 6, row('tea', 6)],
      ['a newer one stays', 7, 6, row('tea', 7)],
      ['digits are compared as numbers', 10, 9, row('tea', 10)],
      ['an unknown version drops all', 7, null, 'nothing'],
      ['a row without a stamp goes', undefined, 6, 'nothing'],
    ])('%s', async (_, held, told, left) => {
      const l1 = open()
      put(l1, 1, row('tea', held))
      l1.forget(1, told === null ? null : (String(told) as Version))
      expect(await recalled(l1, 1)).toEqual(left)
    })

    it('an absence always goes', async () => {
      const l1 = open()
      put(l1, 1, undefined)
      l1.forget(1, '1' as Version)
      expect(await recalled(l1, 1)).toBe('nothing')
    })

    it.each([
      ['by an invalidation of the id', (l1: L1<Row>) => l1.forget(1, '1' as Version)],
      ['by a flush', (l1: L1<Row>) => l1.clear()],
    ])('an answer that was asked for before is not kept: %s', async (_, invalidate) => {
      const l1 = open()
      const generation = l1.generation(1)
      invalidate(l1)
      l1.remember(1, { value: row('old', 1), remainingMs: 5_000, freshMs: 5_000, sizeBytes: 10 }, generation)
      expect(await recalled(l1, 1)).toBe('nothing')
      put(l1, 1, row('asked for afterwards', 1))
      expect(await recalled(l1, 1)).toEqual(row('asked for afterwards', 1))
    })

    it.each<[string, L1Slot, L1Slot]>([
      ['numbers', 1, 2],
      ['texts', 'tea', 'coffee'],
      ['large and negative numbers', -1, 2 ** 40],
    ])('an invalidation of another id does not keep it from being held: %s', async (_, slot, other) => {
      const l1 = open()
      const generation = l1.generation(slot)
      l1.forget(other, null)
      l1.remember(slot, { value: row('tea'), remainingMs: 5_000, freshMs: 5_000, sizeBytes: 10 }, generation)
      expect(await recalled(l1, slot)).toEqual(row('tea'))
    })

    it('a generation never comes back, also after very many invalidations', () => {
      const l1 = open()
      const seen = new Set<number>()
      for (let at = 0; at < 1_000; at++) {
        seen.add(l1.generation('x'))
        if (at % 10 === 0) l1.clear()
        else l1.forget('x', null)
      }
      expect(seen.size).toBe(1_000)
    })

    it('a flush leaves nothing', () => {
      const l1 = open()
      for (let slot = 0; slot < 50; slot++) put(l1, slot, row('tea'))
      l1.clear()
      expect([l1.entries, l1.bytes]).toEqual([0, 0])
    })
  })

  describe('a read elsewhere has shown more', () => {
    it.each([
      ['than an older row, which goes', row('tea', 5), '6', 'nothing'],
      ['than a row without a stamp, which goes', row('tea'), '6', 'nothing'],
      ['than an absence, which goes', undefined, '6', 'nothing'],
      ['or less than a newer row, which stays', row('tea', 7), '6', row('tea', 7)],
      ['that the row is gone', row('tea', 7), null, 'nothing'],
    ])('%s', async (_, held, shown, left) => {
      const l1 = open()
      put(l1, 1, held)
      l1.outdate(1, shown as Version | null)
      expect(await recalled(l1, 1)).toEqual(left)
    })

    it('and what it has shown may be held', async () => {
      const l1 = open()
      put(l1, 1, row('old', 5))
      const generation = l1.generation(1)
      l1.outdate(1, '6' as Version)
      l1.remember(1, { value: row('new', 6), remainingMs: 5_000, freshMs: 5_000, sizeBytes: 10 }, generation)
      expect(await recalled(l1, 1)).toEqual(row('new', 6))
    })
  })
})
