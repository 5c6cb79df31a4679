import keySlot from 'cluster-key-slot'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { cacheKey, guardKey, isMark, type KeyKind, keyPrefix } from '../../../src/core/key.js'

/** Ids that people have, and ids that only an attacker or a bug has. */
const NASTY = [
  '',
  ' ',
  'a:b',
  '{x}',
  '}',
  '{',
  '}{',
  '}#',
  '#',
  '42#',
  '\0',
  '__proto__',
  'constructor',
  'a,b',
  ',',
  '%2C',
  '%',
  '%25',
  '%u0',
  '~',
  '~abc.3',
  '🫖',
  '🫖🫖',
  'é',
  'e\u0301',
  '\ud83e',
  '\uded6',
  '\ud800',
  '\ud801',
  '\ufffd',
  'A',
  'a',
  '../../x',
  'a\nb',
  'x'.repeat(200),
  'x'.repeat(201),
  'x'.repeat(10_240),
  `${'x'.repeat(10_239)}y`,
  `${'x'.repeat(300)}\ud800`,
  `${'x'.repeat(300)}\ud801`,
  `${'x'.repeat(300)}\ufffd`,
  '%'.repeat(70),
  `${'%25'.repeat(70)}`,
]

const nasty = fc.constantFrom(...NASTY)
const text = fc.oneof(
  nasty,
  fc.string({ unit: 'binary', maxLength: 12 }),
  fc.array(fc.integer({ min: 0xd7f0, max: 0xe010 }), { maxLength: 4 }).map((units) => String.fromCharCode(...units)),
  fc.tuple(nasty, nasty).map(([a, b]) => a + b),
)
const parts = fc.array(text, { minLength: 1, maxLength: 3 })
const prefix = fc.oneof(
  fc.record({ kind: fc.constantFrom<KeyKind>('row', 'query'), entity: text, column: fc.constant(undefined) }),
  fc.record({ kind: fc.constantFrom<KeyKind>('lookup', 'mark'), entity: text, column: text }),
)

interface Place {
  readonly kind: KeyKind
  readonly entity: string
  readonly column: string | undefined
}

function prefixOf({ kind, entity, column }: Place): string {
  return keyPrefix('shop', kind, entity, column)
}

describe('cacheKey', () => {
  it('reads as what it stands for', () => {
    expect(cacheKey(keyPrefix('shop', 'row', 'public.products'), ['42'])).toBe('shop:{public.products/42}')
    expect(cacheKey(keyPrefix('shop', 'row', 'public.stock'), ['a', 'b'])).toBe('shop:{public.stock/a,b}')
    expect(cacheKey(keyPrefix('shop', 'lookup', 'public.products', 'slug'), ['tea'])).toBe(
      'shop:{public.products@slug=tea}',
    )
    expect(cacheKey(keyPrefix('shop', 'query', 'bestsellers'), ['10'])).toBe('shop:{bestsellers?10}')
    expect(cacheKey(keyPrefix('shop', 'row', 'public.products'), ['a:b {🫖}'])).toBe(
      'shop:{public.products/a%3Ab%20%7B%F0%9F%AB%96%7D}',
    )
  })

  it('never gives two ids one key, nasty ones among themselves', () => {
    const start = keyPrefix('shop', 'row', 'public.products')
    const ids = [...NASTY.map((id) => [id]), ...NASTY.flatMap((a) => NASTY.map((b) => [a, b]))]
    expect(new Set(ids.map((id) => cacheKey(start, id))).size).toBe(new Set(ids.map((id) => JSON.stringify(id))).size)
  })

  it('never gives two places or ids one key', () => {
    fc.assert(
      fc.property(prefix, parts, prefix, parts, (placeA, idA, placeB, idB) => {
        const same = JSON.stringify([placeA, idA]) === JSON.stringify([placeB, idB])
        const [a, b] = [cacheKey(prefixOf(placeA), idA), cacheKey(prefixOf(placeB), idB)]
        if ((a === b) !== same) throw new Error(`${a} and ${b}`)
        if (guardKey(a) === b || guardKey(b) === a) throw new Error(`${a} or ${b} is the guard of the other`)
      }),
      { numRuns: 500 },
    )
  })

  it('has exactly one pair of braces, with the whole of the id in it', () => {
    fc.assert(
      fc.property(prefix, parts, (place, id) => {
        const key = cacheKey(prefixOf(place), id)
        expect(key).toMatch(/^shop:\{[^{}]+\}$/)
        expect(key, 'nothing a terminal, a glob or a protocol could mind').toMatch(/^[A-Za-z0-9_.%,~/@?#=:{}-]+$/)
        expect(isMark(key)).toBe(place.kind === 'mark')
      }),
      { numRuns: 300 },
    )
  })

  it('lies in one slot with its guard', () => {
    fc.assert(
      fc.property(prefix, parts, (place, id) => {
        const key = cacheKey(prefixOf(place), id)
        expect(keySlot(guardKey(key))).toBe(keySlot(key))
      }),
    )
  })

  it('spreads over the slots', () => {
    const start = keyPrefix('shop', 'row', 'public.products')
    const thirds = [0, 0, 0]
    for (let id = 0; id < 3_000; id++) {
      const third = Math.floor((keySlot(cacheKey(start, [String(id)])) / 16_384) * 3)
      thirds[third] = (thirds[third] as number) + 1
    }
    expect(Math.min(...thirds)).toBeGreaterThan(800)
  })

  it('stays short, however long the id', () => {
    const key = cacheKey(keyPrefix('shop', 'row', 'public.products'), ['x'.repeat(10_240)])
    expect(key.length).toBeLessThan(100)
    expect(key).toContain('.10240}')
  })
})
