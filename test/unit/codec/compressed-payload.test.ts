import { Buffer } from 'node:buffer'
import { createHash } from 'node:crypto'
import { constants, deflateRawSync } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { compressed, expanded } from '../../../src/adapters/codec/compressed-payload.js'
import { Envelope, stamp } from '../../../src/adapters/codec/envelope.js'
import type { CacheKey } from '../../../src/core/key.js'
import { WIRE } from '../../../src/core/wire.js'
import { rowEntry } from './row-entry.js'

const KEY = 'shop:{public.products/42}' as CacheKey
const MIB = 1024 * 1024
const text = (bytes: number) => Buffer.from(JSON.stringify(['j', 'tea '.repeat(bytes / 4)]))
const codec = (options: Partial<ConstructorParameters<typeof Envelope>[0]> = {}) =>
  new Envelope({ compressAboveBytes: 1_000, maxEntryBytes: MIB, ...options })
const stored = (from: Envelope, payload: Uint8Array) => Buffer.from(stamp(from.seal(rowEntry({ payload }), KEY), 1))
const encodingOf = (bytes: Buffer) => bytes.toString('latin1', WIRE.encoding.at, WIRE.encoding.at + 1)

/** Compressed bytes that claim to hold `claimed`. */
function claiming(claimed: number | string, deflated: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from(String(claimed).padStart(10, '0')), deflated])
}

describe('a payload above the threshold', () => {
  it('is stored compressed and read as it was', () => {
    const bytes = stored(codec(), text(2_000))
    expect(encodingOf(bytes)).toBe('z')
    expect(bytes.length).toBeLessThan(300)
    expect(codec().open(bytes, KEY)).toMatchObject({ payload: text(2_000) })
  })

  it('is read by a process that compresses nothing', () => {
    expect(codec({ compressAboveBytes: 0 }).open(stored(codec(), text(2_000)), KEY)).toMatchObject({
      payload: text(2_000),
    })
  })

  it('stays as it is where that saves less than a tenth', () => {
    const noise = Buffer.concat(Array.from({ length: 100 }, (_, at) => createHash('sha256').update(`${at}`).digest()))
    expect(encodingOf(stored(codec(), noise))).toBe('j')
  })
})

it.each([
  ['up to the threshold', {}, 1_000],
  ['where compression is off', { compressAboveBytes: 0 }, 100_000],
])('a payload %s is stored as it is', (_, options, bytes) => {
  const payload = Buffer.alloc(bytes, 'a')
  expect(Buffer.compare(stored(codec(options), payload).subarray(WIRE.body), payload)).toBe(0)
})

describe('expanding', () => {
  it('gives back what was compressed, whatever it was', () => {
    const bytes = fc.uint8Array({ maxLength: 2_000 }).map((some) => Buffer.concat([some, Buffer.alloc(5_000, 1), some]))
    fc.assert(
      fc.property(bytes, (payload) => {
        expect(Buffer.compare(expanded(compressed(payload) as Uint8Array, MIB) as Buffer, payload)).toBe(0)
      }),
    )
  })

  it.each([
    ['nothing', Buffer.alloc(0)],
    ['half a length', Buffer.from('00000')],
    ['a length and nothing behind', claiming(5, Buffer.alloc(0))],
    ['a length that is none', claiming('12ab', deflateRawSync('hello'))],
    ['a length of zero', claiming(0, deflateRawSync(''))],
    ['less than it claims', claiming(6, deflateRawSync('hello'))],
    ['more than it claims', claiming(4, deflateRawSync('hello'))],
    ['a length that no such bytes can have', claiming(100_000, deflateRawSync('hello'))],
    ['no deflate', claiming(5, Buffer.from('hello'))],
    ['deflate cut short', claiming(5_000, deflateRawSync(Buffer.alloc(5_000, 'ab')).subarray(0, -2))],
  ])('%s is corrupt', (_, bytes) => {
    expect(expanded(bytes, MIB)).toBe('corrupt')
  })

  it('nothing beyond the limit is even begun', () => {
    const bytes = claiming(MIB + 1, deflateRawSync(Buffer.alloc(MIB + 1)))
    expect(expanded(bytes, MIB)).toBe('oversized')
    expect(expanded(bytes, MIB + 1)).toHaveLength(MIB + 1)
  })

  it('a bomb that hides its size is given up before it goes off', () => {
    // Flushed and not finished, a stream can be said again and again.
    const mebibyte = deflateRawSync(Buffer.alloc(MIB), { finishFlush: constants.Z_FULL_FLUSH })
    const bomb = claiming(MIB, Buffer.concat([...Array(512).fill(mebibyte), deflateRawSync('')]))
    const before = process.resourceUsage().maxRSS
    expect(expanded(bomb, 4 * MIB)).toBe('corrupt')
    const risenKib = process.resourceUsage().maxRSS - before
    expect(risenKib, 'KiB that were needed meanwhile').toBeLessThan(64 * 1024)
  })
})

describe('the largest entry', () => {
  it('is refused above the limit, and no checksum is made of it', () => {
    const small = codec({ maxEntryBytes: 1_024, compressAboveBytes: 0 })
    const large = stored(codec({ compressAboveBytes: 0 }), text(100_000))
    expect(small.open(large, KEY)).toEqual({ unreadable: 'oversized' })
    large[large.length - 1] = 0
    expect(small.open(large, KEY), 'damage does not show').toEqual({ unreadable: 'oversized' })
  })

  it('is refused when it would be that large expanded', () => {
    const bytes = stored(codec(), text(100_000))
    expect(bytes.length).toBeLessThan(1_024)
    expect(codec({ maxEntryBytes: 1_024 }).open(bytes, KEY)).toEqual({ unreadable: 'oversized' })
  })
})
