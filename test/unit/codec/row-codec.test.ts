import { Buffer } from 'node:buffer'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { IntervalClass } from '../../../src/adapters/codec/interval-class.js'
import { freezeRow } from '../../../src/adapters/codec/read-only.js'
import { createRowCodec } from '../../../src/adapters/codec/row-codec.js'
import { isSame, makeInterval, objectOf, row } from './row-arbitrary.js'
import { codecOf, encoded } from './row-codec-lab.js'

const roundTrip = (value: object) => {
  const codec = codecOf(Object.keys(value))
  return codec.decode(encoded(codec, value))
}

const textOf = (payload: Uint8Array) => Buffer.from(payload).toString('utf8')
const json = (source: string): unknown => JSON.parse(source)

describe('a decoded row is the row that was encoded', () => {
  const cases: Record<string, unknown> = {
    'a string': 'Grüße, 茶 🍵',
    'half a surrogate pair': 'a\ud83d',
    'an empty string': '',
    NaN: Number.NaN,
    infinity: Number.POSITIVE_INFINITY,
    'negative infinity': Number.NEGATIVE_INFINITY,
    'negative zero': -0,
    'the smallest number': 5e-324,
    'a bigint': 9223372036854775807n,
    'a negative bigint': -1n,
    null: null,
    undefined: undefined,
    'a date': new Date('2024-02-29T12:34:56.789Z'),
    'a date before the epoch': new Date(-62_135_596_800_000),
    'an invalid date': new Date(Number.NaN),
    'a Buffer': Buffer.from([0, 255, 128]),
    'an empty Buffer': Buffer.alloc(0),
    'a Uint8Array': new Uint8Array([1, 2, 3, 4]),
    'an empty array': [],
    'an array of dates': [new Date(1), null, new Date(Number.NaN)],
    'an array of bigints': [1n, [2n]],
    'an array of Buffers': [Buffer.from('a'), null],
    'an array with undefined': [1, undefined],
    'an empty object': {},
    'json with an own __proto__': json('{"__proto__":{"polluted":true},"b":[{"__proto__":null}]}'),
    'json with constructor and toJSON': json('{"constructor":{"prototype":1},"toJSON":"text","hasOwnProperty":0}'),
    'json with keys like indexes': json('{"b":1,"10":2,"2":3}'),
    'an own __proto__ beside a date': objectOf([['__proto__', { at: new Date(5) }]], {}),
    'an object without prototype': objectOf([['__proto__', 1]], Object.create(null)),
    'undefined inside an object': { a: undefined, b: [{ c: undefined }] },
    'an interval': makeInterval('1 year 2 mons -3 days 04:05:06.789'),
    'an empty interval': makeInterval('00:00:00'),
    'an array of intervals': [makeInterval('-1 days'), null],
    'arrays that look like tags': ['d', ['a', 1], ['v']],
  }
  it.each(Object.entries(cases))('%s', (_name, value) => {
    const decoded = roundTrip({ before: 1, value, after: 'z' })
    expect(isSame(decoded, { before: 1, value, after: 'z' })).toBe(true)
  })

  it('has columns named __proto__ or like an array index', () => {
    const value = objectOf(
      [
        ['b', 1],
        ['__proto__', 2],
        ['7', 3],
      ],
      {},
    )
    const codec = codecOf(['b', '__proto__', '7'])
    const decoded = codec.decode(encoded(codec, value))
    expect(isSame(decoded, value)).toBe(true)
    expect(Object.keys(decoded as object)).toEqual(['7', 'b', '__proto__'])
  })

  it('has no columns at all', () => expect(isSame(roundTrip({}), {})).toBe(true))

  it('is any of 20,000 random rows, frozen before or not', () => {
    const intervals = new IntervalClass()
    fc.assert(
      fc.property(row, (value) => {
        const codec = codecOf(Object.keys(value), '', intervals)
        const payload = encoded(codec, value)
        if (!isSame(codec.decode(payload), value)) return false
        return Buffer.compare(encoded(codec, freezeRow(value)), payload) === 0
      }),
      { numRuns: 20_000 },
    )
  }, 60_000)

  it('comes out of a Uint8Array that is no Buffer, and starts in the middle of its memory', () => {
    const codec = codecOf(['name'])
    const payload = encoded(codec, { name: 'Grüße' })
    const roomy = new Uint8Array(payload.length + 9)
    roomy.set(payload, 5)
    expect(codec.decode(roomy.subarray(5, 5 + payload.length))).toEqual({ name: 'Grüße' })
  })
})

describe('the layout', () => {
  it('is a signature and the values, without names', () => {
    const codec = codecOf(['id', 'name', 'at', 'big', 'bytes', 'gone', 'odd'])
    const value = { id: 7, name: 'tea', at: new Date(1000), big: 5n, bytes: Buffer.from('hi'), gone: null, odd: -0 }
    expect(textOf(encoded(codec, value))).toBe('["jjdnbjx",7,"tea",1000,"5","aGk=",null,["f","-0"]]')
  })
})

describe('the shape', () => {
  const columns = [
    { property: 'id', type: 'integer' },
    { property: 'name', type: 'text' },
  ]
  const shape = createRowCodec({ columns, schemaVersion: '1' }).shape

  it('is the same in every process', () => expect(shape).toBe('841ecf0d'))

  it.each([
    ['another order', { columns: [...columns].reverse(), schemaVersion: '1' }],
    ['another type', { columns: [{ property: 'id', type: 'bigint' }, columns[1]!], schemaVersion: '1' }],
    ['another name', { columns: [{ property: 'key', type: 'integer' }, columns[1]!], schemaVersion: '1' }],
    ['one column less', { columns: columns.slice(1), schemaVersion: '1' }],
    ['another schema version', { columns, schemaVersion: '2' }],
    [
      'names that only join to the same text',
      { columns: [{ property: 'idinteger', type: '' }, columns[1]!], schemaVersion: '1' },
    ],
  ])('differs for %s', (_name, options) => {
    const other = createRowCodec(options).shape
    expect(other).toMatch(/^[0-9a-f]{8}$/)
    expect(other).not.toBe(shape)
  })

  it('needs different properties', () => {
    expect(() => codecOf(['id', 'id'])).toThrow(new TypeError('columns must become different properties, found id, id'))
  })
})

describe('a row is uncacheable', () => {
  class Money {
    constructor(readonly cents: number) {}
  }
  const cyclic: Record<string, unknown> = { a: {}, b: {} }
  cyclic.again = [cyclic]
  const nested = (depth: number) => json('['.repeat(depth) + ']'.repeat(depth))

  it.each<[string, unknown, string]>([
    ['a function', () => 1, 'a function'],
    ['a symbol', Symbol('s'), 'a symbol'],
    ['an instance of a class', new Money(5), 'an instance of Money'],
    ['an instance inside json', { list: [new Money(5)] }, 'an instance of Money'],
    ['a Map', new Map(), 'an instance of Map'],
    ['another typed array', new Float64Array(1), 'an instance of Float64Array'],
    ['a boxed string', Object('text'), 'an instance of String'],
    ['a subclass of Date', new (class Day extends Date {})(), 'an instance of Day'],
    ['a subclass of Array', new (class List extends Array {})(), 'an instance of List'],
    ['what only claims to be a Date', Object.create(Date.prototype), 'an instance of Date'],
    ['what only claims to be a Buffer', Object.create(Buffer.prototype), 'an instance of Buffer'],
    ['a method named toJSON', { toJSON: () => 1 }, 'a function'],
    ['a cycle', cyclic, 'a cyclic structure'],
    ['a sparse array', Object.assign([1], { 2: 3 }), 'a sparse array'],
    ['an array with a property', Object.assign([1], { extra: 2 }), 'an array with properties of its own'],
    ['a sparse array with a property', Object.assign([], { length: 1, extra: 2 }), 'a sparse array'],
    ['a symbol key', { [Symbol('s')]: 1 }, 'an object with symbol keys'],
    ['a Date with a property', Object.assign(new Date(), { zone: 'UTC' }), 'a Date with properties of its own'],
    ['nesting of 201', nested(201), 'a structure nested deeper than 200'],
    ['a bigint of 1,001 digits', 10n ** 1000n, 'a bigint of 1001 digits'],
  ])('for %s', (_name, value, found) => {
    const codec = codecOf(['id', 'odd'])
    expect(codec.encode({ id: 1, odd: value })).toEqual({ reason: 'value', uncacheable: 'odd', found })
  })

  it('but not for nesting of 200', () => {
    expect(isSame(roundTrip({ a: nested(200) }), { a: nested(200) })).toBe(true)
  })

  it('and found out at once when a cycle branches', () => {
    const tree: unknown[] = []
    tree.push(tree, tree, tree, tree)
    expect(codecOf(['a']).encode({ a: { tree } })).toMatchObject({ uncacheable: 'a' })
  })

  it.each<[string, object, string]>([
    ['a new column', { id: 1, name: 'a', extra: 1 }, 'extra'],
    ['a dropped column', { id: 1 }, 'name'],
    ['a renamed column', { id: 1, title: 'a' }, 'name'],
    ['another order', { name: 'a', id: 1 }, 'id'],
    [
      'a class',
      new (class Row {
        id = 1
        name = 'a'
      })(),
      '',
    ],
  ])('for %s, with reason shape', (_name, value, property) => {
    const found = `a row of ${Object.keys(value).join(', ')}`
    expect(codecOf(['id', 'name']).encode(value)).toEqual({ reason: 'shape', uncacheable: property, found })
  })

  it('and says so without printing values or endless lists of columns', () => {
    const wide = Object.fromEntries(Array.from({ length: 1_600 }, (_, i) => [`column_${i}`, 'secret']))
    const answer = codecOf(['id']).encode(wide)
    expect(JSON.stringify(answer)).not.toContain('secret')
    expect(JSON.stringify(answer).length).toBeLessThan(400)
  })
})

describe('intervals', () => {
  const codecWith = (intervals: IntervalClass) => codecOf(['lasts'], '', intervals)
  const payload = encoded(codecWith(new IntervalClass()), { lasts: makeInterval('1 day') })

  it('of a class not met yet are a miss', () => {
    expect(codecWith(new IntervalClass()).decode(payload)).toBeUndefined()
  })

  it('can be decoded after a sample was handed over', () => {
    const intervals = new IntervalClass()
    intervals.learn('1 day')
    intervals.learn({ days: 1 })
    intervals.learn(null)
    expect(codecWith(intervals).decode(payload)).toBeUndefined()
    intervals.learn(makeInterval('1 day'))
    expect(isSame(codecWith(intervals).decode(payload), { lasts: makeInterval('1 day') })).toBe(true)
  })

  it('can be decoded after one was encoded', () => {
    const codec = codecWith(new IntervalClass())
    encoded(codec, { lasts: makeInterval('2 days') })
    expect(isSame(codec.decode(payload), { lasts: makeInterval('1 day') })).toBe(true)
  })

  it('of a second install are not written, because they would come back as those of the first', () => {
    const Second = {
      PostgresInterval: class {
        days = 1
        toPostgres() {}
      },
    }.PostgresInterval
    const intervals = new IntervalClass()
    intervals.learn(makeInterval('1 day'))
    expect(codecWith(intervals).encode({ lasts: new Second() })).toMatchObject({
      found: 'an instance of PostgresInterval',
    })
  })

  it('with other fields than those of an interval are not written', () => {
    const strange = Object.assign(makeInterval('1 day'), { zone: 'UTC' })
    expect(codecWith(new IntervalClass()).encode({ lasts: strange })).toMatchObject({ uncacheable: 'lasts' })
  })
})
