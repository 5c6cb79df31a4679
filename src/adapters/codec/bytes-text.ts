import { Buffer } from 'node:buffer'

/** The wire form of bytes: base64 with padding (RFC 4648, section 4). */
export function bytesToText(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64')
}

/** The bytes, or undefined when the text is not their wire form. */
export function textToBytes(text: unknown): Buffer | undefined {
  if (typeof text !== 'string' || text.length % 4 !== 0) return undefined
  // Not from the shared pool: a few bytes kept in memory would keep the pool's 8 KiB alive with them.
  const bytes = Buffer.allocUnsafeSlow(Buffer.byteLength(text, 'base64'))
  // Characters outside the alphabet are skipped by Node, so fewer bytes arrive than the length promised.
  return bytes.write(text, 'base64') === bytes.length ? bytes : undefined
}
