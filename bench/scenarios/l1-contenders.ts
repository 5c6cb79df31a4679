import { LRUCache } from 'lru-cache'
import { connect } from '../harness/connect.js'
import { type Get, oneAfterAnother, sideBySide } from '../harness/loops.js'
import { PATIENT } from '../harness/patience.js'
import type { Place } from '../harness/place.js'
import { openCorral, type Product } from '../harness/shop.js'
import type { Contender, Contenders } from '../harness/throughput.js'
import { zipfIds } from '../harness/zipf.js'

/** As many rows as Corral holds in memory by default. */
export const KEYS = 10_000

const ONE_KEY = Uint32Array.of(42)
const ZIPF = zipfIds(KEYS, 2 ** 16)
const ALL_KEYS = Array.from({ length: KEYS }, (_, index) => index + 1)

/** A hit costs the same with these; but on a busy machine filling must not fail, nor may a row's copy age out within a slice. */
const HELD = { ...PATIENT, l1: { maxAgeMs: 60_000 } }

export const contenders: Contenders = {
  corral: async (place) => {
    const connections = connect(place)
    const { db, redis } = connections
    const { corral, products } = openCorral({ db, redis, namespace: place.namespace, ...HELD })
    return {
      workloads: workloadsOf((id) => products.find(id)),
      prepare: async () => {
        for (let pass = 0; !holdsAll(products); pass++) {
          if (pass === 5) throw new Error('not all rows came to lie in memory')
          await readAll((ids) => products.findMany(ids))
        }
      },
      close: async () => {
        await corral.close()
        await connections.close()
      },
    }
  },
  'lru-cache': async (place) => {
    const cache = new LRUCache<number, Product>({ max: KEYS })
    for (const row of await allRows(place)) cache.set(row.id, row)
    return raw(async (id) => cache.get(id))
  },
  Map: async (place) => {
    const map = new Map((await allRows(place)).map((row) => [row.id, row]))
    return raw(async (id) => map.get(id))
  },
}

function raw(get: Get): Contender {
  return { workloads: workloadsOf(get), close: async () => {} }
}

export function workloadsOf(get: Get): Contender['workloads'] {
  return {
    sequential: (times) => oneAfterAnother(get, ONE_KEY, times),
    'sequential zipf': (times) => oneAfterAnother(get, ZIPF, times),
    '100 concurrent': (times) => sideBySide(get, ONE_KEY, times, 100),
    '100 concurrent zipf': (times) => sideBySide(get, ZIPF, times, 100),
  }
}

async function allRows(place: Place): Promise<Product[]> {
  const { db, close } = connect(place)
  const rows = await db.selectFrom('products').selectAll().execute()
  await close()
  return rows
}

function holdsAll(products: { peek(id: number): unknown }): boolean {
  return ALL_KEYS.every((id) => products.peek(id) !== undefined)
}

async function readAll(findMany: (ids: number[]) => Promise<unknown>): Promise<void> {
  for (let at = 0; at < KEYS; at += 100) {
    await findMany(ALL_KEYS.slice(at, at + 100))
    // A row is kept in memory when Redis has acknowledged it, which is after its reader has it.
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
}
