import type { OptionGroups } from '../../src/config.js'
import type { CorralEvent } from '../../src/index.js'
import { type Connections, connect } from './connect.js'
import { DEADLINE_MS } from './patience.js'
import { openPeer, type PeerChoice } from './peers.js'
import type { Place } from './place.js'
import { openCorral, type Product } from './shop.js'

/** A way to read one row, and to write it, in a process of a fleet. */
export interface RowReader {
  readonly connections: Connections
  /** So far, if the choice asked for them. */
  readonly hits?: { readonly l1: number; readonly l2: number }
  find(id: number): Promise<Product | undefined>
  /** Commits, and tells the cache in the way of its kind. */
  update(id: number, stock: number): Promise<unknown>
  close(): Promise<void>
}

/** Travels to the worker processes. */
export interface ReaderChoice {
  /**
   * `cache-aside` is what is written by hand: GET, and on a miss SELECT and SET with a TTL; after a write DEL. `database` has no
   * cache. `peer` is the one that `peer` names. `message` is the least that one load for a fleet takes: a lock, and a message with the
   * row; it forgets the row with the lock's end, and whoever comes too late for the message hangs. Nobody could run it.
   */
  readonly kind: 'corral' | 'cache-aside' | 'database' | 'peer' | 'message'
  readonly freshMs: number
  /** Corral only: whether rows are also held in the process' memory. */
  readonly l1: boolean
  /** Corral only: beside its defaults. */
  readonly groups?: OptionGroups
  /** Corral only: see `onWrite`. Default `drop`. */
  readonly onWrite?: 'drop' | 'publish'
  /** Corral only: count hits by tier, which costs each hit an event. */
  readonly countHits?: boolean
  readonly peer?: PeerChoice
}

export function openReader(place: Place, choice: ReaderChoice): RowReader {
  const connections = connect(place)
  switch (choice.kind) {
    case 'corral':
      return corralReader(place, choice, connections)
    case 'cache-aside':
      return cacheAside(place, choice, connections)
    case 'database':
      return databaseAlone(connections)
    case 'message':
      return lockAndMessage(place, choice, connections)
    case 'peer':
      return peerReader(place, choice, connections)
  }
}

function corralReader(place: Place, choice: ReaderChoice, connections: Connections): RowReader {
  const { freshMs, l1, groups, onWrite = 'drop', countHits = false } = choice
  const { db, redis } = connections
  const table = { ttl: { freshMs }, onWrite, ...(l1 ? {} : { l1: false as const }) }
  const hits = { l1: 0, l2: 0 }
  const onEvent = (event: CorralEvent) => {
    if (event.type === 'hit') hits[event.tier === 'l1' ? 'l1' : 'l2']++
  }
  const watch = countHits ? { onEvent } : {}
  const { corral, products } = openCorral({ db, redis, namespace: place.namespace, ...groups, ...watch }, table)
  return {
    connections,
    hits,
    find: (id) => products.find(id),
    update: (id, stock) => products.update(id, { stock }),
    close: async () => {
      await corral.close()
      await connections.close()
    },
  }
}

function cacheAside({ namespace }: Place, { freshMs }: ReaderChoice, connections: Connections): RowReader {
  const { redis } = connections
  const keyOf = (id: number) => `${namespace}:by-hand:${id}`
  const { find, update } = databaseAlone(connections)
  return {
    connections,
    find: async (id) => {
      const key = keyOf(id)
      const cached = await redis.get(key)
      if (cached !== null) return JSON.parse(cached) as Product
      const row = await find(id)
      if (row !== undefined) await redis.set(key, JSON.stringify(row), 'PX', freshMs)
      return row
    },
    update: async (id, stock) => {
      await update(id, stock)
      await redis.del(keyOf(id))
    },
    close: () => connections.close(),
  }
}

function lockAndMessage({ namespace }: Place, { freshMs }: ReaderChoice, connections: Connections): RowReader {
  const { redis } = connections
  const { find, update } = databaseAlone(connections)
  const channel = `${namespace}:landed`
  const flights = new Map<number, Promise<Product | undefined>>()
  const waiting = new Map<number, (row: Product) => void>()
  const subscriber = redis.duplicate()
  subscriber.on('message', (_, message) => {
    const row = JSON.parse(message) as Product
    waiting.get(row.id)?.(row)
  })
  const subscribed = subscriber.subscribe(channel)
  const fly = async (id: number) => {
    await subscribed
    const landed = new Promise<Product>((resolve) => waiting.set(id, resolve))
    const isMine = await redis.set(`${namespace}:lock:${id}`, '1', 'PX', freshMs, 'NX')
    if (isMine === null) return landed
    const row = await find(id)
    await redis.publish(channel, JSON.stringify(row))
    return row
  }
  return {
    connections,
    find: (id) => {
      const current = flights.get(id)
      if (current) return current
      const flight = fly(id).finally(() => {
        flights.delete(id)
        waiting.delete(id)
      })
      flights.set(id, flight)
      return flight
    },
    update,
    close: async () => {
      subscriber.disconnect()
      await connections.close()
    },
  }
}

function databaseAlone(connections: Connections): RowReader {
  const { db } = connections
  return {
    connections,
    find: (id) => db.selectFrom('products').selectAll().where('id', '=', id).executeTakeFirst(),
    update: (id, stock) => db.updateTable('products').set({ stock }).where('id', '=', id).execute(),
    close: () => connections.close(),
  }
}

function peerReader(place: Place, { freshMs, peer }: ReaderChoice, connections: Connections): RowReader {
  if (peer === undefined) throw new Error('a reader of kind `peer` needs to know which')
  const { find, update } = databaseAlone(connections)
  const opening = openPeer(peer.name, {
    redisUrl: place.redisUrl,
    namespace: place.namespace,
    freshMs,
    // As early as Corral's may come.
    refreshMs: freshMs / 4,
    tiers: peer.tiers,
    deadlineMs: peer.deadlineMs ?? DEADLINE_MS,
    load: find,
    loadMany: (ids) => connections.db.selectFrom('products').selectAll().where('id', 'in', ids).execute(),
  })
  opening.catch(() => {})
  let open: Awaited<typeof opening> | undefined
  const opened = async () => {
    open ??= await opening
    return open
  }
  return {
    connections,
    find: (id) =>
      (open === undefined ? opened().then(({ get }) => get(id)) : open.get(id)) as Promise<Product | undefined>,
    update: async (id, stock) => {
      await update(id, stock)
      await (await opened()).invalidate(id)
    },
    close: async () => {
      await (await opened()).close()
      await connections.close()
    },
  }
}
