import pg from 'pg'
import { createCorral } from '../../src/index.js'
import { connect } from '../harness/connect.js'
import type { Contenders } from '../harness/throughput.js'
import { WRITERS, workloadsOf } from './write-contenders.js'

export const ROWS = 5_000
/** Tables that differ in their triggers, and the last in what the log is told of its rows. */
export const TABLES = ['without', 'stamp', 'outbox', 'slot'] as const
/** By a repository, with the fence that follows; and by the driver alone. */
export const WORKLOADS = ['SDK', `SDK, ${WRITERS} at once`, 'SQL', `SQL, ${WRITERS} at once`] as const

const [SDK, SDK_AT_ONCE, SQL, SQL_AT_ONCE] = WORKLOADS

type Update = Parameters<typeof workloadsOf>[0]

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
      const bySdk: Update = async (id, stock) => {
        const written = await repository.update(id, { stock })
        return written && { stock: written.row.stock }
      }
      const bySql: Update = async (id, stock) => (await pool.query({ ...statement, values: [id, stock] })).rows[0]
      return {
        workloads: {
          ...workloadsOf(bySdk, ROWS, [SDK, SDK_AT_ONCE]),
          ...workloadsOf(bySql, ROWS, [SQL, SQL_AT_ONCE]),
        },
        close: async () => {
          await corral.close()
          await Promise.all([close(), pool.end()])
        },
      }
    },
  ]),
)
