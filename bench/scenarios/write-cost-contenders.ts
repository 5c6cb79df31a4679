import pg from 'pg'
import { createCorral } from '../../src/index.js'
import { connect } from '../harness/connect.js'
import { inLines } from '../harness/loops.js'
import type { Contender, Contenders } from '../harness/throughput.js'

export const ROWS = 5_000
const WRITERS = 16
/** Tables that differ in their triggers, and the last in what the log is told of its rows. */
export const TABLES = ['without', 'stamp', 'outbox', 'slot'] as const
/** By a repository, with the fence that follows; and by the driver alone. */
export const WORKLOADS = ['SDK', `SDK, ${WRITERS} at once`, 'SQL', `SQL, ${WRITERS} at once`] as const

type Update = (id: number, stock: number) => Promise<number | undefined>

export const contenders: Contenders = Object.fromEntries(
  TABLES.map((table) => [
    table,
    async (place) => {
      const { db, redis, close } = connect(place)
      // biome-ignore lint/suspicious/noExplicitAny: the three tables are made for this run
      const corral = createCorral<any>({ db: db as any, redis, namespace: `${place.namespace}-${table}` })
      const repository = corral.repository(table, { key: 'id', ...(table === 'without' ? { version: false } : {}) })
      const pool = new pg.Pool({ connectionString: place.postgresUrl, max: 10 })
      const statement = { name: 'update', text: `update "${table}" set stock = $2 where id = $1 returning stock` }
      const bySdk: Update = async (id, stock) => (await repository.update(id, { stock }))?.row.stock
      const bySql: Update = async (id, stock) =>
        (await pool.query({ ...statement, values: [id, stock] })).rows[0]?.stock
      return {
        workloads: { ...workloadsOf('SDK', bySdk), ...workloadsOf('SQL', bySql) },
        close: async () => {
          await corral.close()
          await Promise.all([close(), pool.end()])
        },
      }
    },
  ]),
)

function workloadsOf(by: string, update: Update): Contender['workloads'] {
  let next = 0
  const writeSome = async (times: number) => {
    for (let time = 0; time < times; time++) {
      const stock = next++
      if ((await update(1 + ((stock * 7) % ROWS), stock)) !== stock) throw new Error('the write was lost')
    }
  }
  return {
    [by]: writeSome,
    [`${by}, ${WRITERS} at once`]: (times) => inLines(times, WRITERS, writeSome),
  }
}
