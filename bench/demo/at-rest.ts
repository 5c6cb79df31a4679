import { openSide, type Place } from './connect.js'
import { PRODUCT_COUNT, rowName } from './shop.js'
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

/** Rows asked for at once. */
const BATCH = 50
/** The cache must get every chance to show what it holds: a row read from the database instead would look fresh. */
const PATIENCE = { deadlineMs: 10_000 }

/**
 * Reads every row of the shop through a side that has seen none of the traffic, and compares it with the database.
 * Nothing may be written meanwhile.
 */
export async function compareAtRest(name: SideName, place: Place): Promise<AtRest> {
  const open = openSide(name, place, PATIENCE)
  const { side, db } = open
  try {
    const products = await db.selectFrom('products').select(['id', 'revision']).orderBy('id').execute()
    const inventory = await db.selectFrom('inventory').select(['product_id as id', 'revision']).execute()
    const checks = [
      ...products.map(({ id, revision }) => ({
        row: rowName('products', id),
        stored: revision,
        read: () => side.product(id),
      })),
      ...inventory.map(({ id, revision }) => ({
        row: rowName('inventory', id),
        stored: revision,
        read: () => side.stock(id),
      })),
    ]
    if (checks.length !== 2 * PRODUCT_COUNT) throw new Error(`the shop has ${checks.length} rows`)
    const stale: StaleRow[] = []
    for (let at = 0; at < checks.length; at += BATCH) {
      const part = checks.slice(at, at + BATCH)
      const found = await Promise.all(part.map(({ read }) => read()))
      part.forEach(({ row, stored }, index) => {
        const cachedRevision = found[index]?.revision ?? 0
        const isRight = cachedRevision === stored && found[index]?.imprint === `${row}@${stored}`
        if (!isRight) stale.push({ row, cachedRevision, storedRevision: stored })
      })
    }
    if (side.hits === 0) throw new Error('not one row came from the cache, so nothing was compared')
    return { rows: checks.length, cached: side.hits, stale }
  } finally {
    await open.close()
  }
}
