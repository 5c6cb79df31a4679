import type { OptionGroups } from '../../src/config.js'
import { type Connections, connect } from './connect.js'
import type { Place } from './place.js'
import { openCorral, type Product } from './shop.js'

/** A way to read one row, in a process of a fleet. */
export interface RowReader {
  readonly connections: Connections
  find(id: number): Promise<Product | undefined>
  close(): Promise<void>
}

/** Travels to the worker processes. */
export interface ReaderChoice {
  /** `cache-aside` is what is written by hand: GET, and on a miss SELECT and SET with a TTL. */
  readonly kind: 'corral' | 'cache-aside'
  readonly freshMs: number
  /** Corral only: whether rows are also held in the process' memory. */
  readonly l1: boolean
  /** Corral only: beside its defaults. */
  readonly groups?: OptionGroups
}

export function openReader(place: Place, choice: ReaderChoice): RowReader {
  const connections = connect(place)
  return choice.kind === 'corral' ? corralReader(place, choice, connections) : cacheAside(choice, connections)
}

function corralReader(place: Place, { freshMs, l1, groups }: ReaderChoice, connections: Connections): RowReader {
  const { db, redis } = connections
  const table = { ttl: { freshMs }, ...(l1 ? {} : { l1: false as const }) }
  const { corral, products } = openCorral({ db, redis, namespace: place.namespace, ...groups }, table)
  return {
    connections,
    find: (id) => products.find(id),
    close: async () => {
      await corral.close()
      await connections.close()
    },
  }
}

function cacheAside({ freshMs }: ReaderChoice, connections: Connections): RowReader {
  const { db, redis } = connections
  return {
    connections,
    find: async (id) => {
      const key = `by-hand:${id}`
      const cached = await redis.get(key)
      if (cached !== null) return JSON.parse(cached) as Product
      const row = await db.selectFrom('products').selectAll().where('id', '=', id).executeTakeFirst()
      if (row !== undefined) await redis.set(key, JSON.stringify(row), 'PX', freshMs)
      return row
    },
    close: () => connections.close(),
  }
}
