import pg from 'pg'
import type { Counts } from './counts.js'

/** SELECTs on the products that have no answer yet, of all pools of this process. */
let underWay = 0

/**
 * A pool that counts the SELECTs on the products it is asked for. Its connections may be cut at any time, and are not waited for without
 * end, as an application would have it.
 */
export function watchedPool(connectionString: string, counts: () => Counts): pg.Pool {
  const pool = new pg.Pool({ connectionString, max: 10, connectionTimeoutMillis: 10_000 })
  pool.on('error', () => {})
  pool.on('connect', (client) => {
    client.on('error', () => {})
    const query = client.query.bind(client) as (...values: unknown[]) => Promise<unknown>
    const watched = async (...values: unknown[]) => {
      if (!isLoad(values[0])) return query(...values)
      const seen = counts()
      seen.loads++
      seen.mostLoadsAtOnce = Math.max(seen.mostLoadsAtOnce, ++underWay)
      try {
        return await query(...values)
      } finally {
        underWay--
      }
    }
    client.query = watched as unknown as typeof client.query
  })
  return pool
}

/** Without the look at the column names, which reads no row, and without what a transaction reads for itself. */
function isLoad(statement: unknown): boolean {
  const text = typeof statement === 'string' ? statement : ((statement as { text?: string } | null)?.text ?? '')
  const isOfProducts = text.startsWith('select') && text.includes('"products"')
  return isOfProducts && !text.includes('on false') && !text.includes('for update')
}
