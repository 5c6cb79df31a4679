import type { CacheKey } from '../core/key.js'
import type { CanonicalId } from '../core/ports.js'
import type { ReadSpan } from '../core/telemetry.js'
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
    // As the caller spells it, which is nearly always the canonical form.
    const held = typeof given === 'number' || typeof given === 'string' ? tier?.recallHeld(given) : undefined
    const id = held ? undefined : idOf(given)
    const near = held ?? (id && tier?.recallHeld(tier.slotOf(id)))
    if (near) {
      rows[at] = near.value
    } else if (id) {
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
