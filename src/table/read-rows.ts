import type { CacheKey } from '../core/key.js'
import type { CanonicalId } from '../core/ports.js'
import type { ReadSpan } from '../core/telemetry.js'
import { NOT_HELD } from '../engine/l1.js'
import type { Reader } from '../engine/reader.js'
import type { RowTier } from './row-tier.js'

/** Ways to the rows of one table. */
export interface RowWays {
  readonly tier: RowTier | undefined
  /** Undefined when no row can have it. */
  idOf(id: unknown): CanonicalId | undefined
  keyOf(id: CanonicalId): CacheKey
  readonly reader: Pick<Reader<CanonicalId, object>, 'readMany'>
}

/**
 * Rows through the cache, in the order of `ids`: from memory, and those that are not there by one look.
 *
 * @param begin called when it takes more than this process' memory.
 */
export function readRows(
  { tier, idOf, keyOf, reader }: RowWays,
  ids: readonly unknown[],
  begin: () => ReadSpan,
): Promise<(object | undefined)[]> {
  const rows: (object | undefined)[] = new Array(ids.length).fill(undefined)
  const places: number[] = []
  const keys: CacheKey[] = []
  const asked: CanonicalId[] = []
  for (let at = 0; at < ids.length; at++) {
    const given = ids[at]
    const value = tier ? tier.recallGivenValue(given) : NOT_HELD
    if (value !== NOT_HELD) {
      rows[at] = value
      continue
    }
    const id = idOf(given)
    if (id === undefined) continue
    const near = tier ? tier.recallValue(tier.slotOf(id)) : NOT_HELD
    if (near !== NOT_HELD) {
      rows[at] = near
    } else {
      places.push(at)
      keys.push(keyOf(id))
      asked.push(id)
    }
  }
  if (places.length === 0) return Promise.resolve(rows)
  const span = begin()
  return span.run(async () => {
    const found = await reader.readMany(keys, asked, span)
    for (let i = 0; i < found.length; i++) rows[places[i] as number] = found[i]
    return rows
  })
}
