import type { CanonicalId } from '../../core/ports.js'
import { fromPayload, isTextList, toPayload } from './json-payload.js'
import { type Column, shapeOf } from './shape.js'

/** What a lookup entry holds: the canonical id of the row that a unique column points to. */
export interface IdCodec {
  /** Fingerprint of the key columns, their types and the schema version. */
  readonly shape: string
  encode(id: CanonicalId): Uint8Array
  /** The id, frozen, or undefined when the payload is malformed or has another number of parts. Never throws. */
  decode(payload: Uint8Array): CanonicalId | undefined
}

/** @param options.columns the key columns, in the order of the id's parts. */
export function createIdCodec(options: { columns: readonly Column[]; schemaVersion: string }): IdCodec {
  const { columns, schemaVersion } = options
  return {
    shape: shapeOf('id', schemaVersion, columns),
    encode: toPayload,
    decode: (payload) => {
      const parts = fromPayload(payload)
      return isTextList(parts) && parts.length === columns.length ? Object.freeze(parts) : undefined
    },
  }
}
