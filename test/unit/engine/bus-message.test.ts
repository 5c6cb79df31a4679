import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { CacheKey } from '../../../src/core/key.js'
import type { Version } from '../../../src/core/version.js'
import { type BusMessage, BusMessageCodec } from '../../../src/engine/bus-message.js'
import { seededChance } from '../../support/seeded-chance.js'

const SECRET = 'a secret of the whole fleet'
/** A second or two on an idle machine. */
const SLOW_MS = 30_000
const plain = new BusMessageCodec([])
const signed = new BusMessageCodec([SECRET])

const MESSAGE: BusMessage = {
  publisher: 'pQ3d-_xYz0123456',
  number: 7,
  leaves: false,
  changes: [
    {
      key: 'shop:{public.products/42}' as CacheKey,
      version: '1795207238308941' as Version,
      absent: false,
      hasFloor: true,
    },
    { key: 'shop:{public.products/%C3%A9}' as CacheKey, version: null, absent: false, hasFloor: true },
    {
      key: 'shop:{public.products/43}' as CacheKey,
      version: '9223372036854775807' as Version,
      absent: true,
      hasFloor: true,
    },
    { key: 'shop:{public.products@slug=tea}' as CacheKey, version: null, absent: false, hasFloor: false },
  ],
}

describe('BusMessageCodec', () => {
  it.each([
    ['unsigned', plain],
    ['signed', signed],
  ])('%s: what is written is read', (_, codec) => {
    expect(codec.read(codec.write(MESSAGE))).toEqual(MESSAGE)
    expect(codec.read(codec.write({ ...MESSAGE, changes: [] }))).toEqual({ ...MESSAGE, changes: [] })
  })

  it('keeps any key and any stamp', { timeout: SLOW_MS }, () => {
    const change = fc.record({
      key: fc.string({ unit: 'binary' }) as fc.Arbitrary<CacheKey>,
      version: fc.option(fc.bigInt({ min: 1n, max: 2n ** 63n - 1n }).map(String)) as fc.Arbitrary<Version | null>,
      absent: fc.boolean(),
      hasFloor: fc.boolean(),
    })
    fc.assert(
      fc.property(fc.array(change, { maxLength: 20 }), fc.integer({ min: 1 }), (changes, number) => {
        const message = { publisher: 'p', number, changes, leaves: number % 2 === 0 }
        expect(signed.read(signed.write(message))).toEqual(message)
      }),
    )
  })

  it('says of a message of another format that it cannot tell what it says', () => {
    expect(plain.read('[2,"somebody",1,{"new":"layout"}]')).toEqual({ refused: 'unknown-format' })
    expect(plain.read('[0]')).toEqual({ refused: 'unknown-format' })
  })

  it.each([
    ['nothing', ''],
    ['no JSON', 'hello'],
    ['no list', '{"0":1}'],
    ['null', 'null'],
    ['an empty list', '[]'],
    ['a format that is no number', '["1","p",1,[]]'],
    ['a publisher that is no text', '[1,7,1,[]]'],
    ['an overlong publisher', `[1,"${'p'.repeat(65)}",1,[]]`],
    ['a number below one', '[1,"p",0,[]]'],
    ['a negative number', '[1,"p",-3,[]]'],
    ['a fraction', '[1,"p",1.5,[]]'],
    ['a number past exactness', '[1,"p",9007199254740992,[]]'],
    ['changes that are no list', '[1,"p",1,{}]'],
    ['a change that is no list', '[1,"p",1,[{"key":"k"}]]'],
    ['a key that is no text', '[1,"p",1,[[1,0,0]]]'],
    ['a stamp that is no integer', '[1,"p",1,[["k","1.5",0]]]'],
    ['a negative stamp', '[1,"p",1,[["k","-1",0]]]'],
    ['flags that are none', '[1,"p",1,[["k","1","2"]]]'],
    ['one change of many', '[1,"p",1,[["k","1",2],["k"]]]'],
    ['more than a message can have', `[1,"p",1,[]${' '.repeat(4 * 1024 * 1024)}]`],
  ])('refuses %s', (_, text) => {
    expect(plain.read(text)).toEqual({ refused: 'malformed' })
  })

  it('signs with the first of several secrets and reads what any of them signed, so that one can be changed', () => {
    const later = new BusMessageCodec(['a later secret of the fleet', SECRET])
    expect(later.read(signed.write(MESSAGE))).toEqual(MESSAGE)
    expect(signed.read(later.write(MESSAGE))).toEqual({ refused: 'forged' })
    expect(new BusMessageCodec([SECRET, 'a later secret of the fleet']).read(later.write(MESSAGE))).toEqual(MESSAGE)
    expect(later.read(new BusMessageCodec(['another secret, as long']).write(MESSAGE))).toEqual({ refused: 'forged' })
    expect(later.read(plain.write(MESSAGE))).toEqual({ refused: 'forged' })
  })

  it('refuses what was not signed with the secret of the fleet', () => {
    const text = signed.write(MESSAGE)
    const other = new BusMessageCodec(['another secret, as long'])
    for (const forged of [
      plain.write(MESSAGE),
      other.write(MESSAGE),
      `${text} `,
      text.slice(0, -1),
      text.slice(1),
      text.slice(0, 21),
      '',
      text.replace('/42', '/43'),
      text.replace(',7,', ',8,'),
      `${'é'.repeat(22)}${text.slice(22)}`,
    ]) {
      expect(signed.read(forged)).toEqual({ refused: 'forged' })
    }
  })

  it('survives 100 000 random and mutated texts: no throw, no pollution, nothing but messages and refusals', {
    timeout: SLOW_MS,
  }, () => {
    const chance = seededChance(4)
    const originals = [
      plain.write(MESSAGE),
      plain.write({ ...MESSAGE, changes: [] }),
      '[1,"p",1,[["__proto__","1",3]]]',
    ]
    const before = Object.getOwnPropertyNames(Object.prototype).length
    const outcomes = new Map<string, number>()
    const strange: string[] = []
    for (let at = 0; at < 100_000; at++) {
      const original = originals[at % originals.length] as string
      const text = at % 4 === 0 ? noise(chance, 80) : mutated(original, chance)
      const message = plain.read(text)
      const outcome = 'refused' in message ? message.refused : 'message'
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1)
      if ('refused' in message) continue
      const { publisher, number, changes } = message
      if (typeof publisher !== 'string' || !Number.isSafeInteger(number) || number < 1) strange.push(text)
      for (const { key, version } of changes) {
        if (typeof key !== 'string' || (version !== null && !/^\d{1,19}$/.test(version))) strange.push(text)
      }
    }
    expect(strange).toEqual([])
    expect([...outcomes.keys()].sort(), 'each outcome was met').toEqual(['malformed', 'message', 'unknown-format'])
    expect(Object.getOwnPropertyNames(Object.prototype)).toHaveLength(before)
    expect(({} as Record<string, unknown>).polluted).toBeUndefined()
  })

  it('reads deep nesting and long lists without a hang or an overflow', { timeout: SLOW_MS }, () => {
    for (const text of [
      '['.repeat(1_000_000),
      `[1,"p",1,${'['.repeat(100_000)}${']'.repeat(100_000)}]`,
      `[1,"p",1,[${'["k","1",2],'.repeat(200_000)}["k","1",2]]]`,
      `[1,"p",1,[["k","${'9'.repeat(1_000_000)}",2]]]`,
    ]) {
      const message = plain.read(text)
      expect('refused' in message || message.changes.length === 200_001).toBe(true)
    }
  })
})

type Chance = ReturnType<typeof seededChance>

function noise(chance: Chance, length: number): string {
  const size = Math.floor(chance.number() * length)
  return Array.from({ length: size }, () => String.fromCharCode(Math.floor(chance.number() * 256))).join('')
}

/** A message with a few characters replaced, removed, doubled or put elsewhere. */
function mutated(text: string, chance: Chance): string {
  let result = text
  const times = 1 + Math.floor(chance.number() * 3)
  for (let time = 0; time < times; time++) {
    const at = Math.floor(chance.number() * result.length)
    const upTo = at + Math.floor(chance.number() * 4)
    const [head, middle, tail] = [result.slice(0, at), result.slice(at, upTo), result.slice(upTo)]
    const pieces = [
      head + tail,
      head + middle + middle + tail,
      head + ALPHABET[Math.floor(chance.number() * ALPHABET.length)] + tail,
    ]
    result = pieces[Math.floor(chance.number() * pieces.length)] as string
  }
  return result
}

const ALPHABET = ['[', ']', '"', ',', '0', '-', '9', '{', '}', ':', 'null', '2', '\\', '\u0000', 'e']
