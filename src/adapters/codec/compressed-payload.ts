import { Buffer } from 'node:buffer'
import { deflateRawSync, inflateRawSync } from 'node:zlib'
import { digitsAt } from './ascii-field.js'

/** Digits of the length that stands before the compressed bytes. */
const LENGTH_DIGITS = 10
/** Level 1: on what rows look like, higher ones save a tenth more and take two to eight times as long. See decision 0018. */
const LEVEL = 1
/** What is not at least this much smaller stays as it is: every reader would pay for it. */
const WORTH_IT = 0.9
/** Deflate writes a copy of 258 bytes in no less than 2 bits. */
const MOST_EXPANSION = 1_032

/** The payload as raw deflate (RFC 1951) behind its length, or undefined where that saves too little. */
export function compressed(payload: Uint8Array): Uint8Array | undefined {
  const deflated = deflateRawSync(payload, { level: LEVEL })
  const length = LENGTH_DIGITS + deflated.length
  if (length > payload.length * WORTH_IT) return undefined
  const bytes = Buffer.allocUnsafe(length)
  bytes.write(String(payload.length).padStart(LENGTH_DIGITS, '0'), 0, 'latin1')
  bytes.set(deflated, LENGTH_DIGITS)
  return bytes
}

/**
 * What was compressed; or why there is nothing to be had of it. Never throws.
 *
 * Compressed bytes may claim and hold any length. Nothing is expanded of what claims more than `maxBytes`, and what turns out to hold
 * more than it claims is given up as soon as that shows: never more than the claimed length is kept.
 */
export function expanded(bytes: Uint8Array, maxBytes: number): Uint8Array | 'corrupt' | 'oversized' {
  const length = bytes.length < LENGTH_DIGITS ? -1 : digitsAt(bytes, 0, LENGTH_DIGITS)
  if (length <= 0) return 'corrupt'
  if (length > maxBytes) return 'oversized'
  const deflated = bytes.subarray(LENGTH_DIGITS)
  if (length > deflated.length * MOST_EXPANSION) return 'corrupt'
  try {
    // One chunk for all of it. Deflate's own memory is its window of 32 KiB, whatever the bytes say.
    const payload = inflateRawSync(deflated, { maxOutputLength: length, chunkSize: length + 64 })
    return payload.length === length ? payload : 'corrupt'
  } catch {
    return 'corrupt'
  }
}
