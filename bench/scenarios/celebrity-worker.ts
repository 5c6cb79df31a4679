/** One process with several instances of Corral on a Redis Cluster, each as good as a process: its own connections, its own choice of a copy. */
import { Cluster } from 'ioredis'
import { machineMs } from '../../src/core/clock.js'
import { WIRE } from '../../src/core/wire.js'
import type { Corral } from '../../src/index.js'
import { answerQuestions } from '../harness/answer-questions.js'
import { type Connections, connectWith } from '../harness/connect.js'
import type { Talk } from '../harness/crew.js'
import { sharedUntil } from '../harness/shared-clock.js'
import { openCorral, type Shop } from '../harness/shop.js'

export interface CelebrityPlace {
  readonly postgresUrl: string
  readonly namespace: string
  readonly nodes: readonly { readonly host: string; readonly port: number }[]
  readonly id: number
  readonly freshMs: number
  /** Copies of the row; 1: there is only the entry itself. */
  readonly copies: number
  readonly instances: number
  /** Of one instance: from here on the row is hot. */
  readonly hotPerSecond: number
}

/** Reads in the order in which they were asked for. */
export interface CelebrityLog {
  /** On the shared clock. */
  readonly askedMs: Float64Array
  /** What the row said. NaN: the read failed. */
  readonly stocks: Float64Array
  /** How often they failed with which code. */
  readonly failures: Readonly<Record<string, number>>
}

/** A write as its writer saw it. */
export interface CelebrityWrite {
  readonly stock: number
  /** When `fenced` was returned, on the shared clock. Infinity: it was `pending`. */
  readonly fencedMs: number
  readonly durationMs: number
  /** Copies, and the entry, that Redis still held older than the write after `fenced` had been returned. */
  readonly behind: number
}

export interface CelebrityTalk extends Talk {
  open(place: CelebrityPlace): Promise<void>
  read(perSecond: number, startMs: number, endMs: number): Promise<CelebrityLog>
  /** Gives the row a new `stock` each `everyMs`, one after the other. */
  write(from: number, everyMs: number, startMs: number, endMs: number): Promise<CelebrityWrite[]>
  /** Takes the entry, one of its copies or the guard of one of them out of Redis each `everyMs`. How many were there to be taken. */
  evict(everyMs: number, startMs: number, endMs: number): Promise<number>
  close(): Promise<void>
}

/** Connections of an instance to Postgres: all instances together have to find room at one server. */
const POOL = 3

interface Instance {
  readonly corral: Corral<Shop>
  readonly products: ReturnType<typeof openCorral>['products']
  readonly connections: Connections<Cluster>
}

let place: CelebrityPlace
let instances: Instance[] = []

function openInstance(): Instance {
  const { nodes, postgresUrl, namespace, copies, freshMs, hotPerSecond } = place
  const connections = connectWith(new Cluster([...nodes]), postgresUrl, POOL)
  const hotKeys = copies > 1 ? { copies } : {}
  const { db, redis } = connections
  const options = { db, redis, namespace, hotKeys: { perSecond: hotPerSecond } }
  return { ...openCorral(options, { l1: false, ttl: { freshMs }, hotKeys }), connections }
}

async function read(perSecond: number, startMs: number, endMs: number): Promise<CelebrityLog> {
  const reads = Math.floor(((endMs - startMs) / 1_000) * perSecond)
  const failures: Record<string, number> = {}
  const log = { askedMs: new Float64Array(reads), stocks: new Float64Array(reads), failures }
  const readOne = async (at: number) => {
    log.askedMs[at] = machineMs()
    try {
      const row = await (instances[at % instances.length] as Instance).products.find(place.id)
      if (row === undefined) throw Object.assign(new Error('the row is missing'), { code: 'missing' })
      log.stocks[at] = row.stock
    } catch (error) {
      const { code } = error as { code?: string }
      failures[code ?? String(error)] = (failures[code ?? String(error)] ?? 0) + 1
      log.stocks[at] = Number.NaN
    }
  }
  const under: Promise<void>[] = []
  for (let at = 0; at < reads; ) {
    const due = Math.min(reads, Math.ceil(((machineMs() - startMs) / 1_000) * perSecond))
    for (; at < due; at++) under.push(readOne(at))
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
  await Promise.all(under)
  return log
}

async function write(from: number, everyMs: number, startMs: number, endMs: number): Promise<CelebrityWrite[]> {
  const { products, connections } = instances[0] as Instance
  const keys = await keysOfRow()
  const writes: CelebrityWrite[] = []
  for (let stock = from; startMs + writes.length * everyMs < endMs; stock++) {
    await sharedUntil(startMs + writes.length * everyMs)
    const askedMs = machineMs()
    const result = await products.update(place.id, { stock })
    const answeredMs = machineMs()
    const durationMs = answeredMs - askedMs
    if (result?.fence !== 'fenced') {
      writes.push({ stock, fencedMs: Number.POSITIVE_INFINITY, durationMs, behind: 0 })
      continue
    }
    const held = await Promise.all(keys.map((key) => connections.redis.getBuffer(key)))
    const version = String(result.version).padStart(WIRE.version.width, '0')
    const behind = held.filter((bytes) => bytes !== null && versionIn(bytes) < version).length
    writes.push({ stock, fencedMs: answeredMs, durationMs, behind })
  }
  return writes
}

async function evict(everyMs: number, startMs: number, endMs: number): Promise<number> {
  const { connections } = instances[0] as Instance
  const keys = (await keysOfRow()).flatMap((key) => [key, `${key}#`])
  let taken = 0
  for (let dueMs = startMs; dueMs < endMs; dueMs += everyMs) {
    await sharedUntil(dueMs)
    taken += await connections.redis.unlink(keys[Math.floor(Math.random() * keys.length)] as string)
  }
  return taken
}

async function keysOfRow(): Promise<string[]> {
  const explained = await (instances[0] as Instance).products.explain(place.id)
  return [explained.key, ...explained.copies.map(({ key }) => key)]
}

function versionIn(bytes: Buffer): string {
  const { at, width } = WIRE.version
  return bytes.toString('latin1', at, at + width)
}

const talk: CelebrityTalk = {
  async open(where) {
    place = where
    instances = Array.from({ length: place.instances }, openInstance)
    // A table is opened by its first use, which is the only one that may take its time.
    for (const { products } of instances) await products.find(place.id)
  },
  read,
  write,
  evict,
  async close() {
    await Promise.all(instances.map(({ corral }) => corral.close()))
    await Promise.all(instances.map(({ connections }) => connections.close()))
  },
}

answerQuestions(talk)
