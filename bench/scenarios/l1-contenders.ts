import { LRUCache } from 'lru-cache'
import { connect } from '../harness/connect.js'
import { type Get, oneAfterAnother, sideBySide } from '../harness/loops.js'
import type { Place } from '../harness/place.js'
import { openCorral, type Products } from '../harness/shop.js'
import type { Contender, Contenders } from '../harness/throughput.js'
import { zipfIds } from '../harness/zipf.js'

/** As many rows as Corral holds in memory by default. */
export const KEYS = 10_000

const ONE_KEY = Uint32Array.of(42)
const ZIPF = zipfIds(KEYS, 2 ** 16)
const ALL_KEYS = Array.from({ length: KEYS }, (_, index) => index + 1)

export const contenders: Contenders = {
  corral: async (place) => {
    const connections = connect(place)
    const { db, redis, loads } = connections
    const { corral, products } = openCorral({ db, redis, namespace: place.namespace })
    return {
      workloads: workloadsOf((id) => products.find(id)),
      prepare: async () => {
        if (holdsAll(products)) return
        for (let at = 0; at < KEYS; at += 100) {
          await products.findMany(ALL_KEYS.slice(at, at + 100))
          await nextTurn()
        }
        if (!holdsAll(products)) throw new Error('not all rows came to lie in memory')
        loads.length = 0
      },
      close: async () => {
        await corral.close()
        await connections.close()
      },
    }
  },
  'lru-cache': async (place) => {
    const cache = new LRUCache<number, Products>({ max: KEYS })
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

function workloadsOf(get: Get): Contender['workloads'] {
  return {
    sequential: (times) => oneAfterAnother(get, ONE_KEY, times),
    'sequential zipf': (times) => oneAfterAnother(get, ZIPF, times),
    '100 concurrent': (times) => sideBySide(get, ONE_KEY, times, 100),
    '100 concurrent zipf': (times) => sideBySide(get, ZIPF, times, 100),
  }
}

async function allRows(place: Place): Promise<Products[]> {
  const { db, close } = connect(place)
  const rows = await db.selectFrom('products').selectAll().execute()
  await close()
  return rows
}

/** Copies are cut off after `l1.maxAgeMs`, so each slice starts by looking whether all rows will last. */
function holdsAll(products: { peek(id: number): unknown }): boolean {
  return ALL_KEYS.every((id) => products.peek(id) !== undefined)
}

/** Stored rows are kept in memory when Redis has acknowledged them, which is after their readers have them. */
function nextTurn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 5))
}
