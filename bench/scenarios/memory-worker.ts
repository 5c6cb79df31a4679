/** Holds rows in memory and says what that takes. Needs `--expose-gc`. */
import type { Corral } from '../../src/index.js'
import { answerQuestions } from '../harness/answer-questions.js'
import { type Connections, connect } from '../harness/connect.js'
import type { Talk } from '../harness/crew.js'
import { DEADLINE_MS } from '../harness/patience.js'
import { openPeer } from '../harness/peers.js'
import type { Place } from '../harness/place.js'
import { openCorral, type Product, type Shop } from '../harness/shop.js'
import type { OpenPeer } from '../peers/peer.js'

export interface MemoryTalk extends Talk {
  /** Holds `entries` rows as often as `times` says, each time in a cache of its own, and says what one row takes. */
  measure(place: Place, holder: Holder, entries: number, times: number): Promise<Held>
}

/** `corral`, `Map`, or the name of a peer. */
export type Holder = string

/** In bytes. */
export interface Held {
  /** The process with its connections and all code, before it holds any of the rows. */
  readonly before: number
  /** An entry, row included, that nobody has read yet. */
  readonly filled: number
  /** The same after each has been read once, and after it has been read three times. */
  readonly readOnce: number
  readonly read: number
}

/** Caches that belong together. */
interface Instance {
  open(rows: number): Promise<Cache>
  close(): Promise<void>
}

/** Something that can hold rows. */
interface Cache {
  /** Comes to hold the rows after `from` up to `until`. */
  fill(from: number, until: number): Promise<void>
  /** Reads each of them. @throws when one is not held. */
  read(from: number, until: number): Promise<void>
}

const CHUNK = 200
/** Rows of the rehearsal: none of those that are measured. */
const PRACTICE = 500
/** How often the rehearsal is held, and how often its rows are read each time. What the compiler makes of code that is used so much is not what an entry takes. */
const REHEARSALS = 30
const PASSES = 20

/**
 * Does first what is to be measured, with other rows and in an instance that is closed: then all code is compiled, and what is compared is rows.
 * Several caches, so that the process itself, which is never quite the same size, weighs little against them.
 */
async function measure(begin: () => Promise<Instance>, entries: number, times: number): Promise<Held> {
  await rehearse(begin, entries)
  const instance = await begin()
  const before = await usedBytes()
  const caches: Cache[] = []
  for (let time = 0; time < times; time++) {
    const cache = await instance.open(entries)
    await cache.fill(0, entries)
    caches.push(cache)
  }
  const each = async () => ((await usedBytes()) - before) / (entries * times)
  const readAll = async () => {
    for (const cache of caches) await cache.read(0, entries)
  }
  const filled = await each()
  await readAll()
  const readOnce = await each()
  await readAll()
  await readAll()
  const read = await each()
  await instance.close()
  return { before, filled, readOnce, read }
}

async function rehearse(begin: () => Promise<Instance>, entries: number): Promise<void> {
  const instance = await begin()
  for (let time = 0; time < REHEARSALS; time++) {
    const cache = await instance.open(PRACTICE)
    await cache.fill(entries, entries + PRACTICE)
    for (let pass = 0; pass < PASSES; pass++) await cache.read(entries, entries + PRACTICE)
  }
  await instance.close()
}

function rowsOf(db: Connections['db'], from: number, until: number) {
  return db.selectFrom('products').selectAll().where('id', '>', from).where('id', '<=', until).execute()
}

async function measureMap(place: Place, entries: number, times: number): Promise<Held> {
  const { db, close } = connect(place)
  const open = async () => {
    const map = new Map<number, Product>()
    return {
      fill: async (from: number, until: number) => {
        for (let at = from; at < until; at += CHUNK) {
          for (const row of await rowsOf(db, at, at + CHUNK)) map.set(row.id, row)
        }
      },
      read: async (from: number, until: number) => {
        for (let id = from + 1; id <= until; id++) if (!map.has(id)) throw new Error(`the map does not hold ${id}`)
      },
    }
  }
  const held = await measure(async () => ({ open, close: async () => {} }), entries, times)
  await close()
  return held
}

async function measureCorral(place: Place, entries: number, times: number): Promise<Held> {
  const connections = connect(place)
  const { db, redis } = connections
  // On a busy machine filling must not fail; and nothing may expire meanwhile.
  const options = { cache: { deadlineMs: 5_000 }, bus: { trustMs: 60_000 }, ttl: { freshMs: 3_600_000 } }
  const begin = async () => {
    const { corral } = openCorral({ db, redis, namespace: 'memory', ...options })
    return { open: (rows: number) => openRepository(corral, rows, redis), close: () => corral.close() }
  }
  const held = await measure(begin, entries, times)
  await connections.close()
  return held
}

async function openRepository(corral: Corral<Shop>, rows: number, redis: Connections['redis']): Promise<Cache> {
  const l1 = { maxEntries: rows, maxBytes: 2 ** 31, maxAgeMs: 3_600_000 }
  const products = corral.repository('products', { key: 'id', l1 })
  const check = (from: number, until: number) => {
    for (let id = from + 1; id <= until; id++) if (products.peek(id) === undefined) return false
    return true
  }
  return {
    fill: async (from: number, until: number) => {
      await evictEntries(redis)
      for (let pass = 0; !check(from, until); pass++) {
        if (pass === 5) throw new Error('not all rows came to lie in memory')
        for (let at = from; at < until; at += CHUNK) {
          await products.findMany(Array.from({ length: Math.min(CHUNK, until - at) }, (_, index) => at + index + 1))
          await new Promise((resolve) => setTimeout(resolve, 1))
        }
      }
    },
    read: async (from: number, until: number) => {
      for (let id = from + 1; id <= until; id++) await products.find(id)
      if (!check(from, until)) throw new Error('not all rows have stayed in memory')
    },
  }
}

/** So that all rows come from the database, as they do for the others: what is parsed from an entry is a little smaller. */
async function evictEntries(redis: Connections['redis']): Promise<void> {
  for await (const keys of redis.scanStream({ match: '*{public.products/*', count: 1_000 })) {
    if (keys.length > 0) await redis.unlink(keys)
  }
}

/** Rows come in chunks, as they do for the others: what is measured is what stays. */
async function measurePeer(place: Place, name: string, entries: number, times: number): Promise<Held> {
  const { db, close } = connect(place)
  let chunk = new Map<number, Product>()
  const setup = {
    redisUrl: place.redisUrl,
    freshMs: 3_600_000,
    refreshMs: 0,
    tiers: 'memory',
    deadlineMs: DEADLINE_MS,
  } as const
  const loaders = {
    load: async (id: number) => chunk.get(id),
    loadMany: async (ids: readonly number[]) => ids.flatMap((id) => chunk.get(id) ?? []),
  }
  const opened: OpenPeer[] = []
  let count = 0
  const open = async () => {
    const peer = await openPeer(name, { ...setup, ...loaders, namespace: `memory-${++count}` })
    opened.push(peer)
    const read = async (id: number) => {
      if ((await peer.get(id)) === undefined) throw new Error(`${name} has no answer for ${id}`)
    }
    return {
      fill: async (from: number, until: number) => {
        for (let at = from; at < until; at += CHUNK) {
          const rows = await rowsOf(db, at, at + CHUNK)
          chunk = new Map(rows.map((row) => [row.id, row]))
          for (const { id } of rows) await read(id)
        }
        chunk = new Map()
      },
      read: async (from: number, until: number) => {
        for (let id = from + 1; id <= until; id++) await read(id)
      },
    }
  }
  const closeAll = async () => {
    for (const peer of opened.splice(0)) await peer.close()
  }
  const held = await measure(async () => ({ open, close: closeAll }), entries, times)
  await close()
  return held
}

async function usedBytes(): Promise<number> {
  for (let time = 0; time < 4; time++) {
    await new Promise((resolve) => setTimeout(resolve, 50))
    globalThis.gc?.()
  }
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}

const talk: MemoryTalk = {
  measure: (place, holder, entries, times) => {
    if (holder === 'Map') return measureMap(place, entries, times)
    if (holder === 'corral') return measureCorral(place, entries, times)
    return measurePeer(place, holder, entries, times)
  },
}

answerQuestions(talk)
