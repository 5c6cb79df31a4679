import { type Cluster, Redis } from 'ioredis'
import { Kysely, PostgresDialect } from 'kysely'
import pg from 'pg'
import { machineMs } from '../../src/core/clock.js'
import type { Place } from './place.js'
import type { Shop } from './shop.js'

/** One SELECT on the products, as the connection pool saw it: beneath Kysely and beneath every cache. */
export interface SeenLoad {
  /** On the shared clock. */
  readonly startedMs: number
  readonly endedMs: number
  readonly failed: boolean
  /** Rows it asked for. */
  readonly rows: number
}

export interface Connections<Client extends Redis | Cluster = Redis> {
  readonly db: Kysely<Shop>
  readonly redis: Client
  /** Every SELECT of products so far, in the order of their ends. */
  readonly loads: SeenLoad[]
  /** Rows of which SELECTs asked for the stamp alone. */
  stampsRead: number
  /** SELECTs on the products that have no answer yet. */
  loadsUnderWay: number
  /** When the last UPDATE was acknowledged, on the shared clock. */
  lastUpdateMs: number
  /** Called when a SELECT on the products is sent. */
  onLoad: () => void
  close(): Promise<void>
}

/** What an application would open: its own Kysely and its own ioredis, each with its defaults and a pool of 10. */
export function connect({ postgresUrl, redisUrl }: Place): Connections {
  return connectWith(new Redis(redisUrl), postgresUrl)
}

/**
 * The same with a client of the caller's choice, which is disconnected along with the rest.
 *
 * @param max connections to Postgres. Default 10, as that of `pg`.
 */
export function connectWith<Client extends Redis | Cluster>(
  redis: Client,
  postgresUrl: string,
  max = 10,
): Connections<Client> {
  const pool = new pg.Pool({ connectionString: postgresUrl, max })
  const connections: Connections<Client> = {
    db: new Kysely<Shop>({ dialect: new PostgresDialect({ pool: watched(pool, () => connections) }) }),
    redis,
    loads: [],
    stampsRead: 0,
    loadsUnderWay: 0,
    lastUpdateMs: 0,
    onLoad: () => {},
    close: async () => {
      redis.disconnect()
      await connections.db.destroy()
    },
  }
  // It connects again by itself; ioredis would print every failure where nobody listens.
  connections.redis.on('error', () => {})
  return connections
}

type Watched = Pick<Connections, 'loads' | 'stampsRead' | 'loadsUnderWay' | 'lastUpdateMs' | 'onLoad'>

/** The pool itself, with a look at what goes through the clients it hands out. */
function watched(pool: pg.Pool, connections: () => Watched): pg.Pool {
  const seen = new WeakSet<pg.PoolClient>()
  const open = pool.connect.bind(pool) as () => Promise<pg.PoolClient>
  pool.connect = (async () => {
    const client = await open()
    if (!seen.has(client)) watchClient(client, connections)
    seen.add(client)
    return client
  }) as typeof pool.connect
  return pool
}

function watchClient(client: pg.PoolClient, connections: () => Watched): void {
  const query = client.query.bind(client) as (...values: unknown[]) => Promise<unknown>
  const watchedQuery = async (...values: unknown[]) => {
    const seen = connections()
    if (!isLoad(values[0])) {
      const result = await query(...values)
      if (textOf(values[0]).startsWith('update')) seen.lastUpdateMs = machineMs()
      return result
    }
    const startedMs = machineMs()
    const rows = rowsAsked(values[1])
    let failed = true
    let hasRows = true
    seen.loadsUnderWay++
    try {
      seen.onLoad()
      const result = await query(...values)
      failed = false
      hasRows = carriesRows(result)
      return result
    } finally {
      seen.loadsUnderWay--
      if (hasRows) seen.loads.push({ startedMs, endedMs: machineMs(), failed, rows })
      else seen.stampsRead += rows
    }
  }
  client.query = watchedQuery as unknown as typeof client.query
}

/** Corral also asks once for the names of the columns, with a join on nothing: that reads no row. */
function isLoad(statement: unknown): boolean {
  const text = textOf(statement)
  return text.startsWith('select') && text.includes('"products"') && !text.includes('on false')
}

/** Whether the columns of the products are in a result, or only what tells which version a row has. */
function carriesRows(result: unknown): boolean {
  const { fields = [] } = result as { readonly fields?: readonly { readonly name: string }[] }
  return fields.some(({ name }) => name === 'stock')
}

function textOf(statement: unknown): string {
  return typeof statement === 'string' ? statement : ((statement as { text?: string } | null)?.text ?? '')
}

/** Ids travel as one array in Postgres' text form, or one by one. */
function rowsAsked(parameters: unknown): number {
  const list = Array.isArray(parameters)
    ? parameters.find((value) => typeof value === 'string' && value[0] === '{')
    : undefined
  return list === undefined ? 1 : list.split(',').length
}
