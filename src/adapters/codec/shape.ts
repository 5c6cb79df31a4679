import { createHash } from 'node:crypto'

/** One column as a codec needs to know it: the property it becomes in a row and the name of its Postgres type. */
export interface Column {
  readonly property: string
  readonly type: string
}

/** Raised whenever the same value would be written, or the same payload read, in another way than before. */
const CODEC_REVISION = 1

/**
 * Fingerprint of everything a payload's meaning depends on: 8 lower-case hex characters, the first 32 bits of a
 * SHA-256. Equal parts give equal fingerprints in every process; a reader takes another one for a miss.
 */
export function shapeOf(layout: 'row' | 'list' | 'id', schemaVersion: string, columns: readonly Column[]): string {
  const parts = [CODEC_REVISION, layout, schemaVersion, columns.map(({ property, type }) => [property, type])]
  return createHash('sha256').update(JSON.stringify(parts), 'utf8').digest('hex').slice(0, 8)
}
