import { Buffer } from 'node:buffer'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { freezeRow } from '../../../src/adapters/codec/read-only.js'
import { KeyColumn, type KeyType } from '../../../src/adapters/postgres/key-column.js'
import { type CacheKey, cacheKey, keyPrefix } from '../../../src/core/key.js'
import type { CanonicalId } from '../../../src/core/ports.js'
import type { Version } from '../../../src/core/version.js'
import { NOT_HELD } from '../../../src/engine/l1.js'
import { RowTier } from '../../../src/table/row-tier.js'
import { collectGarbage } from '../../support/collect-garbage.js'
import { ManualClock } from '../../support/manual-clock.js'

const PREFIX = keyPrefix('shop', 'row', 'public.products')

/** A second or two on an idle machine. */
const SLOW_MS = 30_000

interface Row {
  readonly version: Version
}

function open(...types: KeyType['name'][]): RowTier {
  const clock = new ManualClock()
  const l1 = {
    maxEntries: 1_000,
    maxBytes: 1_000_000,
    maxAgeMs: 10_000,
    versionOf: (row: object) => (row as Row).version,
    earlinessMs: () => 0,
    onLate: () => {},
  }
  const key = types.map(
    (name, at) => new KeyColumn({ column: `k${at}`, property: `k${at}`, type: { name } as KeyType }),
  )
  return new RowTier({ l1, prefix: PREFIX, key, clock, isLive: () => true })
}

function hold(tier: RowTier, id: CanonicalId, value: object | undefined = { version: '5' }): void {
  tier.remember(id, { value, remainingMs: 5_000, freshMs: 5_000, sizeBytes: 10 }, tier.generation(id))
}

function isHeld(tier: RowTier, id: CanonicalId): boolean {
  return tier.look(tier.slotOf(id)).held
}

/** A text as Postgres can hold it: no NUL, no half of a surrogate pair. */
const text = fc
  .oneof(
    fc.string({ unit: 'binary' }),
    fc.string({ unit: 'grapheme' }),
    fc.constantFrom('', '%', ',', '%2C', '~', '{}', '#', '/', '42', '%u', '__proto__'),
  )
  .map((value) => value.replaceAll('\0', ''))
const longest = 200
const isShort = (part: string) => cacheKey('', [part]).length <= longest

const KINDS: [string, KeyType['name'][], fc.Arbitrary<CanonicalId>][] = [
  ['integers', ['integer'], fc.integer().map((id) => [String(id)])],
  [
    'bigints beyond what a number holds',
    ['bigint'],
    fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map((id) => [String(id)]),
  ],
  ['uuids', ['uuid'], fc.uuid().map((id) => [id])],
  ['booleans', ['boolean'], fc.boolean().map((id) => [String(id)])],
  ['texts', ['text'], text.filter(isShort).map((id) => [id])],
  ['texts and integers', ['text', 'integer'], fc.tuple(text.filter(isShort), fc.integer().map(String))],
  ['three parts', ['text', 'uuid', 'text'], fc.tuple(text.filter(isShort), fc.uuid(), text.filter(isShort))],
]

describe.each(KINDS)('RowTier with ids that are %s', (_, types, ids) => {
  it('finds a row by its id, and its id by its slot', { timeout: SLOW_MS }, () => {
    fc.assert(
      fc.property(ids, (id) => {
        const tier = open(...types)
        hold(tier, id)
        expect(isHeld(tier, id)).toBe(true)
        expect(tier.idOf(tier.slotOf(id))).toEqual(id)
      }),
      { numRuns: 300 },
    )
  })

  it('drops, by the key of a change, the row of that id and of no other', { timeout: SLOW_MS }, () => {
    fc.assert(
      fc.property(fc.uniqueArray(ids, { minLength: 2, maxLength: 8, selector: (id) => id.join('\0') }), (all) => {
        const tier = open(...types)
        for (const id of all) hold(tier, id)
        const [changed, ...others] = all as [CanonicalId, ...CanonicalId[]]
        tier.forget(cacheKey(PREFIX, changed), { version: '6' as Version })
        expect(isHeld(tier, changed)).toBe(false)
        for (const other of others) expect(isHeld(tier, other), other.join()).toBe(true)
      }),
      { numRuns: 300 },
    )
  })
})

describe('RowTier', () => {
  it('keeps slots of small integers as numbers and of others as texts', () => {
    const tier = open('bigint')
    expect(tier.slotOf(['42'])).toBe(42)
    expect(tier.slotOf(['-42'])).toBe(-42)
    expect(tier.slotOf(['9007199254740991'])).toBe(9_007_199_254_740_991)
    expect(tier.slotOf(['9007199254740993'])).toBe('9007199254740993')
    expect(open('text').slotOf(['42'])).toBe('42')
    expect(open('integer', 'integer').slotOf(['4', '2'])).toBe('4\u00002')
  })

  it.each([
    ['a long text', 'x'.repeat(201)],
    ['a text that is long in its key', '茶'.repeat(30)],
    ['a very long text', 'x'.repeat(50_000)],
  ])('does not hold a row whose id cannot be read back from its key, and its changes cost nobody else: %s', (_, id) => {
    const tier = open('text')
    hold(tier, ['tea'])
    hold(tier, [id])
    expect(isHeld(tier, [id])).toBe(false)
    tier.forget(cacheKey(PREFIX, [id]), { version: '6' as Version })
    expect(isHeld(tier, ['tea'])).toBe(true)
  })

  it('nor one with a long part among others', () => {
    const tier = open('text', 'text')
    hold(tier, ['tea', 'x'.repeat(201)])
    hold(tier, ['tea', 'x'])
    expect(isHeld(tier, ['tea', 'x'.repeat(201)])).toBe(false)
    expect(isHeld(tier, ['tea', 'x'])).toBe(true)
  })

  it.each([
    ['%', 'shop:{public.products/%}'],
    ['half a byte', 'shop:{public.products/%C3}'],
    ['half a surrogate pair', 'shop:{public.products/%uD800}'],
    ['nothing', 'shop:{public.products/}'],
    ['no end', 'shop:{public.products/'],
    ['a foreign id', 'shop:{public.products/no-number}'],
  ])('a key that stands for no id of ours makes nothing stale and breaks nothing: %s', (_, key) => {
    const tier = open('integer')
    hold(tier, ['42'])
    tier.forget(key as CacheKey, { version: null })
    hold(tier, ['43'])
    expect(isHeld(tier, ['43'])).toBe(true)
  })

  it('does not share rows with bytes, of which each reader needs its own', () => {
    const tier = open('integer')
    hold(tier, ['1'], freezeRow({ version: '5', bytes: Buffer.from('x') }))
    hold(tier, ['2'], freezeRow({ version: '5', text: 'x' }))
    expect([isHeld(tier, ['1']), isHeld(tier, ['2'])]).toEqual([false, true])
  })
})

describe('RowTier with ids as callers spell them', () => {
  it('finds a key of one column by its text or its number', async () => {
    const tier = open('integer')
    hold(tier, ['42'])
    expect(await tier.recallGiven(42)).toEqual({ version: '5' })
    expect(tier.recallGivenValue(42)).toEqual({ version: '5' })
    expect([tier.recallGiven(42n), tier.recallGiven({ k0: 42 }), tier.recallGiven(undefined)]).toEqual(
      Array(3).fill(undefined),
    )
  })

  it('finds none of several columns by a text, which is no such id', () => {
    const tier = open('text', 'text')
    hold(tier, ['a', 'b'])
    const slot = tier.slotOf(['a', 'b'])
    expect(tier.recallValue(slot)).toEqual({ version: '5' })
    expect(tier.recallGiven(slot)).toBeUndefined()
    expect(tier.recallGivenValue(slot)).toBe(NOT_HELD)
  })
})

it.each([
  ['rows', (id: string) => ({ version: '5', k0: [...id].join('') })],
  ['absences', () => undefined],
  ['rows that spell their id otherwise', () => ({ version: '5', k0: 'another' })],
])('keeps nothing of what the ids of its %s were read from', async (_, valueFor) => {
  const tier = open('text')
  const ids = Array.from({ length: 100 }, (_, at) => `an id that a router read from the body of a request: ${at}`)
  await collectGarbage()
  const before = process.memoryUsage().heapUsed
  for (const id of ids) {
    const body = Buffer.alloc(100_000, id).toString('latin1')
    const read = body.slice(0, id.length)
    hold(tier, [read], valueFor(read))
  }
  await collectGarbage()
  expect(ids.every((id) => isHeld(tier, [id]))).toBe(true)
  expect((process.memoryUsage().heapUsed - before) / ids.length).toBeLessThan(20_000)
})
