import { checkHistory, type ReadRecord, type WriteRecord } from '../../src/testing.js'
import { contestants } from '../harness/contestants.js'
import { Worker } from '../harness/crew.js'
import { type OpenPlace, openPlace } from '../harness/place.js'
import type { ReaderChoice } from '../harness/readers.js'
import { atMost, type Comparison, type Scenario, type Setting } from '../harness/scenario.js'
import { sharedNowMs } from '../harness/shared-clock.js'
import { makeSlow, type SlowTable } from '../harness/slow-table.js'
import { summarize } from '../harness/summary.js'
import { type ModelName, modelRequests } from '../hit-ratio/models.js'
import type { Outcome } from '../hit-ratio/outcome.js'
import type { Requests } from '../hit-ratio/requests.js'
import { simulate } from '../hit-ratio/simulate.js'
import { STRATEGIES } from '../hit-ratio/strategies.js'
import type { HitRatioTalk, Part, PartLog } from './hit-ratio-worker.js'

const WORKER = new URL('hit-ratio-worker.ts', import.meta.url)
const PROCESSES = 2
const KEYS = 1_000
const PER_SECOND = 500
const FLEET = { processes: PROCESSES, ttlMs: 2_000, loadMs: 20, busMs: 1, seed: 1 }
/** Between the order and the start of the stream. */
const LEAD_MS = 100
/** Rows of their own, so that connecting loads nothing that is counted. */
const PRACTICE_ID = KEYS + 1

/** How a simulated strategy is had on real servers. */
const REAL: Readonly<Record<string, { readonly strategy: keyof typeof STRATEGIES; readonly choice: ReaderChoice }>> = {
  'no cache': { strategy: 'none', choice: { kind: 'database', freshMs: FLEET.ttlMs, l1: false } },
  'cache-aside': { strategy: 'fixed', choice: { kind: 'cache-aside', freshMs: FLEET.ttlMs, l1: false } },
  'corral, L1 off': { strategy: 'lease', choice: { kind: 'corral', freshMs: FLEET.ttlMs, l1: false, countHits: true } },
  corral: { strategy: 'l1', choice: { kind: 'corral', freshMs: FLEET.ttlMs, l1: true, countHits: true } },
  'corral, publishing': {
    strategy: 'publish',
    choice: { kind: 'corral', freshMs: FLEET.ttlMs, l1: true, countHits: true, onWrite: 'publish' },
  },
}

interface Played {
  /** Reads that cost the database nothing, of all reads: counted by loads, which is the same for every contender. */
  readonly sparedShare: number
  readonly l1Share: number
  readonly l2Share: number
  readonly loads: number
  readonly staleShare: number
  readonly failures: number
}

/** What share of reads each way of caching spares the database, on real servers and as the simulator says. */
export const hitRatio: Scenario = {
  name: 'hit-ratio',
  title: `${PER_SECOND} requests/s for ${KEYS} rows (zipf 0.99, 1 % writes; then 25 % writes), ${PROCESSES} processes, TTL ${FLEET.ttlMs / 1_000} s; raw: cache-aside by hand`,
  unit: 'share of reads that cost the database no load',
  async run(setting) {
    const place = await openPlace({ rows: KEYS + 1 })
    try {
      return await findings(place, await makeSlow(place, FLEET.loadMs), setting)
    } finally {
      await place.close()
    }
  },
}

async function findings(place: OpenPlace, table: SlowTable, setting: Setting) {
  const { readers, cannot } = await contestants(setting, FLEET.ttlMs, [])
  const peers = readers.filter(({ choice }) => choice.peer !== undefined)
  const all = [...Object.entries(REAL).map(([name, { choice }]) => ({ name, choice })), ...peers]
  const models: readonly ModelName[] = setting.quick ? ['zipf 0.99'] : ['zipf 0.99', 'write-heavy']
  const played = new Map<string, Played>()
  const simulated = new Map<string, Outcome>()
  for (const model of models) {
    const seconds = setting.quick ? 4 : 12
    const size = { requests: seconds * PER_SECOND, keys: KEYS, perSecond: PER_SECOND, seed: 11 }
    const requests = modelRequests(model, size)
    for (const { name, choice } of all) {
      setting.note(`${model}: ${name}, ${seconds} s`)
      const namespace = `hits-${name.replaceAll(/\W+/g, '-')}-${model.replaceAll(/\W+/g, '-')}`
      played.set(`${model} ${name}`, await play(table, namespace, choice, requests))
      await place.db.updateTable('products').set({ stock: 1 }).execute()
    }
    for (const [name, { strategy }] of Object.entries(REAL)) {
      simulated.set(`${model} ${name}`, simulate(requests, STRATEGIES[strategy], FLEET))
    }
  }
  const share = (outcome: Outcome) => 1 - outcome.loads / outcome.reads
  const distance = Math.max(
    ...[...simulated].map(([key, outcome]) => Math.abs(share(outcome) - (played.get(key) as Played).sparedShare)),
  )
  const of = (model: string, name: string) => played.get(`${model} ${name}`) as Played
  return {
    comparisons: models.map((model, at) => ({
      label: at === 0 ? '' : model,
      raw: 'cache-aside',
      results: Object.fromEntries(all.map(({ name }) => [name, summarize([of(model, name).sparedShare])])),
    })) as [Comparison, ...Comparison[]],
    targets: [
      atMost('furthest the simulator is off, of all reads', 0.05, distance),
      atMost('stale reads, L1 off', 0, Math.max(...models.map((model) => of(model, 'corral, L1 off').staleShare))),
    ],
    remarks: models.flatMap((model) =>
      all.map(({ name }) => {
        const { sparedShare, l1Share, l2Share, loads, staleShare, failures } = of(model, name)
        const foretold = simulated.get(`${model} ${name}`)
        const tiers = l1Share + l2Share > 0 ? `, L1 ${percent(l1Share)}, L2 ${percent(l2Share)}` : ''
        const simulation = foretold
          ? ` (simulated: ${percent(share(foretold))}, L1 ${percent(foretold.l1Share)}, L2 ${percent(foretold.l2Share)}, stale ${percent(foretold.staleShare)})`
          : ''
        return `${model}, ${name}: spared ${percent(sparedShare)}${tiers}, ${loads} loads, stale ${percent(staleShare)}, ${failures} failed${simulation}`
      }),
    ),
    cannot,
  }
}

function percent(share: number): string {
  return `${(100 * share).toFixed(2)} %`
}

async function play(table: SlowTable, namespace: string, choice: ReaderChoice, requests: Requests): Promise<Played> {
  const workers = Array.from({ length: PROCESSES }, () => new Worker<HitRatioTalk>(WORKER))
  try {
    await Promise.all(workers.map((worker) => worker.ask('open', { ...table.place, namespace }, choice, PRACTICE_ID)))
    const startMs = sharedNowMs() + LEAD_MS
    const parts = partsOf(requests)
    const logs = await Promise.all(workers.map((worker, at) => worker.ask('play', parts[at] as Part, startMs)))
    await Promise.all(workers.map((worker) => worker.ask('close')))
    return playedOf(logs)
  } finally {
    await Promise.all(workers.map((worker) => worker.stop()))
  }
}

/** Reads go to any process; all writes of a row go to one, so that they have an order. */
function partsOf({ atMs, keys, writes }: Requests): Part[] {
  return Array.from({ length: PROCESSES }, (_, part) => {
    const mine = Array.from(keys, (_, at) => at).filter((at) =>
      writes[at] === 1
        ? (keys[at] as number) % PROCESSES === part
        : ((at * 2_654_435_761) % 2 ** 32) % PROCESSES === part,
    )
    return {
      atMs: Float64Array.from(mine, (at) => atMs[at] as number),
      ids: Uint32Array.from(mine, (at) => (keys[at] as number) + 1),
      // Larger than any before, and than what the table begins with.
      writes: Uint32Array.from(mine, (at) => (writes[at] === 1 ? 1_000 + at : 0)),
    }
  })
}

function playedOf(logs: readonly PartLog[]): Played {
  const reads = logs.flatMap(({ reads }, worker) =>
    reads.map(({ id, startedMs, waitMs, stock }): ReadRecord => {
      const times = { startedMs, endedMs: startedMs + waitMs }
      return { process: `process ${worker}`, key: String(id), ...times, version: String(stock) }
    }),
  )
  const writes = logs.flatMap(({ writes }, worker) =>
    writes.map(({ id, acknowledgedMs, stock }): WriteRecord => {
      const times = { startedMs: acknowledgedMs, endedMs: acknowledgedMs }
      return { process: `process ${worker}`, key: String(id), ...times, version: String(stock), outcome: 'fenced' }
    }),
  )
  const { counts } = checkHistory({ reads, writes, loads: [], atRest: [] }, { maxExamples: 0 })
  const sum = (of: (log: PartLog) => number) => logs.reduce((total, log) => total + of(log), 0)
  const loads = sum((log) => log.loads)
  return {
    sparedShare: 1 - loads / reads.length,
    l1Share: sum(({ hits }) => hits.l1) / reads.length,
    l2Share: sum(({ hits }) => hits.l2) / reads.length,
    loads,
    staleShare: counts.acknowledged / reads.length,
    failures: sum(({ failures }) => failures),
  }
}
