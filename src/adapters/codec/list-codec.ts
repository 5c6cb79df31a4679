import { IntervalClass } from './interval-class.js'
import { fromPayload, isTextList, toPayload } from './json-payload.js'
import { closeList } from './read-only.js'
import { RowLayout } from './row-layout.js'
import { shapeOf } from './shape.js'
import type { Uncacheable } from './uncacheable.js'

/** Results of one query to payloads and back. No catalog knows their columns, so each payload names them, once. */
export interface ListCodec {
  /** Fingerprint of the codec and the schema version; the columns are in the payload. */
  readonly shape: string
  /** The payload, or why the rows cannot be stored: a value, or rows of differing columns. Never throws. */
  encode(rows: readonly object[]): Uint8Array | Uncacheable
  /** A frozen list of frozen rows, deep-equal to what was encoded, or undefined as for `RowCodec`. Never throws. */
  decode(payload: Uint8Array): readonly object[] | undefined
}

export interface ListCodecOptions {
  readonly schemaVersion: string
  readonly intervals?: IntervalClass
}

export function createListCodec(options: ListCodecOptions): ListCodec {
  const { schemaVersion, intervals = new IntervalClass() } = options
  // Nearly always the columns of the last result, whose layout (and the rows' hidden class) can be used again.
  let last = new RowLayout([], intervals)
  const layoutOf = (properties: readonly string[]): RowLayout => {
    if (!isSameList(properties, last.properties)) last = new RowLayout(properties, intervals)
    return last
  }
  return {
    shape: shapeOf('list', schemaVersion, []),
    encode: (rows) => {
      const layout = layoutOf(rows.length === 0 ? [] : Object.keys(rows[0] as object))
      const parts: unknown[] = [layout.properties]
      for (const row of rows) {
        const written = layout.write(row)
        if (!Array.isArray(written)) return written
        parts.push(written)
      }
      return toPayload(parts)
    },
    decode: (payload) => {
      const parts = fromPayload(payload)
      if (parts === undefined || !isTextList(parts[0])) return undefined
      const layout = layoutOf(parts[0])
      // Names that occur twice, or in an order no object has: no encoder wrote them.
      if (!isSameList(parts[0], layout.properties)) return undefined
      return readRows(layout, parts)
    },
  }
}

function readRows(layout: RowLayout, parts: readonly unknown[]): readonly object[] | undefined {
  const rows: object[] = []
  for (let i = 1; i < parts.length; i++) {
    const row = layout.read(parts[i])
    if (row === undefined) return undefined
    rows.push(row)
  }
  return closeList(rows)
}

function isSameList(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((text, i) => text === b[i])
}
