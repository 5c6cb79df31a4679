import { IntervalClass } from './interval-class.js'
import { fromPayload, toPayload } from './json-payload.js'
import { RowLayout } from './row-layout.js'
import { type Column, shapeOf } from './shape.js'
import type { Uncacheable } from './uncacheable.js'

/** Rows of one table to payloads and back. */
export interface RowCodec {
  /** Fingerprint of the columns, their types and the schema version. Only payloads of this shape may be decoded. */
  readonly shape: string
  /** The payload, or why this row cannot be told from another one after the round trip. Never throws. */
  encode(row: object): Uint8Array | Uncacheable
  /**
   * A frozen row that is deep-equal to the one encoded, prototypes and order of keys included; undefined when the
   * payload is malformed, or holds an interval and `intervals` knows no class yet. Never throws.
   */
  decode(payload: Uint8Array): object | undefined
}

export interface RowCodecOptions {
  /** In the order the database returns them. */
  readonly columns: readonly Column[]
  /** The application's own mark for what the columns do not show: parsers of the driver, plugins, meaning. */
  readonly schemaVersion: string
  /** Shared by all codecs whose rows come from one driver. Default: one of its own, which learns from rows encoded. */
  readonly intervals?: IntervalClass
}

/** @throws TypeError when two columns become the same property. */
export function createRowCodec(options: RowCodecOptions): RowCodec {
  const { columns, schemaVersion, intervals = new IntervalClass() } = options
  const layout = new RowLayout(
    columns.map(({ property }) => property),
    intervals,
  )
  if (layout.properties.length !== columns.length) {
    throw new TypeError(`columns must become different properties, found ${columns.map((c) => c.property).join(', ')}`)
  }
  return {
    shape: shapeOf('row', schemaVersion, columns),
    encode: (row) => {
      const parts = layout.write(row)
      return Array.isArray(parts) ? toPayload(parts) : parts
    },
    decode: (payload) => layout.read(fromPayload(payload)),
  }
}
