import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { sql } from 'kysely'
import { envelope } from '../../src/adapters/codec/envelope.js'
import { cacheKey, keyPrefix } from '../../src/core/key.js'
import { outboxTable, outboxTables } from '../../src/migrations.js'
import { waitUntil } from '../../test/support/servers/wait.js'
import { type Connections, connect } from '../harness/connect.js'
import { Worker } from '../harness/crew.js'
import { type OpenPlace, openPlace, type Place } from '../harness/place.js'
import { atMost } from '../harness/scenario.js'
import { openCorral } from '../harness/shop.js'
import { quantile } from '../harness/summary.js'
import { seededChance } from '../simulator/seeded-chance.js'
import type { CrashingWriterTalk } from './crashing-writer-worker.js'
import type { Soak } from './soak.js'

const WRITER = new URL('crashing-writer-worker.ts', import.meta.url)
/** Crashes at a time, each with rows of its own. */
const LANES = 3
const ROWS_PER_LANE = 40
const LIMIT_MS = 1_000

/** kill -9 between COMMIT and fence, again and again: how long old copies are still shown, in Redis and in another process' memory. */
export const crashingWriters: Soak = {
  name: 'crashing-writers',
  title: 'a writer killed between COMMIT and fence, 500 times, with a relay elsewhere',
  async run({ seed, quick, note }) {
    const crashes = quick ? 50 : 500
    const place = await openPlace({ rows: LANES * ROWS_PER_LANE })
    const watch = await Watch.open(place)
    // What the machine had to do besides shows in how late a timer of this process fires, and in nothing that Corral does.
    const lateness = monitorEventLoopDelay({ resolution: 10 })
    lateness.enable()
    try {
      const lags: number[] = []
      let left = crashes
      const lane = async (at: number) => {
        const chance = seededChance(seed * LANES + at)
        // Always one that is ready: a process takes longer to start than to die.
        let spare = openWriter(place)
        while (left-- > 0) {
          const writer = await spare
          spare = openWriter(place)
          const first = at * ROWS_PER_LANE + 1 + Math.floor(chance.number() * (ROWS_PER_LANE - 2))
          const ids = chance.number() < 0.3 ? [first, first + 1, first + 2] : [first]
          await watch.untilHeld(ids)
          await sleep(chance.number() * 50)
          lags.push(...(await watch.crash(writer, ids)))
          if (lags.length % 50 < ids.length) note(`${crashes - Math.max(0, left)} of ${crashes}`)
        }
        await (await spare).stop()
      }
      await Promise.all(Array.from({ length: LANES }, (_, at) => lane(at)))
      lateness.disable()
      const lateMs = (share: number) => Math.max(0, lateness.percentile(share) / 1e6 - 10).toFixed(0)
      return {
        targets: [
          atMost('rows still old after 1 s', 0, lags.filter((lag) => lag > LIMIT_MS).length),
          atMost('p99 of the lag', 300, Math.round(quantile(lags, 0.99)), ' ms'),
        ],
        remarks: [
          `${crashes} crashes, ${lags.length} rows; lag from the row's stamp until neither Redis nor another process holds the old row`,
          `median ${quantile(lags, 0.5).toFixed(0)} ms, p95 ${quantile(lags, 0.95).toFixed(0)} ms, longest ${quantile(lags, 1).toFixed(0)} ms`,
          `a timer of the watching process fired late by ${lateMs(50)} ms (median), ${lateMs(99)} ms (p99), ${lateMs(100)} ms (longest): the machine, not the relay`,
        ],
      }
    } finally {
      await watch.close()
      await place.close()
    }
  },
}

async function openWriter(place: Place): Promise<Worker<CrashingWriterTalk>> {
  const writer = new Worker<CrashingWriterTalk>(WRITER)
  const { postgresUrl, redisUrl, namespace } = place
  await writer.ask('open', { postgresUrl, redisUrl, namespace })
  return writer
}

/** A process that reads, with the relay beside it, and a look at what lies in Redis. */
class Watch {
  readonly #namespace: string
  readonly #redis: Redis
  readonly #connections: Connections
  readonly #shop: ReturnType<typeof openCorral>
  #stock = 1_000

  private constructor(place: OpenPlace) {
    this.#namespace = place.namespace
    this.#redis = new Redis(place.redisUrl)
    this.#connections = connect(place)
    const { db, redis } = this.#connections
    this.#shop = openCorral({ db, redis, namespace: place.namespace, relay: true })
  }

  static async open(place: OpenPlace): Promise<Watch> {
    await outboxTables().up(place.db as never)
    await outboxTable({ table: 'products', key: 'id', unique: ['slug'] }).up(place.db as never)
    const watch = new Watch(place)
    await waitUntil('the relay leads', 10_000, () => watch.#shop.corral.stats().relay === 'leader')
    return watch
  }

  /** In Redis and in this process' memory. */
  async untilHeld(ids: readonly number[]): Promise<void> {
    await waitUntil('the rows are held', 30_000, async () => {
      await this.#shop.products.findMany(ids)
      const held = await Promise.all(ids.map((id) => this.#versionInRedis(id)))
      return held.every((version) => version !== undefined) && ids.every((id) => this.#shop.products.peek(id))
    })
  }

  /** Lets the writer die over these rows. Returns for each how long its old copies were there after it was written. */
  async crash(writer: Worker<CrashingWriterTalk>, ids: readonly number[]): Promise<number[]> {
    const stock = ++this.#stock
    await writer.ask('write', ids, stock).then(
      () => Promise.reject(new Error('the writer lives')),
      () => {},
    )
    const { rows } = await sql<{ id: number; stock: number; corral_version: string }>`
      select id, stock, corral_version::text from products where id = any(${ids})`.execute(this.#connections.db)
    if (rows.some((row) => row.stock !== stock)) throw new Error('the writer died before its COMMIT')
    return Promise.all(rows.map(({ id, corral_version }) => this.#untilNew(id, BigInt(corral_version))))
  }

  async #untilNew(id: number, version: bigint): Promise<number> {
    const isOld = (held: string | undefined) => held !== undefined && BigInt(held) < version
    // The stamp is the time of the write, by this host's clock.
    const lagMs = () => Date.now() - Number(version) / 1_000
    while (isOld(this.#shop.products.peek(id)?.corral_version) || isOld(await this.#versionInRedis(id))) {
      if (lagMs() > 30_000) break
      await sleep(2)
    }
    return lagMs()
  }

  async #versionInRedis(id: number): Promise<string | undefined> {
    const key = cacheKey(keyPrefix(this.#namespace, 'row', 'public.products'), [String(id)])
    const bytes = await this.#redis.getBuffer(key)
    const entry = bytes && envelope.open(bytes)
    return entry && !('unreadable' in entry) ? entry.version : undefined
  }

  async close(): Promise<void> {
    await this.#shop.corral.close()
    this.#redis.disconnect()
    await this.#connections.close()
  }
}
