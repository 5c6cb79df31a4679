import { connect } from '../harness/connect.js'
import { PATIENT } from '../harness/patience.js'
import { openCorral } from '../harness/shop.js'
import type { Contender, Contenders } from '../harness/throughput.js'

export const KEYS = 1_000
export const WRITERS = 16

type Update = (id: number, stock: number) => Promise<{ stock: number } | undefined>

/** One UPDATE of one row of a stamped table, with what Corral does after its commit and without it. */
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
  kysely: async (place) => {
    const { db, close } = connect(place)
    const update: Update = (id, stock) =>
      db.updateTable('products').set({ stock }).where('id', '=', id).returningAll().executeTakeFirst()
    return { workloads: workloadsOf(update), close }
  },
}

export function workloadsOf(update: Update): Contender['workloads'] {
  let next = 0
  const writeSome = async (times: number) => {
    for (let time = 0; time < times; time++) {
      const stock = next++
      if ((await update(1 + ((stock * 7) % KEYS), stock))?.stock !== stock) throw new Error('the write was lost')
    }
  }
  return {
    'one at a time': writeSome,
    [`${WRITERS} at once`]: async (times) => {
      await Promise.all(Array.from({ length: WRITERS }, () => writeSome(Math.ceil(times / WRITERS))))
    },
  }
}
