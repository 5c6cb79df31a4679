import type { CacheKey } from '../core/key.js'

/** Hash slots of a Redis Cluster. */
const SLOTS = 16_384

/**
 * Suffixes for the `copies` copies of a hot key, such as `:slot0.3`: with `copyKey` the i-th copy falls into the i-th of
 * as many equal ranges of the hash slots.
 *
 * Numbers alone do not do that: CRC-16 is linear, so keys that differ in their last digit keep a pattern, and six copies on
 * six shards reach four (docs/design/early-refresh.md). The number after the point is the least that falls into the range. The
 * result depends on the key only, not on the cluster's layout; each takes up to twice as many tries as there are copies, so
 * callers keep it. Where shards own contiguous slots, as by default, copies spread over as many shards as they can.
 *
 * No braces around the numbers: `{0}` would be a hash tag and put copy 0 of every key into one slot.
 */
export function copySuffixes(key: CacheKey, copies: number): readonly string[] {
  return Array.from({ length: copies }, (_, copy) => copySuffix(key, copies, copy))
}

/** One of them: `copySuffixes(key, copies)[copy]`. */
export function copySuffix(key: CacheKey, copies: number, copy: number): string {
  const stem = `:slot${copy}.`
  const crc = crc16(hashTag(key) + stem)
  for (let attempt = 0; ; attempt++) {
    const slot = crc16(String(attempt), crc) % SLOTS
    if (Math.floor((slot * copies) / SLOTS) === copy) return stem + attempt
  }
}

/**
 * The hash slot of any key in a Redis Cluster: CRC-16 of the part between the first `{` and the first `}` after it, or of
 * the whole key if there is none or it is empty.
 *
 * @see the Redis Cluster specification, "Key distribution model" and "Hash tags"
 */
export function keySlot(key: string): number {
  return crc16(hashTag(key)) % SLOTS
}

function hashTag(key: string): string {
  const open = key.indexOf('{')
  if (open < 0) return key
  const close = key.indexOf('}', open + 1)
  return close <= open + 1 ? key : key.slice(open + 1, close)
}

/** CRC-16/XMODEM, polynomial 0x1021, of the text's UTF-8 bytes, continuing from `crc`. */
function crc16(text: string, crc = 0): number {
  for (let i = 0; i < text.length; i++) {
    const byte = text.charCodeAt(i)
    if (byte > 0x7f) return UTF8.encode(text.slice(i)).reduce(addByte, crc)
    crc = addByte(crc, byte)
  }
  return crc
}

function addByte(crc: number, byte: number): number {
  return ((crc << 8) & 0xffff) ^ (TABLE[(crc >> 8) ^ byte] as number)
}

const UTF8 = new TextEncoder()

const TABLE = Uint16Array.from({ length: 256 }, (_, byte) => {
  let crc = byte << 8
  for (let bit = 0; bit < 8; bit++) crc = crc & 0x8000 ? (crc << 1) ^ 0x1021 : crc << 1
  return crc & 0xffff
})
