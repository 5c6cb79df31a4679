import { setTimeout as sleep } from 'node:timers/promises'
import { machineMs } from '../../src/core/clock.js'
import { startRedis } from '../../test/support/servers/redis.js'
import { waitUntil } from '../../test/support/servers/wait.js'
import { connect } from '../harness/connect.js'
import { Worker } from '../harness/crew.js'
import { type OpenPlace, openPlace, type Place } from '../harness/place.js'
import { atLeast, atMost } from '../harness/scenario.js'
import { sharedUntil } from '../harness/shared-clock.js'
import { openCorral } from '../harness/shop.js'
import { quantile } from '../harness/summary.js'
import { placeOnly } from '../harness/throughput.js'
import type { TrafficTalk } from '../scenarios/traffic-worker.js'
import type { Soak, SoakResult, SoakSetting } from './soak.js'

const TRAFFIC = new URL('../scenarios/traffic-worker.ts', import.meta.url)
const PER_SECOND = 200
const HEALTHY_MS = 2_000
const BROKEN_MS = 5_000
const HEALED_MS = 3_000
/** Rows that are read and written all the time by somebody else, to see what of them is stale afterwards. */
const WATCHED = 50
const FRESH_MS = 60_000

type Fault = 'frozen' | 'killed'

export const redisFrozen: Soak = {
  name: 'redis-frozen',
  title: `Redis stopped by SIGSTOP for ${BROKEN_MS / 1_000} s, ${PER_SECOND} cold keys/s`,
  run: (setting) => outage('frozen', setting),
}

export const redisKilled: Soak = {
  name: 'redis-killed',
  title: `Redis killed by SIGKILL for ${BROKEN_MS / 1_000} s and back empty, ${PER_SECOND} cold keys/s`,
  run: (setting) => outage('killed', setting),
}

async function outage(fault: Fault, { quick, note }: SoakSetting): Promise<SoakResult> {
  const rounds = quick ? 1 : 5
  const lengthMs = HEALTHY_MS + BROKEN_MS + HEALED_MS
  const idsPerRound = (lengthMs / 1_000) * PER_SECOND + WATCHED
  const place = await openPlace({ rows: 2 * rounds * idsPerRound })
  const figures: Outage[] = []
  try {
    for (let round = 0; round < rounds; round++) {
      note(`round ${round + 1} of ${rounds}`)
      const first = 2 * round * idsPerRound + 1
      const database = await survive(place, 'database', fault, first)
      const corral = await survive(place, 'corral', fault, first + idsPerRound)
      figures.push({ ...corral, database })
    }
  } finally {
    await place.close()
  }
  const worst = (figure: (outage: Outage) => number) => Math.max(...figures.map(figure))
  const median = (figure: (outage: Outage) => number) => quantile(figures.map(figure), 0.5)
  const aboveDatabase = (figure: (side: Side) => number) => median((each) => figure(each) - figure(each.database))
  return {
    targets: [
      atLeast('share of the reads that were answered', 1, Math.min(...figures.map(({ answered }) => answered))),
      ...(fault === 'frozen'
        ? [
            atMost(
              'p99 in the first second',
              100,
              median(({ firstSecondMs }) => firstSecondMs),
              ' ms',
            ),
            atMost(
              'p99 afterwards, above the database alone',
              10,
              aboveDatabase(({ laterMs }) => laterMs),
              ' ms',
            ),
          ]
        : [
            atMost(
              'p99, above the database alone',
              10,
              aboveDatabase(({ p99Ms }) => p99Ms),
              ' ms',
            ),
          ]),
      atMost(
        'until Redis answers reads again',
        1_000,
        worst(({ backMs }) => backMs ?? 0),
        ' ms',
      ),
      atMost(
        'rows stale afterwards',
        0,
        worst(({ stale }) => stale ?? 0),
      ),
    ],
    remarks: figures.map(
      ({ firstSecondMs, laterMs, p99Ms, backMs = 0, written = 0, database }) =>
        `p99 ${p99Ms.toFixed(1)} ms (first second ${firstSecondMs.toFixed(1)}, later ${laterMs.toFixed(1)}; the database alone ${database.p99Ms.toFixed(1)}), back after ${backMs.toFixed(0)} ms, ${written} rows written meanwhile`,
    ),
  }
}

interface Side {
  readonly answered: number
  readonly p99Ms: number
  readonly firstSecondMs: number
  readonly laterMs: number
  readonly backMs?: number
  readonly stale?: number
  readonly written?: number
}

interface Outage extends Side {
  readonly database: Side
}

async function survive(open: OpenPlace, kind: 'corral' | 'database', fault: Fault, firstId: number): Promise<Side> {
  const redis = await startRedis({ own: true })
  const place: Place = { ...placeOnly(open), redisUrl: redis.url, namespace: `outage-${kind}-${firstId}` }
  const worker = new Worker<TrafficTalk>(TRAFFIC)
  const watched = kind === 'corral' ? await Watched.open(place, firstId) : undefined
  try {
    const lengthMs = HEALTHY_MS + BROKEN_MS + HEALED_MS
    const ids = Array.from({ length: (lengthMs / 1_000) * PER_SECOND }, (_, at) => firstId + WATCHED + at)
    await worker.ask('open', place, { kind, freshMs: FRESH_MS, l1: true })
    await worker.ask('practise', ids.slice(-50))
    const startMs = machineMs() + 50
    const running = worker.ask('run', { ids, perSecond: PER_SECOND, startMs, endMs: startMs + lengthMs })
    await sharedUntil(startMs + HEALTHY_MS)
    await (fault === 'frozen' ? redis.freeze() : redis.kill())
    const brokenMs = machineMs()
    const writing = watched?.write()
    await sleep(BROKEN_MS - (machineMs() - brokenMs))
    await writing
    await (fault === 'frozen' ? redis.thaw() : redis.restart())
    const healedMs = machineMs()
    const after = await watched?.recovered(healedMs)
    const { askedMs, waitsMs, agesMs } = await running
    const during = Array.from(askedMs, (asked, at) => ({ asked, waitMs: waitsMs[at] as number, at })).filter(
      ({ asked }) => asked >= brokenMs && asked < healedMs,
    )
    const p99 = (reads: typeof during) =>
      quantile(
        reads.map(({ waitMs }) => waitMs),
        0.99,
      )
    return {
      answered: during.filter(({ at }) => !Number.isNaN(agesMs[at])).length / during.length,
      p99Ms: p99(during),
      firstSecondMs: p99(during.filter(({ asked }) => asked < brokenMs + 1_000)),
      laterMs: p99(during.filter(({ asked }) => asked >= brokenMs + 1_000)),
      ...after,
    }
  } finally {
    await watched?.close()
    await worker.kill()
    await redis.stop()
  }
}

/** Rows that Redis holds when it goes and that are written while it is away. */
class Watched {
  readonly #ids: readonly number[]
  readonly #place: Place
  readonly #connections: ReturnType<typeof connect>
  readonly #shop: ReturnType<typeof openCorral>
  #hits = 0
  readonly #note = ({ type }: { readonly type: string }) => {
    if (type === 'hit') this.#hits++
  }
  #stock = 1_000

  private constructor(place: Place, firstId: number) {
    this.#place = place
    this.#ids = Array.from({ length: WATCHED }, (_, at) => firstId + at)
    this.#connections = connect(place)
    const { db, redis } = this.#connections
    this.#shop = openCorral({ db, redis, namespace: place.namespace, onEvent: this.#note }, { l1: false })
  }

  static async open(place: Place, firstId: number): Promise<Watched> {
    const watched = new Watched(place, firstId)
    await waitUntil('Redis holds the rows', 10_000, async () => {
      const before = watched.#hits
      await watched.#shop.products.findMany(watched.#ids)
      return watched.#hits - before === WATCHED
    })
    return watched
  }

  async write(): Promise<void> {
    this.#stock++
    await Promise.all(this.#ids.map((id) => this.#shop.products.update(id, { stock: this.#stock })))
  }

  /** How long after its return Redis answered this process again, and what somebody who knows nothing finds in it then. */
  async recovered(healedMs: number): Promise<{ backMs: number; stale: number; written: number }> {
    await waitUntil('Redis answers', 20_000, async () => {
      const before = this.#hits
      await this.#shop.products.findMany(this.#ids)
      return this.#hits > before
    })
    const backMs = machineMs() - healedMs
    await waitUntil('every fence has arrived', 20_000, () => this.#shop.corral.stats().pendingFences === 0)
    const connections = connect(this.#place)
    const { db, redis } = connections
    const fresh = openCorral({ db, redis, namespace: this.#place.namespace }, { l1: false })
    try {
      const rows = await fresh.products.findMany(this.#ids)
      return { backMs, stale: rows.filter((row) => row?.stock !== this.#stock).length, written: WATCHED }
    } finally {
      await fresh.corral.close()
      await connections.close()
    }
  }

  async close(): Promise<void> {
    await this.#shop.corral.close()
    await this.#connections.close()
  }
}
