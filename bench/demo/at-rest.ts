import type { Place } from './connect.js'
import { readEveryRow, withFreshSide } from './every-row.js'
import { rowName } from './shop.js'
import type { SideName } from './side.js'

/** A row that the cache shows otherwise than it is in the database, although nobody has written it for a while. */
export interface StaleRow {
  readonly row: string
  readonly cachedRevision: number
  readonly storedRevision: number
}

export interface AtRest {
  readonly rows: number
  /** How many of them came out of the cache; the others were not in it. */
  readonly cached: number
  readonly stale: readonly StaleRow[]
}

/**
 * Reads every row of the shop through the cache and compares it with the database. Nothing may be written meanwhile.
 *
 * @throws Error when the cache held nothing to compare.
 */
export function compareAtRest(name: SideName, place: Place): Promise<AtRest> {
  return withFreshSide(name, place, async (open) => {
    const { db, side } = open
    const products = await db.selectFrom('products').select(['id', 'revision']).execute()
    const inventory = await db.selectFrom('inventory').select(['product_id as id', 'revision']).execute()
    const stored = new Map([
      ...products.map(({ id, revision }) => [rowName('products', id), revision] as const),
      ...inventory.map(({ id, revision }) => [rowName('inventory', id), revision] as const),
    ])
    const found = await readEveryRow(open)
    if (side.hits === 0) throw new Error('not one row came from the cache, so nothing was compared')
    const stale = found
      .map(({ row, revision, intact }) => ({
        row,
        cachedRevision: revision,
        storedRevision: stored.get(row) ?? 0,
        intact,
      }))
      .filter(({ cachedRevision, storedRevision, intact }) => !intact || cachedRevision !== storedRevision)
    return { rows: found.length, cached: side.hits, stale }
  })
}
