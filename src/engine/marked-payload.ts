import { Buffer } from 'node:buffer'

/** Marks by their keys: of what a result depends on, as they were before it was read. */
export type Marks = ReadonlyMap<string, string>

const END_OF_MARKS = 0x0a

/** The payload of an entry that depends on marks: the marks as JSON, a newline, and what they are about. */
export function withMarks(marks: Marks, payload: Uint8Array): Uint8Array {
  return Buffer.concat([Buffer.from(JSON.stringify([...marks]), 'latin1'), Buffer.of(END_OF_MARKS), payload])
}

/** Undefined when the payload is malformed. */
export function readMarks(payload: Uint8Array): Marks | undefined {
  const end = payload.indexOf(END_OF_MARKS)
  if (end < 0) return undefined
  try {
    const marks: unknown = JSON.parse(Buffer.from(payload.subarray(0, end)).toString('latin1'))
    return Array.isArray(marks) && marks.every(isMark) ? new Map(marks) : undefined
  } catch {
    return undefined
  }
}

function isMark(pair: unknown): pair is [string, string] {
  return Array.isArray(pair) && pair.length === 2 && pair.every((part) => typeof part === 'string')
}

export function withoutMarks(payload: Uint8Array): Uint8Array {
  return payload.subarray(payload.indexOf(END_OF_MARKS) + 1)
}
