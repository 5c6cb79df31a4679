import { type Connections, connect } from '../harness/connect.js'
import { inLines } from '../harness/loops.js'
import { PATIENT } from '../harness/patience.js'
import { openCorral } from '../harness/shop.js'
import type { Contender, Contenders } from '../harness/throughput.js'

export const KEYS = 1_000
export const WRITERS = 16
export const LEAST = 'the least possible'

type Update = (id: number, stock: number) => Promise<{ stock: number } | undefined>

/** What nobody can do without who waits for a fence: one key, one script, and nothing that knows of queries, sessions, shards or failures. */
const BARE_FENCE = `
redis.call('HSET', KEYS[2], 'f', ARGV[1])
redis.call('PEXPIRE', KEYS[2], ARGV[2])
return redis.call('DEL', KEYS[1])`

/** One UPDATE of one row of a stamped table, with what Corral does after its commit, with the least that a fence can be, and without. */
export const contenders: Contenders = {
  corral: async (place) => {
    const connections = connect(place)
    const { db, redis } = connections
    const { corral, products } = openCorral({ db, redis, namespace: place.namespace, ...PATIENT })
    // Something to invalidate: every row lies in Redis and in this process' memory when it is first written.
    for (let at = 0; at < KEYS; at += 100) {
      await products.findMany(Array.from({ length: 100 }, (_, index) => at + index + 1))
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    return {
      workloads: workloadsOf(async (id, stock) => {
        const written = await products.update(id, { stock })
        if (written?.fence !== 'fenced') throw new Error('the write was not fenced')
        return written.row
      }),
      close: async () => {
        await corral.close()
        await connections.close()
      },
    }
  },
  [LEAST]: async (place) => {
    const { db, redis, close } = connect(place)
    redis.defineCommand('bareFence', { numberOfKeys: 2, lua: BARE_FENCE })
    const { bareFence } = redis as unknown as { bareFence(...values: (string | number)[]): Promise<number> }
    const update: Update = async (id, stock) => {
      const row = await plainUpdate(db, id, stock)
      const key = `${place.namespace}:bare/${id}`
      const fence = bareFence.call(redis, key, `${key}:guard`, String(row?.corral_version), 60_000)
      void redis.publish(`${place.namespace}:bare`, key)
      await fence
      return row
    }
    return { workloads: workloadsOf(update), close }
  },
  kysely: async (place) => {
    const { db, close } = connect(place)
    return { workloads: workloadsOf((id, stock) => plainUpdate(db, id, stock)), close }
  },
}

function plainUpdate(db: Connections['db'], id: number, stock: number) {
  return db.updateTable('products').set({ stock }).where('id', '=', id).returningAll().executeTakeFirst()
}

/**
 * One update after the other, and by several writers at once, in an order in which a row comes back after all others. Throws where one was lost.
 *
 * @param rows ids from 1.
 * @param names of the two workloads.
 */
export function workloadsOf(
  update: Update,
  rows: number = KEYS,
  [single, concurrent]: readonly [string, string] = ['one at a time', `${WRITERS} at once`],
): Contender['workloads'] {
  let next = 0
  const writeSome = async (times: number) => {
    for (let time = 0; time < times; time++) {
      const stock = next++
      if ((await update(1 + ((stock * 7) % rows), stock))?.stock !== stock) throw new Error('the write was lost')
    }
  }
  return {
    [single]: writeSome,
    [concurrent]: (times) => inLines(times, WRITERS, writeSome),
  }
}
