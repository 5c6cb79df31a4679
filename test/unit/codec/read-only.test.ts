import { Buffer } from 'node:buffer'
import { isDeepStrictEqual } from 'node:util'
import { describe, expect, it } from 'vitest'
import { freezeList, freezeRow, handOut } from '../../../src/adapters/codec/read-only.js'
import { createRowCodec } from '../../../src/adapters/codec/row-codec.js'
import { bytesEach } from '../../support/collect-garbage.js'
import { isSame, makeInterval, objectOf } from './row-arbitrary.js'

const AT = '2024-02-29T12:34:56.789Z'
const fresh = () => ({
  id: 1,
  at: new Date(AT),
  days: [new Date(AT), null],
  meta: JSON.parse('{"a":{"b":[{"c":1}]},"__proto__":{"d":1}}'),
  bare: objectOf([['inside', [1]]], Object.create(null)),
  lasts: makeInterval('1 day'),
})

/** The two ways a row comes to a reader. */
const sources: [string, () => ReturnType<typeof fresh>][] = [
  ['from the database', () => freezeRow(fresh()) as ReturnType<typeof fresh>],
  ['from the cache', () => throughCodec(fresh()) as ReturnType<typeof fresh>],
]

function throughCodec(row: object): object | undefined {
  const codec = createRowCodec({
    columns: Object.keys(row).map((property) => ({ property, type: 'text' })),
    schemaVersion: '',
  })
  return codec.decode(codec.encode(row) as Uint8Array)
}

describe.each(sources)('a row %s', (_name, make) => {
  it('is equal to the plain row', () => expect(isSame(make(), fresh())).toBe(true))

  it('cannot be changed, at any depth', () => {
    const row = make()
    const everything = [row, row.days, row.meta, row.meta.a, row.meta.a.b, row.meta.a.b[0], row.bare, row.lasts]
    for (const object of everything) expect(Object.isFrozen(object)).toBe(true)
    expect(Object.isFrozen(Object.getOwnPropertyDescriptor(row.meta, '__proto__')?.value)).toBe(true)
    expect(() => Object.assign(row, { id: 2 })).toThrow(TypeError)
    expect(() => row.days.push(null)).toThrow(TypeError)
    expect(isSame(row, fresh())).toBe(true)
  })

  const setters = Object.getOwnPropertyNames(Date.prototype).filter((name) => name.startsWith('set'))
  it.each(setters)('has dates that refuse %s', (setter) => {
    const row = make()
    for (const date of [row.at, row.days[0]] as Date[]) {
      expect(() => (date as unknown as Record<string, (to: number) => void>)[setter]?.(0)).toThrow(
        new TypeError('rows from Corral are read-only, and so is this Date: copy it first, `new Date(date)`'),
      )
      expect(date.getTime()).toBe(Date.parse(AT))
    }
  })

  it('has dates whose lock cannot be taken off', () => {
    const { at } = make()
    expect(() => Object.assign(at, { setTime: Date.prototype.setTime })).toThrow(TypeError)
    expect(() => Object.defineProperty(at, 'setTime', { value: Date.prototype.setTime })).toThrow(TypeError)
    expect(Reflect.deleteProperty(at, 'setTime')).toBe(false)
    expect(Object.isFrozen(at)).toBe(true)
  })

  it('has dates that are dates in every other way', () => {
    const { at } = make()
    expect(Object.keys(at)).toEqual([])
    expect(JSON.stringify({ at })).toBe(`{"at":"${AT}"}`)
    expect(structuredClone(at)).toEqual(new Date(AT))
    expect(isDeepStrictEqual(at, new Date(AT)) && isDeepStrictEqual(new Date(AT), at)).toBe(true)
    expect(isDeepStrictEqual(at, new Date(0))).toBe(false)
    const copy = new Date(at)
    copy.setFullYear(2000)
    expect(copy.getFullYear()).toBe(2000)
  })
})

describe('freezeRow', () => {
  it('returns the same row', () => {
    const row = fresh()
    expect(freezeRow(row)).toBe(row)
    expect(freezeRow(row)).toBe(row)
  })

  it('leaves classes it does not know alone', () => {
    class Money {
      cents = 1
    }
    const row = freezeRow({ price: new Money() }) as { price: Money }
    row.price.cents = 2
    expect(row.price.cents).toBe(2)
  })

  it('ends on cycles, and on json deeper than the stack', () => {
    const cycle: Record<string, unknown> = {}
    cycle.again = [cycle]
    expect(Object.isFrozen((freezeRow({ cycle }) as { cycle: object }).cycle)).toBe(true)
    let depth = 0
    const row = freezeRow({ deep: JSON.parse('['.repeat(50_000) + ']'.repeat(50_000)) }) as { deep: unknown[] }
    for (let list = row.deep; list; list = list[0] as unknown[]) depth += Number(Object.isFrozen(list))
    expect(depth).toBe(50_000)
  })
})

describe('handOut', () => {
  const withBytes = () =>
    objectOf(
      [
        ['z', 1],
        ['bytes', Buffer.from('abc')],
        ['plain', new Uint8Array([1, 2])],
        ['list', [Buffer.from('d'), null, [Buffer.from('e')]]],
        ['__proto__', { inside: Buffer.from('f'), at: new Date(AT) }],
        ['bare', objectOf([['__proto__', Buffer.from('g')]], Object.create(null))],
        ['deep', [objectOf([['__proto__', Buffer.from('h')]], {})]],
        ['meta', { none: [1] }],
      ],
      {},
    ) as { bytes: Buffer; plain: Uint8Array; list: [Buffer, null, [Buffer]]; bare: object; meta: object }

  it.each(sources)('gives the row itself when it carries no bytes: %s', (_name, make) => {
    const row = make()
    expect(handOut(row)).toBe(row)
  })

  it.each([
    ['from the database', () => freezeRow(withBytes()) as ReturnType<typeof withBytes>],
    ['from the cache', () => throughCodec(withBytes()) as ReturnType<typeof withBytes>],
    ['handed out already', () => handOut(freezeRow(withBytes())) as ReturnType<typeof withBytes>],
    ['frozen twice', () => freezeRow(freezeRow(withBytes())) as ReturnType<typeof withBytes>],
  ])('gives every reader bytes of its own: %s', (_name, make) => {
    const row = make()
    expect(handOut(row)).not.toBe(row)
    const mine = handOut(row)
    expect(isSame(mine, withBytes())).toBe(true)
    mine.bytes.fill(0)
    mine.plain.fill(0)
    mine.list[0].fill(0)
    mine.list[2][0].fill(0)
    const odd = Object.getOwnPropertyDescriptor(mine, '__proto__')?.value as { inside: Buffer }
    odd.inside.fill(0)
    const bare = Object.getOwnPropertyDescriptor(mine.bare, '__proto__')?.value as Buffer
    bare.fill(0)
    expect(isSame(row, withBytes())).toBe(true)
    expect(isSame(handOut(row), withBytes())).toBe(true)
  })

  it('gives copies that are frozen like the row, and shares what is not bytes', () => {
    const row = freezeRow(withBytes()) as ReturnType<typeof withBytes>
    const mine = handOut(row)
    const odd = Object.getOwnPropertyDescriptor(mine, '__proto__')?.value as { at: Date }
    for (const object of [mine, mine.list, mine.list[2], odd, odd.at, mine.bare]) {
      expect(Object.isFrozen(object)).toBe(true)
    }
    expect(mine.meta).toBe(row.meta)
  })

  it('gives memory that no other buffer lies in', () => {
    const row = throughCodec({ bytes: Buffer.from('abc') }) as { bytes: Buffer }
    expect(row.bytes.buffer.byteLength).toBe(3)
  })

  it('copies only those rows of a list that carry bytes', () => {
    const rows = freezeList([{ id: 1 }, { id: 2, bytes: Buffer.from('abc') }])
    const mine = handOut(rows)
    expect(mine[0]).toBe(rows[0])
    ;(mine[1] as { bytes: Buffer }).bytes.fill(0)
    expect(rows[1]).toEqual({ id: 2, bytes: Buffer.from('abc') })
    expect(Object.isFrozen(mine) && mine.every(Object.isFrozen)).toBe(true)
    const without = freezeList([{ id: 1 }])
    expect(handOut(without)).toBe(without)
  })

  it('takes the rows of a list for what they are', () => {
    class Money {
      readonly pence = 1
    }
    const marked = { id: 1, [Symbol('mark')]: true }
    const bare = objectOf([['id', 1]], Object.create(null))
    const money = new Money()
    const own = [marked, bare, money]
    expect(freezeList([...own]), 'not plain').toEqual(own)
    expect(freezeList([...own]).map((row, at) => row === own[at])).toEqual([true, true, true])
    expect(isSame(freezeList([fresh()]), [fresh()])).toBe(true)
  })

  it('makes lists of rows that take no more room than their values', async () => {
    // As the driver makes them: each a copy of a blank row.
    const bare = objectOf(
      Array.from({ length: 12 }, (_, at) => [`column${at}`, at]),
      Object.create(null),
    )
    const blank = { ...bare }
    const make = () => freezeList([{ ...blank }, { ...blank }])
    expect(await bytesEach(make)).toBeLessThan(2 * (24 + 8 * 12) + 100)
  })
})
