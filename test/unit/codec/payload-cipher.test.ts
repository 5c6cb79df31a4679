import { Buffer } from 'node:buffer'
import { randomBytes } from 'node:crypto'
import { crc32 } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { type EncryptionOptions, resolveEncryption } from '../../../src/adapters/codec/encryption-options.js'
import { Envelope, envelope, stamp } from '../../../src/adapters/codec/envelope.js'
import { PayloadCipher } from '../../../src/adapters/codec/payload-cipher.js'
import type { NewEntry } from '../../../src/core/entry.js'
import type { CacheKey } from '../../../src/core/key.js'
import type { StoredBytes } from '../../../src/core/ports.js'
import { WIRE } from '../../../src/core/wire.js'
import { rowEntry } from './row-entry.js'

const KEY = 'shop:{public.products/42}' as CacheKey
const [K1, K2] = [Buffer.alloc(32, 1), Buffer.alloc(32, 2)]
const ONLY_K1: EncryptionOptions = { current: 'k1', keys: { k1: K1 } }

function codec(encryption: EncryptionOptions = ONLY_K1, compressAboveBytes = 1_000): Envelope {
  const cipher = new PayloadCipher(resolveEncryption(encryption) as never, randomBytes)
  return new Envelope({ compressAboveBytes, maxEntryBytes: 1024 * 1024, cipher })
}

const entryOf = (changes: Partial<NewEntry> = {}) => rowEntry({ payload: Buffer.from('["j","secret"]'), ...changes })
const stored = (from: Envelope = codec(), changes: Partial<NewEntry> = {}, key = KEY) =>
  Buffer.from(stamp(from.seal(entryOf(changes), key), 1_795_207_238_308))

/** What an attacker would do who can write to the cache: the checksum is right. */
function forged(bytes: Buffer, change: (copy: Buffer) => Buffer | undefined): StoredBytes {
  const copy = Buffer.from(bytes)
  const made = change(copy) ?? copy
  made.write(crc32(made.subarray(WIRE.kind.at)).toString(16).padStart(8, '0'), WIRE.checksum.at, 'latin1')
  return made
}

describe('an encrypted entry', () => {
  it.each([
    ['a row', {}, 'J'],
    ['an absence', { kind: 'absent', payload: Buffer.alloc(0) } as const, 'J'],
    ['a large row', { payload: Buffer.alloc(5_000, 'tea ') }, 'Z'],
    ['a query with a snapshot', { kind: 'query', version: undefined, snapshot: '10:20:11' } as const, 'J'],
  ])('opens as %s, and shows nothing of its payload', (_, changes, encoding) => {
    const bytes = stored(codec(), changes)
    expect(codec().open(bytes, KEY)).toStrictEqual({ ...entryOf(changes), filledAtMs: 1_795_207_238_308 })
    expect(bytes.toString('latin1', WIRE.encoding.at, WIRE.encoding.at + 1)).toBe(encoding)
    expect(bytes.includes('secret')).toBe(false)
    expect(bytes.includes('tea ')).toBe(false)
  })

  it('is another one each time it is sealed', () => {
    const from = codec()
    const nonces = Array.from({ length: 1_000 }, () =>
      stored(from)
        .subarray(WIRE.body + 4, WIRE.body + 16)
        .toString('hex'),
    )
    expect(new Set(nonces).size).toBe(1_000)
  })

  it('takes its nonce from what it was given to draw with', () => {
    const cipher = new PayloadCipher(resolveEncryption(ONLY_K1) as never, (size) => Buffer.alloc(size, 7))
    const bytes = stored(new Envelope({ compressAboveBytes: 0, maxEntryBytes: 1_024, cipher }))
    expect(bytes.subarray(WIRE.body + 4, WIRE.body + 16)).toEqual(Buffer.alloc(12, 7))
  })

  it('opens under no other key', () => {
    for (const other of ['shop:{public.products/43}', 'sho:p{public.products/42}', 'test:{public.products/42}', '']) {
      expect(codec().open(stored(), other as CacheKey)).toEqual({ unreadable: 'forged' })
    }
  })

  it.each([
    ['kind', WIRE.kind.at, 'a'],
    ['encoding', WIRE.encoding.at, 'Z'],
    ['shape', WIRE.shape.at, '1f0c3a7f'],
    ['version', WIRE.version.at, '00001795207238308941'],
    ['lifetime', WIRE.freshMs.at, '0009000000'],
    ['load cost', WIRE.loadMs.at, '000013'],
    ['epoch', WIRE.epoch.at, '00000001'],
  ])('does not open with another %s', (_, at, text) => {
    const bytes = forged(stored(), (copy) => void copy.write(text, at, 'latin1'))
    expect(codec().open(bytes, KEY)).toEqual({ unreadable: 'forged' })
  })

  it('does not open with a snapshot that was added or changed', () => {
    const longer = forged(stored(), (copy) => {
      copy.write('0003', WIRE.snapshotLength.at, 'latin1')
      return Buffer.concat([copy.subarray(0, WIRE.body), Buffer.from('1:1'), copy.subarray(WIRE.body)])
    })
    expect(codec().open(longer, KEY)).toEqual({ unreadable: 'forged' })
    const other = forged(stored(codec(), { version: undefined, snapshot: '10:20:11' }), (copy) => {
      copy.write('12', WIRE.body + 6, 'latin1')
      return undefined
    })
    expect(codec().open(other, KEY)).toEqual({ unreadable: 'forged' })
  })

  it('does not open when any of its bytes was changed', () => {
    const bytes = stored()
    for (let at = WIRE.kind.at; at < bytes.length; at++) {
      const opened = codec().open(
        forged(bytes, (copy) => {
          copy[at] = (copy[at] as number) ^ 1
          return undefined
        }),
        KEY,
      )
      expect(opened, `byte ${at}`).toHaveProperty('unreadable')
    }
  })

  it('does not open when it was cut short', () => {
    const bytes = stored()
    for (let length = WIRE.body; length < bytes.length; length++) {
      expect(
        codec().open(
          forged(bytes, (copy) => copy.subarray(0, length)),
          KEY,
        ),
      ).toHaveProperty('unreadable')
    }
  })

  it('may have its fill time changed: the store writes that', () => {
    const later = forged(stored(), (copy) => void copy.write('1795207239999', WIRE.filledAt.at, 'latin1'))
    expect(codec().open(later, KEY)).toMatchObject({ filledAtMs: 1_795_207_239_999 })
  })
})

describe('rotation', () => {
  const before = codec({ current: 'k1', keys: { k1: K1 } })
  const both = codec({ current: 'k1', keys: { k1: K1, k2: K2 } })
  const turned = codec({ current: 'k2', keys: { k1: K1, k2: K2 } })
  const after = codec({ current: 'k2', keys: { k2: K2 } })

  it('every step reads what the step before and the step after it write', () => {
    for (const [reader, writer] of [
      [before, both],
      [both, before],
      [both, turned],
      [turned, both],
      [turned, after],
      [after, turned],
    ] as const) {
      expect(reader.open(stored(writer), KEY)).toMatchObject(entryOf())
    }
  })

  it('what was sealed with a key that is not there is a miss', () => {
    expect(before.open(stored(turned), KEY)).toEqual({ unreadable: 'unknown-key' })
    expect(after.open(stored(both), KEY)).toEqual({ unreadable: 'unknown-key' })
    expect(envelope.open(stored(), KEY)).toEqual({ unreadable: 'unknown-key' })
  })

  it('another key under the same id is a forger', () => {
    expect(codec({ current: 'k1', keys: { k1: K2 } }).open(stored(), KEY)).toEqual({ unreadable: 'forged' })
  })
})

describe('rolling out', () => {
  const prepared = codec({ current: null, keys: { k1: K1 } })
  const accepting = codec({ current: 'k1', keys: { k1: K1 }, plain: 'accept' })
  const strict = codec()
  const plain = Buffer.from(stamp(envelope.seal(entryOf()), 1))

  it('every step reads what the step before and the step after it write', () => {
    expect(stored(prepared)).toEqual(stored(prepared))
    for (const [reader, writer] of [
      [envelope, prepared],
      [prepared, accepting],
      [accepting, prepared],
      [accepting, strict],
      [strict, accepting],
    ] as const) {
      expect(reader.open(stored(writer), KEY)).toMatchObject(entryOf())
    }
    for (const reader of [prepared, accepting]) expect(reader.open(plain, KEY)).toMatchObject(entryOf())
  })

  it('in the end nothing in the clear is believed', () => {
    expect(strict.open(plain, KEY)).toEqual({ unreadable: 'unencrypted' })
    const large = codec({ current: null, keys: { k1: K1 } })
    expect(strict.open(stored(large, { payload: Buffer.alloc(5_000, 'tea ') }), KEY)).toEqual({
      unreadable: 'unencrypted',
    })
    expect(strict.open(stored(prepared, { kind: 'absent', payload: Buffer.alloc(0) }), KEY)).toEqual({
      unreadable: 'unencrypted',
    })
  })
})

describe('encryption options', () => {
  const message = (given: unknown) => {
    try {
      resolveEncryption(given)
    } catch (error) {
      return (error as Error).message
    }
    return 'nothing was thrown'
  }

  it.each<[string, unknown, string]>([
    ['no object', 'k1', 'option `encryption`: expected an object of options'],
    ['no keys', { current: null }, 'option `encryption.keys`: expected an object'],
    ['an empty list of keys', { current: null, keys: {} }, 'option `encryption.keys`: expected an object'],
    [
      'a short key',
      { current: 'k1', keys: { k1: Buffer.alloc(16) } },
      'option `encryption.keys.k1`: expected a Buffer',
    ],
    [
      'a key as text',
      { current: 'k1', keys: { k1: 'x'.repeat(32) } },
      'option `encryption.keys.k1`: expected a Buffer',
    ],
    [
      'an id with a space',
      { current: 'k 1', keys: { 'k 1': K1 } },
      'option `encryption.keys`: expected ids of 1 to 16',
    ],
    [
      'a current key that is not there',
      { current: 'k2', keys: { k1: K1 } },
      'option `encryption.current`: expected null or one of k1, found "k2"',
    ],
    ['no current key', { keys: { k1: K1 } }, 'option `encryption.current`: expected null or one of k1'],
    ['another choice', { ...ONLY_K1, plain: 'maybe' }, 'option `encryption.plain`: expected `refuse` or `accept`'],
    ['an unknown option', { ...ONLY_K1, algorithm: 'rot13' }, 'option `encryption.algorithm`: expected'],
  ])('%s is refused', (_, given, expected) => {
    expect(message(given)).toContain(expected)
  })

  it('never show what may be a key', () => {
    const secret = K1.toString('base64')
    for (const given of [
      secret,
      { current: secret, keys: { k1: K1 } },
      { current: 'k1', keys: { [secret]: 'k1' } },
      { current: 'k1', keys: { k1: secret } },
      { current: 'k1', keys: secret },
    ]) {
      expect(message(given)).toContain('option `encryption')
      expect(message(given)).not.toContain(secret)
    }
  })
})
