import { Buffer } from 'node:buffer'
import { crc32 } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { envelope, stamp } from '../../../src/adapters/codec/envelope.js'
import type { NewEntry } from '../../../src/core/entry.js'
import type { Version } from '../../../src/core/version.js'
import { SEEN_BYTES, WIRE } from '../../../src/core/wire.js'
import { rowEntry } from './row-entry.js'

const FILLED_AT_MS = 1_795_207_238_308
const ENTRY = rowEntry()

const sealed = (changes: object = {}) => Buffer.from(envelope.seal({ ...ENTRY, ...changes }))
const stored = (changes: object = {}) => Buffer.from(stamp(sealed(changes), FILLED_AT_MS))

/** Bytes with one field overwritten and the checksum made right again, as only an attacker would. */
function forged(at: number, text: string, bytes = stored()): Buffer {
  const forgery = Buffer.from(bytes)
  forgery.write(text, at, 'latin1')
  forgery.write(crc32(forgery.subarray(WIRE.kind.at)).toString(16).padStart(8, '0'), WIRE.checksum.at, 'latin1')
  return forgery
}

describe('seal', () => {
  it('writes everything from the checksum on, as a Buffer', () => {
    const bytes = envelope.seal(ENTRY)
    expect(Buffer.isBuffer(bytes)).toBe(true)
    const rest = 'rj1f0c3a7e00001795207238308940000030000000001200000000' + '0000["j",1]'
    expect(Buffer.from(bytes).toString('latin1')).toBe(crc32(rest).toString(16).padStart(8, '0') + rest)
  })

  it('is completed by stamp with magic and fill time', () => {
    expect(stored().subarray(0, WIRE.checksum.at).toString('latin1')).toBe('C11795207238308')
    expect(Buffer.from(stamp(sealed(), 5)).subarray(0, WIRE.checksum.at).toString('latin1')).toBe('C10000000000005')
    expect(stored().subarray(WIRE.checksum.at)).toEqual(sealed())
  })

  it.each([
    ['freshMs beyond its field', { freshMs: 10_000_000_000 }, { freshMs: 9_999_999_999 }],
    ['endless freshMs', { freshMs: Number.POSITIVE_INFINITY }, { freshMs: 9_999_999_999 }],
    ['loadMs beyond its field', { loadMs: 1_000_000 }, { loadMs: 999_999 }],
    ['a fraction of freshMs', { freshMs: 1.9 }, { freshMs: 1 }],
    ['a fraction of loadMs', { loadMs: 1.1 }, { loadMs: 2 }],
  ])('clamps or rounds %s', (_name, given, read) => {
    expect(envelope.open(stored(given))).toMatchObject(read)
  })

  it.each([
    ['a short shape', { shape: '1f0c3a7' }],
    ['a long shape', { shape: '1f0c3a7e0' }],
    ['a shape that is more bytes than characters', { shape: '1f0c3a7ü' }],
    ['a short epoch', { epoch: '' }],
    ['an epoch with a space', { epoch: '0000 000' }],
    ['a version of 20 digits', { version: '1'.repeat(20) }],
    ['a version with leading zeros', { version: '01' }],
    ['a negative version', { version: '-1' }],
    ['an empty version', { version: '' }],
    ['a snapshot of 10,000 characters', { snapshot: '1'.repeat(10_000) }],
    ['an empty snapshot', { snapshot: '' }],
    ['a snapshot that is not ASCII', { snapshot: '10:20:ü' }],
    ['negative freshMs', { freshMs: -1 }],
    ['freshMs that is no number', { freshMs: Number.NaN }],
    ['loadMs that is no number', { loadMs: Number.NaN }],
  ])('throws for %s', (_name, changes) => {
    expect(() => sealed(changes)).toThrow(RangeError)
  })

  it('names the field, what it expects and what it found', () => {
    expect(() => sealed({ shape: 'abc' })).toThrow(
      'shape does not fit the envelope: expected 8 printable ASCII characters, found "abc"',
    )
  })

  it.each([Number.NaN, -1, 1.5, 10 ** 13])('is not stamped with %s', (filledAtMs) => {
    expect(() => stamp(sealed(), filledAtMs)).toThrow(RangeError)
  })
})

describe('open', () => {
  it('gives a view on the stored bytes, not a copy', () => {
    const bytes = stored()
    const entry = envelope.open(bytes)
    expect('payload' in entry && entry.payload.buffer).toBe(bytes.buffer)
  })

  it('reads a Uint8Array that is no Buffer, and starts in the middle of its memory', () => {
    const roomy = new Uint8Array(stored().length + 8)
    roomy.set(stored(), 3)
    const entry = envelope.open(roomy.subarray(3, 3 + stored().length))
    expect(entry).toEqual({ ...ENTRY, filledAtMs: FILLED_AT_MS })
  })

  it.each(['0', '7', '9223372036854775807', '9999999999999999999'])('reads version %s', (version) => {
    expect(envelope.open(stored({ version }))).toMatchObject({ version })
  })

  it('tells two fills of the same row apart by the bytes that a lease compares', () => {
    const later = Buffer.from(stamp(sealed(), FILLED_AT_MS + 1))
    const other = stored({ payload: Buffer.from('["j",2]') })
    for (const bytes of [later, other]) {
      expect(bytes.subarray(0, SEEN_BYTES)).not.toEqual(stored().subarray(0, SEEN_BYTES))
    }
  })

  it.each([
    ['nothing', Buffer.alloc(0)],
    ['one byte', Buffer.from('C')],
    ['another magic', Buffer.from(`D${stored().toString('latin1').slice(1)}`, 'latin1')],
    ['lower case', Buffer.from(`c${stored().toString('latin1').slice(1)}`, 'latin1')],
    ['a word with C', Buffer.from('Cat, and more than 81 characters of it'.repeat(3))],
    ['JSON', Buffer.from('{"id":1}')],
  ])('calls %s foreign', (_name, bytes) => {
    expect(envelope.open(bytes)).toEqual({ unreadable: 'foreign' })
  })

  it.each([
    ['format 2', forged(1, '2')],
    ['format 0', forged(1, '0')],
    ['a format that needs less than our header', Buffer.from('C9')],
    ['an unknown kind', forged(WIRE.kind.at, 'z')],
    ['an unknown encoding', forged(WIRE.encoding.at, '?')],
  ])('calls %s another format', (_name, bytes) => {
    expect(envelope.open(bytes)).toEqual({ unreadable: 'format' })
  })

  it.each([
    ['a header cut short', stored().subarray(0, WIRE.body - 1)],
    ['two bytes', Buffer.from('C1')],
    ['a checksum of nothing', Buffer.from('C1179520723830800000000')],
    ['a payload cut short', stored().subarray(0, -1)],
    ['a payload with more behind', Buffer.concat([stored(), Buffer.from(' ')])],
    ['an upper-case checksum', upperCaseChecksum()],
    ['a fill time that is no number', forged(WIRE.filledAt.at, '17952x7238308')],
    ['freshMs that is no number', forged(WIRE.freshMs.at, '-000300000')],
    ['loadMs that is no number', forged(WIRE.loadMs.at, '0x0012')],
    ['a snapshot length that is no number', forged(WIRE.snapshotLength.at, '1e01')],
    ['a snapshot longer than the entry', forged(WIRE.snapshotLength.at, '9999')],
    ['a version of 20 digits', forged(WIRE.version.at, '1'.repeat(20))],
    ['a version with a letter', forged(WIRE.version.at, '0000179520723830894x')],
    ['a version that is half dashes', forged(WIRE.version.at, '----------0123456789')],
  ])('calls %s corrupt', (_name, bytes) => {
    expect(envelope.open(bytes)).toEqual({ unreadable: 'corrupt' })
  })

  it('calls a flipped bit in the kind corrupt, because the checksum comes first', () => {
    const bytes = stored()
    bytes[WIRE.kind.at] = 'z'.charCodeAt(0)
    expect(envelope.open(bytes)).toEqual({ unreadable: 'corrupt' })
  })
})

describe('an entry', () => {
  const fixed = (width: number) =>
    fc.string({ unit: fc.constantFrom(...'0123456789abcdef'), minLength: width, maxLength: width })
  const entries = fc.record<NewEntry>({
    kind: fc.constantFrom('row', 'absent', 'lookup', 'query'),
    shape: fixed(8),
    version: fc.option(
      fc.bigInt({ min: 0n, max: 2n ** 63n - 1n }).map((stamp) => String(stamp) as Version),
      {
        nil: undefined,
      },
    ),
    snapshot: fc.option(fc.string({ unit: fc.constantFrom(...'0123456789:,'), minLength: 1, maxLength: 60 }), {
      nil: undefined,
    }),
    freshMs: fc.nat(9_999_999_999),
    loadMs: fc.nat(999_999),
    epoch: fixed(8),
    payload: fc.uint8Array({ maxLength: 120 }).map((bytes) => Buffer.from(bytes)),
  })
  const times = fc.nat(9_999_999_999_999)

  it('survives the round trip, 10,000 times', () => {
    fc.assert(
      fc.property(entries, times, (entry, filledAtMs) => {
        expect(envelope.open(stamp(envelope.seal(entry), filledAtMs))).toStrictEqual({ ...entry, filledAtMs })
      }),
      { numRuns: 10_000 },
    )
  }, 60_000)

  it('never becomes another one: 100,000 flips, cuts, insertions and swaps of bytes', () => {
    const damage = fc.tuple(fc.constantFrom('flip', 'cut', 'insert', 'set', 'swap'), fc.nat(), fc.nat(), fc.nat(255))
    fc.assert(
      fc.property(entries, fc.array(damage, { minLength: 20, maxLength: 20 }), (entry, damages) => {
        const bytes = Buffer.from(stamp(envelope.seal(entry), FILLED_AT_MS))
        for (const [how, where, to, byte] of damages) {
          const opened = envelope.open(damaged(bytes, how, where, to, byte))
          // The fill time is the store's and outside the checksum; whatever digits it has are taken.
          if (!('unreadable' in opened)) expect({ ...opened, filledAtMs: 0 }).toStrictEqual({ ...entry, filledAtMs: 0 })
        }
      }),
      { numRuns: 5_000 },
    )
  }, 60_000)

  it('is never found in 100,000 arbitrary byte strings, and none of them throws', () => {
    const bytes = fc.uint8Array({ maxLength: 200 })
    const digits = fc.string({ unit: fc.constantFrom(...'0123456789abcdefrjlq-'), minLength: 79, maxLength: 200 })
    fc.assert(
      fc.property(bytes, digits, (anything, nearly) => {
        expect(envelope.open(anything)).toHaveProperty('unreadable')
        expect(envelope.open(Buffer.from(`C1${nearly}`, 'latin1'))).toEqual({ unreadable: 'corrupt' })
      }),
      { numRuns: 50_000 },
    )
  }, 60_000)
})

function damaged(bytes: Buffer, how: string, where: number, to: number, byte: number): Buffer {
  const at = where % bytes.length
  const copy = Buffer.from(bytes)
  switch (how) {
    case 'flip':
      copy[at] = (copy[at] as number) ^ (1 << (byte % 8))
      return copy
    case 'cut':
      return copy.subarray(0, at)
    case 'insert':
      return Buffer.concat([copy.subarray(0, at), Buffer.from([byte]), copy.subarray(at)])
    case 'swap': {
      const other = to % bytes.length
      copy[at] = bytes[other] as number
      copy[other] = bytes[at] as number
      return copy
    }
    default:
      copy[at] = byte
      return copy
  }
}

function upperCaseChecksum(): Buffer {
  for (let loadMs = 0; ; loadMs++) {
    const bytes = stored({ loadMs })
    const checksum = bytes.toString('latin1', WIRE.checksum.at, WIRE.kind.at)
    if (checksum === checksum.toUpperCase()) continue
    bytes.write(checksum.toUpperCase(), WIRE.checksum.at, 'latin1')
    return bytes
  }
}
