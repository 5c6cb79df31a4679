import { Buffer } from 'node:buffer'

/** JSON text as UTF-8. `JSON.stringify` escapes half surrogate pairs, so no string is damaged on the way. */
export function toPayload(parts: readonly unknown[]): Uint8Array {
  return Buffer.from(JSON.stringify(parts), 'utf8')
}

/** The array a payload holds, or undefined when it is anything else. Never throws. */
export function fromPayload(payload: Uint8Array): unknown[] | undefined {
  const bytes = Buffer.isBuffer(payload) ? payload : Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength)
  try {
    const parts: unknown = JSON.parse(bytes.toString('utf8'))
    return Array.isArray(parts) ? parts : undefined
  } catch {
    return undefined
  }
}

/** True for an array of nothing but strings. */
export function isTextList(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((text) => typeof text === 'string')
}
