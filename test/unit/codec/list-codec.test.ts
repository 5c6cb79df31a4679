import { Buffer } from 'node:buffer'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { IntervalClass } from '../../../src/adapters/codec/interval-class.js'
import { createListCodec } from '../../../src/adapters/codec/list-codec.js'
import { handOut } from '../../../src/adapters/codec/read-only.js'
import { isSame, objectOf, row } from './row-arbitrary.js'

const codecOf = (intervals = new IntervalClass()) => createListCodec({ schemaVersion: '', intervals })

function encoded(codec: ReturnType<typeof codecOf>, rows: readonly object[]): Uint8Array {
  const payload = codec.encode(rows)
  if ('uncacheable' in payload) throw new Error(`uncacheable: ${JSON.stringify(payload)}`)
  return payload
}

const roundTrip = (rows: readonly object[], codec = codecOf()) => codec.decode(encoded(codec, rows))
const decode = (payload: string) => codecOf().decode(Buffer.from(payload))

describe('a query result', () => {
  it('names its columns once', () => {
    const payload = encoded(codecOf(), [
      { id: 1, at: new Date(5) },
      { id: 2, at: null },
    ])
    expect(Buffer.from(payload).toString()).toBe('[["id","at"],["jd",1,5],["jj",2,null]]')
  })

  it.each<[string, object[]]>([
    ['nothing', []],
    ['one row', [{ id: 1 }]],
    ['rows without columns', [{}, {}]],
    [
      'names like indexes',
      [
        objectOf(
          [
            ['b', 1],
            ['1', 2],
            ['__proto__', 3],
          ],
          {},
        ),
      ],
    ],
  ])('survives the round trip: %s', (_name, rows) => {
    expect(isSame(roundTrip(rows), rows)).toBe(true)
  })

  it('survives the round trip with 3,000 random results', () => {
    const codec = codecOf()
    const results = fc.tuple(row, fc.nat(3)).map(([first, more]) => [first, ...Array(more).fill(first)] as object[])
    fc.assert(
      fc.property(results, (rows) => isSame(roundTrip(rows, codec), rows)),
      { numRuns: 3_000 },
    )
  }, 60_000)

  it('is frozen, rows and all', () => {
    const rows = roundTrip([{ id: 1, at: new Date(5), tags: ['a'] }]) as [{ at: Date; tags: string[] }]
    expect(Object.isFrozen(rows) && Object.isFrozen(rows[0]) && Object.isFrozen(rows[0].tags)).toBe(true)
    expect(() => rows[0].at.setTime(0)).toThrow(TypeError)
  })

  it('hands bytes out as copies', () => {
    const rows = roundTrip([{ bytes: Buffer.from('abc') }]) as readonly { bytes: Buffer }[]
    handOut(rows)[0]?.bytes.fill(0)
    expect(rows[0]?.bytes).toEqual(Buffer.from('abc'))
  })

  it('keeps results of different columns apart that come through one codec', () => {
    const codec = codecOf()
    const [first, second] = [encoded(codec, [{ a: 1 }]), encoded(codec, [{ b: 2 }])]
    expect([codec.decode(first), codec.decode(second), codec.decode(first)]).toEqual([
      [{ a: 1 }],
      [{ b: 2 }],
      [{ a: 1 }],
    ])
  })

  it('is uncacheable when rows differ in their columns', () => {
    expect(codecOf().encode([{ id: 1 }, { id: 2, extra: 1 }])).toEqual({
      reason: 'shape',
      uncacheable: 'extra',
      found: 'a row of id, extra',
    })
  })

  it('is uncacheable when a value is', () => {
    expect(codecOf().encode([{ id: 1 }, { id: () => 1 }])).toEqual({
      reason: 'value',
      uncacheable: 'id',
      found: 'a function',
    })
  })
})

describe('the shape of a query', () => {
  it('depends on the schema version', () => {
    const shapes = ['1', '2', '1'].map((schemaVersion) => createListCodec({ schemaVersion }).shape)
    expect(shapes[0]).toMatch(/^[0-9a-f]{8}$/)
    expect(shapes[0]).toBe(shapes[2])
    expect(shapes[0]).not.toBe(shapes[1])
  })
})

describe('decode takes nothing that encode does not write', () => {
  it.each([
    ['no JSON', '[['],
    ['an empty array', '[]'],
    ['names that are no list', '["id",["j",1]]'],
    ['names that are no text', '[[1],["j",1]]'],
    ['a name twice', '[["id","id"],["jj",1,2]]'],
    ['names in an order no object has', '[["b","1"],["jj",1,2]]'],
    ['a row that is no list', '[["id"],{"0":"j"}]'],
    ['a row that is null', '[["id"],null]'],
    ['a row too short', '[["id"],["j"]]'],
    ['one bad row among good ones', '[["id"],["j",1],["z",1],["j",1]]'],
  ])('%s', (_name, payload) => expect(decode(payload)).toBeUndefined())

  it('and throws for none of 10,000 arbitrary JSON texts', () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.jsonValue(), (names, held) => {
        decode(JSON.stringify(names))
        decode(JSON.stringify([names, held]))
        decode(JSON.stringify([['a'], held]))
      }),
      { numRuns: 10_000 },
    )
  }, 60_000)
})
