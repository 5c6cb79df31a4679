import { Buffer } from 'node:buffer'
import { crc32 } from 'node:zlib'
import type { Entry, EntryKind, NewEntry } from '../../core/entry.js'
import type { CacheKey } from '../../core/key.js'
import type { EntryCodec, SealedEntry, StoredBytes, Unreadable, UnreadableReason } from '../../core/ports.js'
import type { Version } from '../../core/version.js'
import { NO_VERSION, WIRE } from '../../core/wire.js'
import { digitsAt, hexAt, isPrintable } from './ascii-field.js'
import { compressed, expanded } from './compressed-payload.js'
import type { PayloadCipher } from './payload-cipher.js'

const KIND_MARK = { row: 'r', absent: 'a', lookup: 'l', query: 'q' } as const satisfies Record<EntryKind, string>
const KIND_OF = new Map(Object.entries(KIND_MARK).map(([kind, mark]) => [mark.charCodeAt(0), kind as EntryKind]))

/** How the payload is written. A later release may add forms; releases before it read them as a miss. */
const ENCODING_MARK = { json: 'j', compressed: 'z', encrypted: 'J', compressedAndEncrypted: 'Z' } as const
const ENCODINGS = new Set(Object.values(ENCODING_MARK).map((mark) => mark.charCodeAt(0)))
const PLAIN = ENCODING_MARK.json.charCodeAt(0)
const COMPRESSED = ENCODING_MARK.compressed.charCodeAt(0)
const COMPRESSED_AND_ENCRYPTED = ENCODING_MARK.compressedAndEncrypted.charCodeAt(0)

const MAGIC = WIRE.magic.charCodeAt(0)
const FORMAT = WIRE.magic.charCodeAt(1)
const DASH = NO_VERSION.charCodeAt(0)
const ZERO = '0'.charCodeAt(0)

const FOREIGN: Unreadable = Object.freeze({ unreadable: 'foreign' })
const UNKNOWN_FORMAT: Unreadable = Object.freeze({ unreadable: 'format' })
const CORRUPT: Unreadable = Object.freeze({ unreadable: 'corrupt' })
const OVERSIZED: Unreadable = Object.freeze({ unreadable: 'oversized' })

/** What an entry is longer than its payload by at most: header, snapshot, and what encryption adds. */
const MOST_OVERHEAD = 16 * 1024

export interface EnvelopeOptions {
  /** Payloads longer than this are compressed, if that makes them smaller. 0: none is. Compressed ones are read in any case. */
  readonly compressAboveBytes: number
  readonly maxEntryBytes: number
  /** Undefined: payloads are written in the clear, and encrypted ones cannot be read. */
  readonly cipher?: PayloadCipher | undefined
}

/**
 * `EntryCodec` over the layout in core/wire.ts.
 *
 * `seal` returns a Buffer, because ioredis would write any other Uint8Array as text. It rounds `freshMs` down and
 * `loadMs` up to whole milliseconds and clamps both to their fields; everything else that does not fit is a
 * mistake in this library and throws a RangeError.
 *
 * `open` never throws. `foreign`: not ours, no `C` and digit at the start. `format`: ours, by a release that knows more
 * formats, kinds or encodings. `corrupt`: checksum, digits or lengths are wrong. Nothing protects the fill time, which
 * is written by the store after the checksum was made: any 13 digits are taken.
 *
 * A payload is compressed first and encrypted then; the other way round there is nothing left to compress.
 */
export class Envelope implements EntryCodec {
  readonly maxEntryBytes: number
  readonly #compressAboveBytes: number
  readonly #maxStoredBytes: number
  readonly #cipher: PayloadCipher | undefined
  readonly #readsPlain: boolean

  constructor({ compressAboveBytes, maxEntryBytes, cipher }: EnvelopeOptions) {
    this.maxEntryBytes = maxEntryBytes
    this.#compressAboveBytes = compressAboveBytes === 0 ? Number.POSITIVE_INFINITY : compressAboveBytes
    this.#maxStoredBytes = maxEntryBytes + MOST_OVERHEAD
    this.#cipher = cipher
    this.#readsPlain = cipher?.acceptsPlain ?? true
  }

  seal(entry: NewEntry, key: CacheKey): SealedEntry {
    const { snapshot = '' } = entry
    const smaller = entry.payload.length > this.#compressAboveBytes ? compressed(entry.payload) : undefined
    const cipher = this.#cipher?.encrypts ? this.#cipher : undefined
    const fields =
      KIND_MARK[entry.kind] +
      encodingMark(smaller !== undefined, cipher !== undefined) +
      textField('shape', entry.shape, WIRE.shape.width) +
      versionField(entry.version) +
      clampedField('freshMs', Math.floor(entry.freshMs), WIRE.freshMs.width) +
      clampedField('loadMs', Math.ceil(entry.loadMs), WIRE.loadMs.width) +
      textField('epoch', entry.epoch, WIRE.epoch.width) +
      wholeField('the length of snapshot', snapshot.length, WIRE.snapshotLength.width)
    if (entry.snapshot === '' || !isPrintable(snapshot)) throw misfit('snapshot', 'printable ASCII', snapshot)

    const clear = smaller ?? entry.payload
    const payload = cipher?.seal(clear, fields + snapshot, key) ?? clear
    const { width } = WIRE.checksum
    const bytes = Buffer.allocUnsafe(width + fields.length + snapshot.length + payload.length)
    bytes.write(fields + snapshot, width, 'latin1')
    bytes.set(payload, width + fields.length + snapshot.length)
    bytes.write(crc32(bytes.subarray(width)).toString(16).padStart(width, '0'), 0, 'latin1')
    return bytes
  }

  open(stored: StoredBytes, key: CacheKey): Entry | Unreadable {
    if (stored[0] !== MAGIC || digitsAt(stored, 1, 1) < 0) return FOREIGN
    if (stored[1] !== FORMAT) return UNKNOWN_FORMAT
    if (stored.length < WIRE.body) return CORRUPT
    if (stored.length > this.#maxStoredBytes) return OVERSIZED
    const bytes = Buffer.isBuffer(stored) ? stored : Buffer.from(stored.buffer, stored.byteOffset, stored.length)
    // Before anything is believed: a flipped bit must not turn one kind, version or deadline into another.
    if (hexAt(bytes, WIRE.checksum.at, WIRE.checksum.width) !== crc32(bytes.subarray(WIRE.kind.at))) return CORRUPT

    const kind = KIND_OF.get(bytes[WIRE.kind.at] as number)
    const encoding = bytes[WIRE.encoding.at] as number
    if (kind === undefined || !ENCODINGS.has(encoding)) return UNKNOWN_FORMAT
    const filledAtMs = digitsAt(bytes, WIRE.filledAt.at, WIRE.filledAt.width)
    const freshMs = digitsAt(bytes, WIRE.freshMs.at, WIRE.freshMs.width)
    const loadMs = digitsAt(bytes, WIRE.loadMs.at, WIRE.loadMs.width)
    const snapshotLength = digitsAt(bytes, WIRE.snapshotLength.at, WIRE.snapshotLength.width)
    if (filledAtMs < 0 || freshMs < 0 || loadMs < 0 || snapshotLength < 0) return CORRUPT
    const payloadAt = WIRE.body + snapshotLength
    if (payloadAt > bytes.length) return CORRUPT
    const header = bytes.toString('latin1', 0, payloadAt)
    const version = versionAt(header)
    if (version === null) return CORRUPT
    let payload: Uint8Array = bytes.subarray(payloadAt)
    if (encoding !== PLAIN || !this.#readsPlain) {
      const clear = this.#clear(encoding, bytes.subarray(payloadAt), header.slice(WIRE.kind.at), key)
      if (typeof clear === 'string') return { unreadable: clear }
      payload = clear
    }
    return {
      kind,
      shape: header.slice(WIRE.shape.at, WIRE.shape.at + WIRE.shape.width),
      version,
      snapshot: snapshotLength === 0 ? undefined : header.slice(WIRE.body),
      freshMs,
      loadMs,
      epoch: header.slice(WIRE.epoch.at, WIRE.epoch.at + WIRE.epoch.width),
      payload,
      filledAtMs,
    }
  }

  /** A payload decrypted and expanded; or why not. */
  #clear(encoding: number, payload: Buffer, header: string, key: CacheKey): Uint8Array | UnreadableReason {
    if (encoding === PLAIN || encoding === COMPRESSED) {
      if (!this.#readsPlain) return 'unencrypted'
      return encoding === PLAIN ? payload : expanded(payload, this.maxEntryBytes)
    }
    const opened = this.#cipher?.open(payload, header, key) ?? 'unknown-key'
    if (typeof opened === 'string' || encoding !== COMPRESSED_AND_ENCRYPTED) return opened
    return expanded(opened, this.maxEntryBytes)
  }
}

function encodingMark(isCompressed: boolean, isEncrypted: boolean): string {
  if (isEncrypted) return isCompressed ? ENCODING_MARK.compressedAndEncrypted : ENCODING_MARK.encrypted
  return isCompressed ? ENCODING_MARK.compressed : ENCODING_MARK.json
}

/** `EntryCodec` of entries in the clear, for which keys mean nothing. */
interface PlainCodec extends EntryCodec {
  seal(entry: NewEntry, key?: CacheKey): SealedEntry
  open(bytes: StoredBytes, key?: CacheKey): Entry | Unreadable
}

/** Compresses nothing, limits nothing, and reads what is not encrypted: for tests and tools. */
export const envelope: PlainCodec = new Envelope({ compressAboveBytes: 0, maxEntryBytes: Number.POSITIVE_INFINITY })

/** Puts magic and fill time before a sealed entry, as the Redis scripts do: what then lies in the store. */
export function stamp(sealed: SealedEntry, filledAtMs: number): Uint8Array {
  const { at, width } = WIRE.filledAt
  const bytes = Buffer.allocUnsafe(WIRE.checksum.at + sealed.length)
  bytes.write(WIRE.magic, 0, 'latin1')
  bytes.write(wholeField('filledAtMs', filledAtMs, width), at, 'latin1')
  bytes.set(sealed, WIRE.checksum.at)
  return bytes
}

/** Undefined: the entry has none. Null: the field holds neither dashes nor a version. */
function versionAt(header: string): Version | undefined | null {
  const { at, width } = WIRE.version
  const end = at + width
  if (header.charCodeAt(at) === DASH) return header.startsWith(NO_VERSION, at) ? undefined : null
  // A bigint has at most 19 digits.
  if (header.charCodeAt(at) !== ZERO) return null
  let start = at
  while (start < end - 1 && header.charCodeAt(start) === ZERO) start++
  for (let i = start; i < end; i++) {
    const digit = header.charCodeAt(i) - ZERO
    if (digit < 0 || digit > 9) return null
  }
  return header.slice(start, end) as Version
}

function versionField(version: Version | undefined): string {
  if (version === undefined) return NO_VERSION
  if (!/^(?:0|[1-9]\d{0,18})$/.test(version))
    throw misfit('version', 'at most 19 digits without leading zeros', version)
  return version.padStart(WIRE.version.width, '0')
}

function textField(name: string, text: string, width: number): string {
  if (text.length !== width || !isPrintable(text)) throw misfit(name, `${width} printable ASCII characters`, text)
  return text
}

function clampedField(name: string, value: number, width: number): string {
  return wholeField(name, Math.min(value, 10 ** width - 1), width)
}

function wholeField(name: string, value: number, width: number): string {
  if (!Number.isInteger(value) || value < 0 || value >= 10 ** width) {
    throw misfit(name, `a whole number of at most ${width} digits`, value)
  }
  return String(value).padStart(width, '0')
}

function misfit(name: string, expected: string, found: string | number): RangeError {
  const shown = typeof found === 'string' && found.length > 40 ? `${found.slice(0, 40)}… (${found.length})` : found
  return new RangeError(`${name} does not fit the envelope: expected ${expected}, found ${JSON.stringify(shown)}`)
}
