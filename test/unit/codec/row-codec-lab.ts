import { IntervalClass } from '../../../src/adapters/codec/interval-class.js'
import { createRowCodec, type RowCodec } from '../../../src/adapters/codec/row-codec.js'

/** The codec of a table with these columns. */
export function codecOf(
  properties: readonly string[],
  schemaVersion = '',
  intervals: IntervalClass = new IntervalClass(),
): RowCodec {
  return createRowCodec({
    columns: properties.map((property) => ({ property, type: 'text' })),
    schemaVersion,
    intervals,
  })
}

/** @throws Error for a row that cannot be cached. */
export function encoded(codec: RowCodec, value: object): Uint8Array {
  const payload = codec.encode(value)
  if ('uncacheable' in payload) throw new Error(`uncacheable: ${JSON.stringify(payload)}`)
  return payload
}
