import { Buffer } from 'node:buffer'
import { describe, expect, it } from 'vitest'
import { envelope, stamp } from '../../../src/adapters/codec/envelope.js'
import type { Entry } from '../../../src/core/entry.js'
import type { CacheKey } from '../../../src/core/key.js'
import type { Version } from '../../../src/core/version.js'
import { KnownEntries } from '../../../src/engine/known-entries.js'

const KEY = 'shop:{public.products/42}' as CacheKey
const VALUE = Object.freeze({ price: 1 })

function stored(text: string, filledAtMs = 1_000): Buffer {
  const sealed = envelope.seal({
    kind: 'row',
    shape: '1f0c3a7e',
    version: '7' as Version,
    snapshot: undefined,
    freshMs: 60_000,
    loadMs: 5,
    epoch: '00000000',
    payload: Buffer.from(text),
  })
  return Buffer.from(stamp(sealed, filledAtMs))
}

function open(maxBytes = 100_000) {
  const known = new KnownEntries<object>(maxBytes)
  const keep = (key: CacheKey, bytes: Buffer) => known.keep(key, bytes, envelope.open(bytes) as Entry, VALUE)
  return { known, keep }
}

describe('KnownEntries', () => {
  it('recognizes the same bytes under the same key, and gives out what was made of them', () => {
    const { known, keep } = open()
    keep(KEY, stored('a row'))
    const found = known.recognize(KEY, stored('a row'))
    expect(found?.value).toBe(VALUE)
    expect(found?.entry).toEqual(envelope.open(stored('a row')))
    expect(known.recognize(`${KEY}, another` as CacheKey, stored('a row'))).toBeUndefined()
  })

  it('recognizes nothing that differs in a single bit, wherever that is', () => {
    const { known, keep } = open()
    const bytes = stored('a row')
    keep(KEY, bytes)
    for (let at = 0; at < bytes.length; at++) {
      const other = Buffer.from(bytes)
      other[at] = (other[at] as number) ^ 1
      expect(known.recognize(KEY, other), `byte ${at}`).toBeUndefined()
    }
    expect(known.recognize(KEY, bytes.subarray(0, -1)), 'cut short').toBeUndefined()
    expect(known.recognize(KEY, Buffer.concat([bytes, Buffer.from(' ')])), 'with more behind it').toBeUndefined()
    expect(known.recognize(KEY, bytes)?.value).toBe(VALUE)
  })

  it('keeps bytes of its own: those of a reply belong to the connection', () => {
    const { known, keep } = open()
    const reply = stored('a row')
    keep(KEY, reply)
    reply.fill(0)
    const found = known.recognize(KEY, stored('a row'))
    expect(found?.value).toBe(VALUE)
    expect(String(found?.entry.payload)).toBe('a row')
  })

  it('keeps a payload that was packed as it was unpacked', () => {
    const { known } = open()
    const bytes = stored('packed')
    const payload = Buffer.from('unpacked')
    known.keep(KEY, bytes, { ...(envelope.open(bytes) as Entry), payload }, VALUE)
    bytes.fill(0)
    expect(String(known.recognize(KEY, stored('packed'))?.entry.payload)).toBe('unpacked')
  })

  it('knows the last entry of a key only', () => {
    const { known, keep } = open()
    keep(KEY, stored('a row', 1_000))
    keep(KEY, stored('a row', 2_000))
    expect(known.recognize(KEY, stored('a row', 1_000))).toBeUndefined()
    expect(known.recognize(KEY, stored('a row', 2_000))).toBeDefined()
  })

  it('stays within its bytes, and lets go of what was met longest ago', () => {
    const { known, keep } = open(20_000)
    const keyOf = (id: number) => `shop:{public.products/${id}}` as CacheKey
    for (let id = 0; id < 100; id++) {
      keep(keyOf(id), stored('x'.repeat(400)))
      known.recognize(keyOf(0), stored('x'.repeat(400)))
    }
    const held = Array.from({ length: 100 }, (_, id) => id).filter((id) =>
      known.recognize(keyOf(id), stored('x'.repeat(400))),
    )
    // About 2 KB each, with what the estimate adds to the text.
    expect(held).toEqual([0, 91, 92, 93, 94, 95, 96, 97, 98, 99])
    keep(KEY, stored('x'.repeat(2_000)))
    expect(known.recognize(KEY, stored('x'.repeat(2_000))), 'nor does one take the place of many').toBeUndefined()
  })
})
