import { Buffer } from 'node:buffer'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createIdCodec } from '../../../src/adapters/codec/id-codec.js'

const columns = [
  { property: 'region', type: 'text' },
  { property: 'id', type: 'bigint' },
]
const codec = createIdCodec({ columns, schemaVersion: '' })
const decode = (payload: string) => codec.decode(Buffer.from(payload))

describe('the id in a lookup entry', () => {
  it('is a list of texts', () => expect(Buffer.from(codec.encode(['eu', '7'])).toString()).toBe('["eu","7"]'))

  it('survives the round trip, whatever text it is', () => {
    const anyText = fc.string({ unit: fc.integer({ min: 0, max: 0xffff }).map((c) => String.fromCharCode(c)) })
    fc.assert(
      fc.property(anyText, anyText, (a, b) => {
        expect(codec.decode(codec.encode([a, b]))).toEqual([a, b])
      }),
      { numRuns: 2_000 },
    )
  })

  it('comes frozen', () => expect(Object.isFrozen(codec.decode(codec.encode(['eu', '7'])))).toBe(true))

  it.each([
    ['no JSON', '["eu"'],
    ['nothing', ''],
    ['no list', '"eu"'],
    ['a part too few', '["eu"]'],
    ['a part too many', '["eu","7","8"]'],
    ['a part that is a number', '["eu",7]'],
    ['a part that is null', '["eu",null]'],
  ])('is undefined for %s', (_name, payload) => expect(decode(payload)).toBeUndefined())
})

describe('the shape of an id', () => {
  it.each([
    ['columns in another order', { columns: [...columns].reverse(), schemaVersion: '' }],
    ['one column less', { columns: columns.slice(1), schemaVersion: '' }],
    ['another schema version', { columns, schemaVersion: '2' }],
  ])('differs for %s', (_name, options) => {
    expect(createIdCodec(options).shape).not.toBe(codec.shape)
  })
})
