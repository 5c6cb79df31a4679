import { Buffer } from 'node:buffer'
import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { resolveEncryption } from '../../../src/adapters/codec/encryption-options.js'
import { Envelope, stamp } from '../../../src/adapters/codec/envelope.js'
import { createIdCodec } from '../../../src/adapters/codec/id-codec.js'
import { createListCodec } from '../../../src/adapters/codec/list-codec.js'
import { PayloadCipher } from '../../../src/adapters/codec/payload-cipher.js'
import { createRowCodec } from '../../../src/adapters/codec/row-codec.js'
import type { Column } from '../../../src/adapters/codec/shape.js'
import type { Entry, EntryKind } from '../../../src/core/entry.js'
import type { CacheKey } from '../../../src/core/key.js'
import type { Version } from '../../../src/core/version.js'
import { WIRE } from '../../../src/core/wire.js'
import { isSame, objectOf } from './row-arbitrary.js'

/**
 * Bytes written once, by another program than this codec, and never again: every later version has to read them, and
 * today's writes the same (or, of what is compressed, what reads the same: no two releases of zlib need to agree on the bytes). A row in a fixture is a list of properties, so that its order is plain to see.
 */
interface Fixture {
  readonly holds: string
  readonly entry: {
    readonly kind: EntryKind
    readonly shape: string
    readonly version: string | null
    readonly snapshot: string | null
    readonly freshMs: number
    readonly loadMs: number
    readonly epoch: string
    readonly filledAtMs: number
  }
  readonly payload: string
  /** Under which it lies. Default: it does not matter. */
  readonly key?: CacheKey
  /** Default: nothing is compressed. */
  readonly compressAboveBytes?: number
  /** In hexadecimal. */
  readonly encryption?: { readonly keyId: string; readonly key: string; readonly nonce: string }
  readonly codec?: { readonly layout: string; readonly schemaVersion: string; readonly columns: readonly Column[] }
  readonly value?: readonly unknown[]
}

const folder = new URL('../../fixtures/envelopes/', import.meta.url)
const names = readdirSync(folder).filter((name) => name.endsWith('.bin'))

it('there are the eight fixtures of format 1', () => {
  const of = (...kinds: string[]) => kinds.map((kind) => `v1-${kind}.bin`)
  expect(names).toEqual([
    ...of('absent', 'compressed-encrypted', 'compressed', 'encrypted', 'lookup', 'query', 'row', 'snapshot'),
  ])
})

describe.each(names)('%s', (name) => {
  const bytes = readFileSync(new URL(name, folder))
  const fixture = JSON.parse(readFileSync(new URL(name.replace('.bin', '.json'), folder), 'utf8')) as Fixture
  const { filledAtMs, ...fields } = fixture.entry
  const entry: Entry = {
    ...fields,
    version: (fields.version ?? undefined) as Version | undefined,
    snapshot: fields.snapshot ?? undefined,
    payload: Buffer.from(fixture.payload, 'utf8'),
    filledAtMs,
  }

  const { key = 'any' as CacheKey } = fixture
  const envelope = envelopeOf(fixture)

  it('opens as the entry', () => expect(envelope.open(bytes, key)).toStrictEqual(entry))

  it('is what the entry is sealed to', () => {
    const written = Buffer.from(stamp(envelope.seal(entry, key), filledAtMs))
    if (fixture.compressAboveBytes === undefined)
      return expect(written.toString('latin1')).toBe(bytes.toString('latin1'))
    expect(written.toString('latin1', WIRE.kind.at, WIRE.body)).toBe(bytes.toString('latin1', WIRE.kind.at, WIRE.body))
    expect(envelope.open(written, key)).toStrictEqual(entry)
  })

  it('has a payload that decodes to the value, and the value encodes to it', () => {
    const { codec, value } = fixture
    if (codec === undefined || value === undefined) return expect(fixture.payload).toBe('')
    const { shape, decoded, encoded, expected } = through(codec, value, entry.payload)
    expect(shape).toBe(entry.shape)
    expect(isSame(decoded, expected)).toBe(true)
    expect(Buffer.from(encoded as Uint8Array).toString('utf8')).toBe(fixture.payload)
  })
})

function envelopeOf({ compressAboveBytes = 0, encryption }: Fixture): Envelope {
  const options = { compressAboveBytes, maxEntryBytes: 10_000 }
  if (encryption === undefined) return new Envelope(options)
  const { keyId, key, nonce } = encryption
  const resolved = resolveEncryption({ current: keyId, keys: { [keyId]: Buffer.from(key, 'hex') } }) as never
  return new Envelope({ ...options, cipher: new PayloadCipher(resolved, () => Buffer.from(nonce, 'hex')) })
}

function through(
  { layout, ...options }: NonNullable<Fixture['codec']>,
  value: readonly unknown[],
  payload: Uint8Array,
) {
  if (layout === 'row') {
    const codec = createRowCodec(options)
    const row = toRow(value)
    return { shape: codec.shape, decoded: codec.decode(payload), encoded: codec.encode(row), expected: row }
  }
  if (layout === 'list') {
    const codec = createListCodec(options)
    const rows = value.map(toRow)
    return { shape: codec.shape, decoded: codec.decode(payload), encoded: codec.encode(rows), expected: rows }
  }
  const codec = createIdCodec(options)
  const id = value as string[]
  return { shape: codec.shape, decoded: codec.decode(payload), encoded: codec.encode(id), expected: id }
}

function toRow(properties: unknown): object {
  return objectOf(
    (properties as [string, unknown][]).map(([name, value]) => [name, toValue(value)] as const),
    {},
  )
}

function toValue(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(toValue)
  if (typeof value !== 'object' || value === null) return value
  const [mark, content] = Object.entries(value)[0] as [string, unknown]
  switch (mark) {
    case '$date':
      return new Date((content as number | null) ?? Number.NaN)
    case '$bigint':
      return BigInt(content as string)
    case '$bytes':
      return Buffer.from(content as string, 'hex')
    case '$json':
      return JSON.parse(content as string)
    case '$number':
      return Number(content)
    default:
      throw new Error(`unknown mark ${mark} in a fixture`)
  }
}
