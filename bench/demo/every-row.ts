import { type OpenSide, openSide, type Place } from './connect.js'
import { PRODUCT_COUNT, rowName } from './shop.js'
import type { SideName } from './side.js'

export interface FoundRow {
  /** Such as `products/42`. */
  readonly row: string
  /** 0 when no row came back. */
  readonly revision: number
  /** The row says the same in its other column. */
  readonly intact: boolean
}

/** Products asked for at once. */
const BATCH = 50
/** The cache gets every chance to answer and to store: a row read from the database instead would prove nothing. */
const PATIENCE = { deadlineMs: 10_000 }

/** Does something with a side that has seen none of the traffic and has all the time it needs. */
export async function withFreshSide<Value>(
  name: SideName,
  place: Place,
  work: (open: OpenSide) => Promise<Value>,
): Promise<Value> {
  const open = openSide(name, place, PATIENCE)
  try {
    return await work(open)
  } finally {
    await open.close()
  }
}

/** Reads every row of the shop the way a visitor does. What was not in the cache is afterwards. */
export async function readEveryRow({ side }: OpenSide): Promise<FoundRow[]> {
  const found: FoundRow[] = []
  const look = async (row: string, read: Promise<{ revision: number; imprint: string } | undefined>) => {
    const { revision = 0, imprint } = (await read) ?? {}
    found.push({ row, revision, intact: imprint === `${row}@${revision}` })
  }
  for (let first = 1; first <= PRODUCT_COUNT; first += BATCH) {
    const ids = Array.from({ length: Math.min(BATCH, PRODUCT_COUNT - first + 1) }, (_, at) => first + at)
    await Promise.all(
      ids.flatMap((id) => [
        look(rowName('products', id), side.product(id)),
        look(rowName('inventory', id), side.stock(id)),
      ]),
    )
  }
  return found
}
