import type { CorralOptions } from '../../src/index.js'
import { connect } from '../harness/connect.js'
import { type Get, sideBySide } from '../harness/loops.js'
import { PATIENT } from '../harness/patience.js'
import { openCorral, type Shop } from '../harness/shop.js'
import type { Contender, Contenders } from '../harness/throughput.js'
import { seeded } from '../harness/zipf.js'

export const KEYS = 1_000
export const IN_FLIGHT = 64
export const MANY = 100

const ALL_KEYS = Array.from({ length: KEYS }, (_, index) => index + 1)
const random = seeded(7)
const IDS = Uint32Array.from({ length: 2 ** 14 }, () => 1 + Math.floor(random() * KEYS))
/** Different ids in each list, as those of a page are. */
const LISTS = Array.from({ length: 64 }, (_, list) =>
  ALL_KEYS.map((id) => ((id * 7 + list * 131) % KEYS) + 1).slice(0, MANY),
)

type GetMany = (ids: number[]) => Promise<readonly unknown[]>

/** Rows that lie in Redis and in no process' memory, through Corral and without it. */
export const contenders: Contenders = {
  corral: corral({}),
  /** As for rows that are read for the first time, or have changed since. */
  'corral, decoding': corral({ maxKnownBytes: 0 }),
  ioredis: async (place) => {
    const { db, redis, close } = connect(place)
    const rows = await db.selectFrom('products').selectAll().where('id', '<=', KEYS).execute()
    const keyOf = (id: number) => `raw:${id}`
    await redis.mset(new Map(rows.map((row) => [keyOf(row.id), JSON.stringify(row)])))
    const get: Get = async (id) => JSON.parse((await redis.get(keyOf(id))) as string)
    const getMany: GetMany = async (ids) => (await redis.mget(ids.map(keyOf))).map((text) => JSON.parse(text as string))
    return { workloads: workloadsOf(get, getMany), close }
  },
}

function corral(cache: CorralOptions<Shop>['cache']): Contenders[string] {
  return async (place): Promise<Contender> => {
    const connections = connect(place)
    const { db, redis, loads } = connections
    const { corral: opened, products } = openCorral(
      { db, redis, namespace: place.namespace, cache: { ...PATIENT.cache, ...cache } },
      // Long enough that nothing is refreshed while it is measured.
      { l1: false, ttl: { freshMs: 3_600_000 } },
    )
    const fill = async () => {
      for (let at = 0; at < KEYS; at += MANY) {
        await products.findMany(ALL_KEYS.slice(at, at + MANY))
        await new Promise((resolve) => setTimeout(resolve, 20))
      }
    }
    await fill()
    await fill()
    loads.length = 0
    const workloads = workloadsOf(
      (id) => products.find(id),
      (ids) => products.findMany(ids),
    )
    return {
      workloads: Object.fromEntries(
        Object.entries(workloads).map(([name, run]) => [
          name,
          async (times) => {
            await run(times)
            if (loads.length > 0) throw new Error('a read that should have hit Redis went to the database')
          },
        ]),
      ),
      close: async () => {
        await opened.close()
        await connections.close()
      },
    }
  }
}

export function workloadsOf(get: Get, getMany: GetMany): Contender['workloads'] {
  return {
    [`${IN_FLIGHT} in flight`]: (times) => sideBySide(get, IDS, times, IN_FLIGHT),
    'one at a time': (times) => sideBySide(get, IDS, times, 1),
    [`${MANY} in one call`]: async (times) => {
      for (let at = 0; at < times; at += MANY) {
        const rows = await getMany(LISTS[(at / MANY) % LISTS.length] as number[])
        if (rows.length !== MANY || rows.includes(undefined)) throw new Error('rows are missing')
      }
    },
  }
}
