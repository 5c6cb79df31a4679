import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { sql } from 'kysely'
import { envelope } from '../../src/adapters/codec/envelope.js'
import { machineMs } from '../../src/core/clock.js'
import { cacheKey, keyPrefix } from '../../src/core/key.js'
import { outboxTable, outboxTables } from '../../src/migrations.js'
import { checkHistory, describeViolation, History } from '../../src/testing.js'
import { waitUntil } from '../../test/support/servers/wait.js'
import { type Connections, connect } from '../harness/connect.js'
import { type Talk, Worker } from '../harness/crew.js'
import { type OpenPlace, openPlace, type Place } from '../harness/place.js'
import { atLeast, atMost } from '../harness/scenario.js'
import { openCorral } from '../harness/shop.js'
import { quantile } from '../harness/summary.js'
import { placeOnly } from '../harness/throughput.js'
import { seededChance } from '../simulator/seeded-chance.js'
import type { BoundedReaderTalk } from './bounded-reader-worker.js'
import type { CrashingWriterTalk } from './crashing-writer-worker.js'
import type { RelayTalk } from './relay-worker.js'
import type { Soak } from './soak.js'

const WRITER = new URL('crashing-writer-worker.ts', import.meta.url)
const RELAY = new URL('relay-worker.ts', import.meta.url)
const READER = new URL('bounded-reader-worker.ts', import.meta.url)
/** Crashes at a time, each with rows of its own. */
const LANES = 3
const ROWS_PER_LANE = 40
const ROWS = LANES * ROWS_PER_LANE
const LIMIT_MS = 1_000
const BOUND_MS = 1_000

/** kill -9 between COMMIT and fence, again and again: how long old copies are still shown, in Redis and in another process' memory. */
export const crashingWriters: Soak = {
  name: 'crashing-writers',
  title: 'a writer killed between COMMIT and fence, 500 times, with a relay and a reader elsewhere',
  async run({ seed, quick, note }) {
    const crashes = quick ? 50 : 500
    const place = await openPlace({ rows: ROWS })
    await outboxTables().up(place.db as never)
    await outboxTable({ table: 'products', key: 'id', unique: ['slug'] }).up(place.db as never)
    const relay = await openWorker<RelayTalk>(RELAY, place)
    const reader = await openWorker<BoundedReaderTalk>(READER, place)
    await waitUntil('the relay leads', 10_000, () => relay.ask('isLeader'))
    const watch = new Watch(place)
    await reader.ask('begin', ROWS, BOUND_MS)
    // What the machine had to do besides shows in how late a timer of this process fires, and in nothing that Corral does.
    const lateness = monitorEventLoopDelay({ resolution: 10 })
    lateness.enable()
    try {
      const lags: number[] = []
      const chances = Array.from({ length: LANES }, (_, lane) => seededChance(seed * LANES + lane))
      const crash = async (writer: Worker<CrashingWriterTalk>, lane: number) => {
        const { number: draw } = chances[lane] as (typeof chances)[number]
        const first = lane * ROWS_PER_LANE + 1 + Math.floor(draw() * (ROWS_PER_LANE - 2))
        const ids = draw() < 0.3 ? [first, first + 1, first + 2] : [first]
        await watch.untilHeld(ids)
        await sleep(draw() * 50)
        lags.push(...(await watch.crash(writer, ids)))
      }
      for (let done = 0; done < crashes; done += LANES) {
        // All are ready before the first of them dies: processes that start would take the processors from the relay.
        const lanes = Array.from({ length: Math.min(LANES, crashes - done) })
        const writers = await Promise.all(lanes.map(() => openWorker<CrashingWriterTalk>(WRITER, place)))
        await Promise.all(writers.map(crash))
        if (done % 50 < LANES) note(`${done} of ${crashes}`)
      }
      lateness.disable()
      const { history } = watch
      history.add(await reader.ask('end'))
      const { counts, violations, staleness, reads } = checkHistory(history)
      for (const each of violations.filter(({ check }) => check === 'bound')) note(describeViolation(each))
      const lateMs = (share: number) => Math.max(0, lateness.percentile(share) / 1e6 - 10).toFixed(0)
      return {
        targets: [
          atMost('rows still old after 1 s', 0, lags.filter((lag) => lag > LIMIT_MS).length),
          atMost('p99 of the lag', 300, Math.round(quantile(lags, 0.99)), ' ms'),
          atMost(`reads with maxStaleMs ${BOUND_MS} beyond it`, 0, counts.bound),
          atLeast('reads with maxStaleMs', 10 * crashes, reads),
        ],
        remarks: [
          `${crashes} crashes, ${lags.length} rows; lag from the row's stamp until neither Redis nor another process holds the old row`,
          `median ${quantile(lags, 0.5).toFixed(0)} ms, p95 ${quantile(lags, 0.95).toFixed(0)} ms, longest ${quantile(lags, 1).toFixed(0)} ms`,
          `bounded reads: stalest ${staleness.maxMs.toFixed(0)} ms after its row had changed, p99.9 ${staleness.p999Ms.toFixed(0)} ms`,
          `a timer of the watching process fired late by ${lateMs(50)} ms (median), ${lateMs(99)} ms (p99), ${lateMs(100)} ms (longest): the machine, not the relay`,
        ],
      }
    } finally {
      await Promise.all([relay.kill(), reader.kill()])
      await watch.close()
      await place.close()
    }
  },
}

/** A process of its own, which has opened what it needs. */
async function openWorker<Asked extends Talk & { open(place: Place): Promise<void> }>(
  module: URL,
  place: OpenPlace,
): Promise<Worker<Asked>> {
  const worker = new Worker<Asked>(module)
  await worker.ask('open', ...([placeOnly(place)] as unknown as Parameters<Asked['open']>))
  return worker
}

/** What was held at some time of a row's versions, in Redis or in this process' memory: the oldest. */
interface Look {
  /** When it began, milliseconds since the Unix epoch. */
  readonly atMs: number
  readonly oldest: bigint | undefined
}

/** A process that reads, and a look at what lies in Redis. */
class Watch {
  /** What the dead have written. */
  readonly history = new History()
  readonly #namespace: string
  readonly #redis: Redis
  readonly #connections: Connections
  readonly #shop: ReturnType<typeof openCorral>
  #stock = 1_000

  constructor(place: OpenPlace) {
    this.#namespace = place.namespace
    this.#redis = new Redis(place.redisUrl)
    this.#connections = connect(place)
    const { db, redis } = this.#connections
    this.#shop = openCorral({ db, redis, namespace: place.namespace })
  }

  /** In Redis and in this process' memory. */
  async untilHeld(ids: readonly number[]): Promise<void> {
    await waitUntil('the rows are held', 30_000, async () => {
      await this.#shop.products.findMany(ids)
      const held = await this.#versionsInRedis(ids)
      return held.every((version) => version !== undefined) && ids.every((id) => this.#shop.products.peek(id))
    })
  }

  /** Lets the writer die over these rows. Returns for each how long its old copies were there after it was written. */
  async crash(writer: Worker<CrashingWriterTalk>, ids: readonly number[]): Promise<number[]> {
    const stock = ++this.#stock
    const looks = new Looks((wanted) => this.#look(wanted), ids)
    const startedMs = machineMs()
    await writer.ask('write', ids, stock).then(
      () => Promise.reject(new Error('the writer lives')),
      () => {},
    )
    const { rows } = await sql<{ id: number; stock: number; corral_version: string }>`
      select id, stock, corral_version::text from products where id = any(${ids})`.execute(this.#connections.db)
    if (rows.some((row) => row.stock !== stock)) throw new Error('the writer died before its COMMIT')
    const died = { process: 'writer', startedMs, endedMs: machineMs(), outcome: 'outside' } as const
    for (const { id, corral_version: version } of rows) {
      this.history.write({ ...died, key: `products/${id}`, version })
    }
    return looks.untilNew(new Map(rows.map(({ id, corral_version }) => [id, BigInt(corral_version)])))
  }

  async #look(ids: readonly number[]): Promise<readonly Look[]> {
    const atMs = Date.now()
    const inMemory = ids.map((id) => this.#shop.products.peek(id)?.corral_version)
    const inRedis = await this.#versionsInRedis(ids)
    return ids.map((_, at) => {
      const held = [inMemory[at], inRedis[at]].filter((version) => version !== undefined).map(BigInt)
      return { atMs, oldest: held.reduce<bigint | undefined>((a, b) => (a === undefined || b < a ? b : a), undefined) }
    })
  }

  async #versionsInRedis(ids: readonly number[]): Promise<(string | undefined)[]> {
    const prefix = keyPrefix(this.#namespace, 'row', 'public.products')
    const found = await this.#redis.mgetBuffer(ids.map((id) => cacheKey(prefix, [String(id)])))
    return found.map((bytes) => {
      const entry = bytes && envelope.open(bytes)
      return entry && !('unreadable' in entry) ? (entry.version ?? undefined) : undefined
    })
  }

  async close(): Promise<void> {
    await this.#shop.corral.close()
    this.#redis.disconnect()
    await this.#connections.close()
  }
}

/** Looks every few milliseconds, from the start on: what was old a moment ago is known before it is known what is new. */
class Looks {
  readonly #ids: readonly number[]
  readonly #seen: (readonly Look[])[] = []
  readonly #looking: Promise<void>
  /** Of each row. Undefined until they are known. */
  #versions: ReadonlyMap<number, bigint> | undefined

  constructor(look: (ids: readonly number[]) => Promise<readonly Look[]>, ids: readonly number[]) {
    this.#ids = ids
    const untilNew = async () => {
      while (!this.#isOver()) {
        this.#seen.push(await look(ids))
        await sleep(3)
      }
    }
    this.#looking = untilNew()
  }

  /** Of each row: when the first look began that found no old copy, and none after it, after what its stamp says. Milliseconds. */
  async untilNew(versions: ReadonlyMap<number, bigint>): Promise<number[]> {
    this.#versions = versions
    await this.#looking
    return this.#ids.map((id, at) => {
      const version = versions.get(id) as bigint
      const lastOld = this.#seen.findLastIndex((looks) => isOld(looks[at], version))
      const { atMs } = (this.#seen[lastOld + 1] ?? this.#seen.at(-1) ?? [])[at] as Look
      // The stamp is the time of the write, by this host's clock.
      return Math.max(0, atMs - Number(version) / 1_000)
    })
  }

  #isOver(): boolean {
    const versions = this.#versions
    const last = this.#seen.at(-1)
    if (versions === undefined || last === undefined) return false
    const stillOld = this.#ids.some((id, at) => isOld(last[at], versions.get(id) as bigint))
    const oldestMs = Math.min(...[...versions.values()].map((version) => Number(version) / 1_000))
    return !stillOld || Date.now() - oldestMs > 30_000
  }
}

function isOld(look: Look | undefined, version: bigint): boolean {
  return look?.oldest !== undefined && look.oldest < version
}
