import { Buffer } from 'node:buffer'
import { createCipheriv, createDecipheriv, createSecretKey, type KeyObject } from 'node:crypto'
import type { DrawBytes } from '../../core/clock.js'
import type { CacheKey } from '../../core/key.js'
import { digitsAt } from './ascii-field.js'
import type { ResolvedEncryption } from './encryption-options.js'

const ALGORITHM = 'aes-256-gcm'
/** Digits of the length of the key's id. */
const ID_LENGTH_DIGITS = 2
const NONCE_BYTES = 12
const TAG_BYTES = 16

/**
 * Payloads under AES-256-GCM (NIST SP 800-38D):
 *
 * ```
 * 02 k7 <nonce: 12 bytes> <tag: 16 bytes> <ciphertext>
 * |  |
 * |  id of the key
 * its length, 2 digits        (adjacent; the spaces are only shown here)
 * ```
 *
 * The tag covers more than the payload: the cache key, every header field that the codec writes (kind, encoding, shape, version,
 * lifetime, load cost, epoch, snapshot) and the id. So nothing that was sealed opens under another key, as another version or for longer.
 *
 * A nonce is 96 random bits. Two that are alike under one key would give both payloads away and the means to forge; up to 2^32 entries a
 * key, the chance of that stays below 2^-32 (SP 800-38D, 8.3). docs/guides/security.md says how soon that is.
 */
export class PayloadCipher {
  /** Entries in the clear are read as well. */
  readonly acceptsPlain: boolean
  readonly #keys: ReadonlyMap<string, KeyObject>
  readonly #current: string | null
  readonly #draw: DrawBytes

  constructor({ current, keys, plain }: ResolvedEncryption, draw: DrawBytes) {
    this.#keys = new Map([...keys].map(([id, key]) => [id, createSecretKey(key)]))
    this.#current = current
    this.acceptsPlain = plain === 'accept'
    this.#draw = draw
  }

  /** False: entries are written in the clear, and encrypted ones are read. */
  get encrypts(): boolean {
    return this.#current !== null
  }

  /** @param header the fields of the entry that it will be sealed with. */
  seal(payload: Uint8Array, header: string, key: CacheKey): Uint8Array {
    const id = this.#current as string
    const start = String(id.length).padStart(ID_LENGTH_DIGITS, '0') + id
    const nonce = this.#draw(NONCE_BYTES)
    const cipher = createCipheriv(ALGORITHM, this.#keys.get(id) as KeyObject, nonce, { authTagLength: TAG_BYTES })
    cipher.setAAD(boundTo(key, header, start))
    const ciphertext = cipher.update(payload)
    cipher.final()
    return Buffer.concat([Buffer.from(start, 'latin1'), nonce, cipher.getAuthTag(), ciphertext])
  }

  /** The payload; `unknown-key` when this process has not got the key it was sealed with, `forged` when anything was changed since. */
  open(sealed: Buffer, header: string, key: CacheKey): Uint8Array | 'corrupt' | 'unknown-key' | 'forged' {
    const idLength = digitsAt(sealed, 0, ID_LENGTH_DIGITS)
    const nonceAt = ID_LENGTH_DIGITS + idLength
    const tagAt = nonceAt + NONCE_BYTES
    const payloadAt = tagAt + TAG_BYTES
    if (idLength < 0 || sealed.length < payloadAt) return 'corrupt'
    const start = sealed.toString('latin1', 0, nonceAt)
    const secret = this.#keys.get(start.slice(ID_LENGTH_DIGITS))
    if (secret === undefined) return 'unknown-key'
    const nonce = sealed.subarray(nonceAt, tagAt)
    const decipher = createDecipheriv(ALGORITHM, secret, nonce, { authTagLength: TAG_BYTES })
    decipher.setAAD(boundTo(key, header, start))
    decipher.setAuthTag(sealed.subarray(tagAt, payloadAt))
    const payload = decipher.update(sealed.subarray(payloadAt))
    try {
      decipher.final()
    } catch {
      return 'forged'
    }
    return payload
  }
}

/** What the tag covers besides the payload. The key's length comes first, so that no other key and header read the same. */
function boundTo(key: CacheKey, header: string, start: string): Buffer {
  return Buffer.from(`corral entry ${key.length}:${key}${start}${header}`, 'utf8')
}
