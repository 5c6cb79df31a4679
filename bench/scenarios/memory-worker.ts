/** Holds rows in memory and says what that takes. Needs `--expose-gc`. */
import { answerQuestions } from '../harness/answer-questions.js'
import { connect } from '../harness/connect.js'
import type { Talk } from '../harness/crew.js'
import { DEADLINE_MS } from '../harness/patience.js'
import { openPeer } from '../harness/peers.js'
import type { Place } from '../harness/place.js'
import { openCorral, type Product } from '../harness/shop.js'
import type { OpenPeer } from '../peers/peer.js'

export interface MemoryTalk extends Talk {
  /**
   * Bytes an entry, rows included, when `entries` rows are held: as filled, and after each has been read.
   *
   * @param practice how many rows after those to read and let go first.
   */
  measure(place: Place, holder: Holder, entries: number, practice: number): Promise<Held>
}

/** `corral`, `Map`, or the name of a peer. */
export type Holder = string

export interface Held {
  readonly filledBytes: number
  readonly readBytes: number
}

const CHUNK = 200
/** How often the rows of practice are read. What the compiler makes of code that is used so much is not what an entry takes. */
const PASSES = 20

async function measureMap(place: Place, entries: number, practice: number): Promise<Held> {
  const { db, close } = connect(place)
  const map = new Map<number, Product>()
  const fill = async (until: number) => {
    for (let at = 0; at < until; at += CHUNK) {
      const rows = db
        .selectFrom('products')
        .selectAll()
        .where('id', '>', at)
        .where('id', '<=', at + CHUNK)
      for (const row of await rows.execute()) map.set(row.id, row)
    }
  }
  for (let pass = 0; pass < PASSES; pass++) await fill(practice)
  map.clear()
  const before = await usedBytes()
  await fill(entries)
  const after = await usedBytes()
  if (map.size !== entries) throw new Error(`the map holds ${map.size} rows instead of ${entries}`)
  await close()
  const bytes = (after - before) / entries
  return { filledBytes: bytes, readBytes: bytes }
}

async function measureCorral(place: Place, entries: number, practice: number): Promise<Held> {
  const connections = connect(place)
  const { db, redis } = connections
  const l1 = { maxEntries: entries, maxBytes: 2 ** 31, maxAgeMs: 3_600_000 }
  // On a busy machine filling must not fail; and nothing may expire meanwhile.
  const options = { l1, cache: { deadlineMs: 5_000 }, bus: { trustMs: 60_000 }, ttl: { freshMs: 3_600_000 } }
  const { corral, products } = openCorral({ db, redis, namespace: `memory-${entries}`, ...options })
  const readAll = async (until: number) => {
    for (let at = 0; at < until; at += CHUNK) {
      await products.findMany(Array.from({ length: CHUNK }, (_, index) => at + index + 1))
      await new Promise((resolve) => setTimeout(resolve, 1))
    }
  }
  const holdsAll = () => Array.from({ length: entries }, (_, index) => index + 1).every((id) => products.peek(id))
  const passing = corral.repository('products', { key: 'id', l1: { maxEntries: 1 } })
  const practised = Array.from({ length: practice }, (_, index) => entries + index + 1)
  for (let pass = 0; pass < PASSES; pass++) {
    for (let at = 0; at < practice; at += CHUNK) await passing.findMany(practised.slice(at, at + CHUNK))
    for (const id of practised) await passing.find(id)
  }
  const before = await usedBytes()
  for (let pass = 0; !holdsAll(); pass++) {
    if (pass === 5) throw new Error('not all rows came to lie in memory')
    await readAll(entries)
  }
  const filled = await usedBytes()
  for (let id = 1; id <= entries; id++) await products.find(id)
  const read = await usedBytes()
  if (!holdsAll()) throw new Error('not all rows have stayed in memory')
  await corral.close()
  await connections.close()
  return { filledBytes: (filled - before) / entries, readBytes: (read - before) / entries }
}

/** Rows come in chunks, as they did for the others: what is measured is what stays. */
async function measurePeer(place: Place, name: string, entries: number, practice: number): Promise<Held> {
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
  const fill = async (peer: OpenPeer, from: number, until: number) => {
    for (let at = from; at < until; at += CHUNK) {
      const rows = await db
        .selectFrom('products')
        .selectAll()
        .where('id', '>', at)
        .where('id', '<=', at + CHUNK)
        .execute()
      chunk = new Map(rows.map((row) => [row.id, row]))
      for (const { id } of rows)
        if ((await peer.get(id)) === undefined) throw new Error(`${name} has no answer for ${id}`)
    }
    chunk = new Map()
  }
  const passing = await openPeer(name, { ...setup, ...loaders, namespace: 'memory-practice' })
  for (let pass = 0; pass < PASSES; pass++) await fill(passing, entries, entries + practice)
  await passing.close()
  const before = await usedBytes()
  const peer = await openPeer(name, { ...setup, ...loaders, namespace: 'memory' })
  await fill(peer, 0, entries)
  const filled = await usedBytes()
  for (let id = 1; id <= entries; id++)
    if ((await peer.get(id)) === undefined) throw new Error(`${name} has let go of ${id}`)
  const read = await usedBytes()
  await peer.close()
  await close()
  return { filledBytes: (filled - before) / entries, readBytes: (read - before) / entries }
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
  measure: (place, holder, entries, practice) => {
    if (holder === 'Map') return measureMap(place, entries, practice)
    if (holder === 'corral') return measureCorral(place, entries, practice)
    return measurePeer(place, holder, entries, practice)
  },
}

answerQuestions(talk)
