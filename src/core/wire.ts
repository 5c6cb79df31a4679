/**
 * The fixed header of an entry as it lies in Redis: ASCII fields of constant width, so that a script can
 * compare stamps as plain bytes and a person can read them with `redis-cli GET`.
 *
 * ```
 * C1 1795207238308 9e107d9d r j 1f0c3a7e 00001795207238308940 0000300000 000012 00000000 0000 <snapshot><payload>
 * |  |             |        | | |        |                    |          |      |        |
 * |  |             |        | | shape    version              freshMs    loadMs epoch    length of the snapshot
 * |  filledAtMs    checksum kind, encoding
 * magic and format           (fields are adjacent; the spaces are only shown here)
 * ```
 *
 * `filledAtMs` is written by the store from its own clock when the fill lands; the checksum (CRC-32 of
 * everything after it) is written by the codec. Byte fixtures under `test/fixtures/envelopes` pin the layout.
 */
export const WIRE = {
  magic: 'C1',
  filledAt: { at: 2, width: 13 },
  checksum: { at: 15, width: 8 },
  kind: { at: 23, width: 1 },
  encoding: { at: 24, width: 1 },
  shape: { at: 25, width: 8 },
  version: { at: 33, width: 20 },
  freshMs: { at: 53, width: 10 },
  loadMs: { at: 63, width: 6 },
  epoch: { at: 69, width: 8 },
  snapshotLength: { at: 77, width: 4 },
  body: 81,
} as const

/** Written where a version would stand when the entry has none (an absence, a query, a table without a stamp). */
export const NO_VERSION = '-'.repeat(WIRE.version.width)

/** Bytes from the start that tell two fills of one key apart: magic, fill time and checksum. */
export const SEEN_BYTES = WIRE.kind.at
