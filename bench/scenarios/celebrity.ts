import { machineMs } from '../../src/core/clock.js'
import type { RedisServer } from '../../test/support/servers/redis.js'
import { redisCommand } from '../../test/support/servers/redis-command.js'
import { Worker } from '../harness/crew.js'
import { type OpenClusterPlace, openClusterPlace } from '../harness/place.js'
import { amountOf, atMost, type Scenario, type Setting } from '../harness/scenario.js'
import { makeSlow, type SlowTable } from '../harness/slow-table.js'
import { quantile, summarize } from '../harness/summary.js'
import type { CelebrityLog, CelebrityPlace, CelebrityTalk, CelebrityWrite } from './celebrity-worker.js'

const WORKER = new URL('celebrity-worker.ts', import.meta.url)
const SHARDS = 3
const COPIES = 6
const WORKERS = 4
const INSTANCES = 12
const PER_SECOND = 1_920
const FRESH_MS = 60_000
const LOAD_MS = 20
const LEAD_MS = 100
/** Until every instance has seen a full second of reads, knows that the row is hot, and has found or made its copy. */
const HEAT_MS = 3_000
const WRITE_EVERY_MS = 50
const EVICT_EVERY_MS = 20

/** One row that everybody reads, from processes that hold nothing in memory. */
export const celebrity: Scenario = {
  name: 'celebrity',
  title: `one row, ${WORKERS * INSTANCES} instances in ${WORKERS} processes, ${PER_SECOND} reads/s, L1 off, Redis Cluster of ${SHARDS} shards; corral: ${COPIES} copies; raw: 1 copy, the entry itself`,
  unit: '% of the GETs, on the busiest shard',
  async run(setting) {
    const place = await openClusterPlace({ rows: 1_000, shards: SHARDS })
    try {
      return await findings(place, await makeSlow(place, LOAD_MS), setting)
    } finally {
      await place.close()
    }
  },
}

async function findings(place: OpenClusterPlace, table: SlowTable, setting: Setting) {
  let id = 0
  const run = (what: string, copies: number, disturbed: boolean, lengthMs: number) => {
    setting.note(what)
    return measure({ place, table, id: ++id, copies, disturbed, lengthMs, setting })
  }
  const rounds = amountOf({ quick: 1, least: 3, full: 6 }, setting)
  const lengthMs = amountOf({ quick: 1_500, least: 2_000, full: 5_000 }, setting)
  const one: Round[] = []
  const spread: Round[] = []
  for (let round = 1; round <= rounds; round++) {
    one.push(await run(`1 copy, round ${round} of ${rounds}`, 1, false, lengthMs))
    spread.push(await run(`${COPIES} copies, round ${round} of ${rounds}`, COPIES, false, lengthMs))
  }
  const longMs = amountOf({ quick: 3_000, least: 8_000, full: 20_000 }, setting)
  const plainWrites = setting.quick ? undefined : await run('1 copy, written and evicted', 1, true, longMs)
  const written = await run(`${COPIES} copies, written and evicted`, COPIES, true, longMs)

  const shares = (rounds: readonly Round[], which: 'reads' | 'cpu') => summarize(rounds.map((round) => round[which]))
  const compared = (which: 'reads' | 'cpu') => ({
    raw: '1 copy',
    results: { corral: shares(spread, which), '1 copy': shares(one, which) },
  })
  return {
    comparisons: [
      { label: '', ...compared('reads') },
      { label: "share of the shards' CPU", ...compared('cpu') },
    ] as const,
    targets: [
      atMost(
        `busiest shard with ${COPIES} copies, median of ${rounds} draws`,
        45,
        shares(spread, 'reads').median,
        ' %',
      ),
      atMost(
        'copies older than a write when `fenced` was returned',
        0,
        sum(written.writes.map(({ behind }) => behind)),
      ),
      atMost('reads of something older than a write that was fenced before they began', 0, staleReads(written)),
      atMost('reads that failed', 0, failedReads(written)),
    ],
    remarks: [...(plainWrites ? [describe('1 copy', plainWrites)] : []), describe(`${COPIES} copies`, written)],
  }
}

interface Round {
  /** % of all GETs that the busiest shard answered, as the shards counted them. */
  readonly reads: number
  /** The same for the CPU time of the shards' processes. */
  readonly cpu: number
  readonly logs: readonly CelebrityLog[]
  readonly writes: readonly CelebrityWrite[]
  readonly evicted: number
  readonly loads: number
}

async function measure(options: {
  readonly place: OpenClusterPlace
  readonly table: SlowTable
  readonly id: number
  readonly copies: number
  /** Written and evicted meanwhile. */
  readonly disturbed: boolean
  readonly lengthMs: number
  readonly setting: Setting
}): Promise<Round> {
  const { place, table, id, copies, disturbed, lengthMs, setting } = options
  const nodes = place.shards.map(({ host, port }) => ({ host, port }))
  const own = { namespace: `celebrity-${id}`, nodes, id, freshMs: FRESH_MS, copies, hotPerSecond: 10 }
  const hire = () => new Worker<CelebrityTalk>(WORKER, { profileFolder: setting.profileFolder })
  const readers = Array.from({ length: WORKERS }, hire)
  const [writer, evicter] = [hire(), hire()]
  const all = [...readers, writer, evicter]
  const open = (worker: Worker<CelebrityTalk>, where: Pick<CelebrityPlace, 'postgresUrl' | 'instances'>) =>
    worker.ask('open', { ...own, ...where })
  const read = async (forMs: number) => {
    const startMs = machineMs() + LEAD_MS
    return {
      startMs,
      logs: Promise.all(readers.map((reader) => reader.ask('read', PER_SECOND / WORKERS, startMs, startMs + forMs))),
    }
  }
  try {
    const { postgresUrl } = table.place
    await Promise.all(readers.map((reader) => open(reader, { postgresUrl, instances: INSTANCES })))
    // These two do not pay for what they read, and are not counted.
    await Promise.all([writer, evicter].map((worker) => open(worker, { postgresUrl: place.postgresUrl, instances: 1 })))
    await (await read(HEAT_MS)).logs
    await table.takeLoads()
    const before = await Promise.all(place.shards.map(counted))
    const { startMs, logs } = await read(lengthMs)
    const endMs = startMs + lengthMs
    const writing = disturbed ? writer.ask('write', 1_000, WRITE_EVERY_MS, startMs, endMs) : []
    const evicting = disturbed ? evicter.ask('evict', EVICT_EVERY_MS, startMs, endMs) : 0
    const [readLogs, writes, evicted] = await Promise.all([logs, writing, evicting])
    const after = await Promise.all(place.shards.map(counted))
    const loads = await table.takeLoads()
    await Promise.all(all.map((worker) => worker.ask('close')))
    const busiest = (which: keyof Counted) => {
      const deltas = after.map((count, shard) => count[which] - (before[shard]?.[which] ?? 0))
      return (100 * Math.max(...deltas)) / sum(deltas)
    }
    return { reads: busiest('reads'), cpu: busiest('cpu'), logs: readLogs, writes, evicted, loads }
  } finally {
    await Promise.all(all.map((worker) => worker.stop()))
  }
}

interface Counted {
  readonly reads: number
  readonly cpu: number
}

/** What a shard itself says it has done so far. */
async function counted({ port }: RedisServer): Promise<Counted> {
  const [commands, cpu] = await Promise.all([
    redisCommand(port, 'INFO', 'commandstats'),
    redisCommand(port, 'INFO', 'cpu'),
  ])
  const find = (text: string, pattern: RegExp) => Number(pattern.exec(text)?.[1] ?? 0)
  return {
    reads: find(commands, /cmdstat_get:calls=(\d+)/),
    cpu: find(cpu, /used_cpu_user:([\d.]+)/) + find(cpu, /used_cpu_sys:([\d.]+)/),
  }
}

/** Reads that were given less than a write which had returned `fenced` before they were asked for. */
function staleReads({ logs, writes }: Round): number {
  const fenced = writes.filter(({ fencedMs }) => Number.isFinite(fencedMs))
  let stale = 0
  for (const { askedMs, stocks } of logs) {
    let acknowledged = 0
    for (let at = 0; at < askedMs.length; at++) {
      while ((fenced[acknowledged]?.fencedMs ?? Number.POSITIVE_INFINITY) < (askedMs[at] as number)) acknowledged++
      const least = fenced[acknowledged - 1]?.stock ?? Number.NEGATIVE_INFINITY
      if ((stocks[at] as number) < least) stale++
    }
  }
  return stale
}

function failedReads({ logs }: Round): number {
  return sum(logs.map(({ stocks }) => stocks.filter(Number.isNaN).length))
}

function describe(what: string, round: Round): string {
  const times = round.writes.map(({ durationMs }) => durationMs)
  const reads = sum(round.logs.map(({ stocks }) => stocks.length))
  const pending = round.writes.filter(({ fencedMs }) => !Number.isFinite(fencedMs)).length
  return (
    `${what}, a write each ${WRITE_EVERY_MS} ms: ${reads} reads, ${round.writes.length} writes of ${quantile(times, 0.5).toFixed(1)} ms (p99 ` +
    `${quantile(times, 0.99).toFixed(1)}), ${pending} of them pending, ${round.evicted} keys evicted, ${round.loads} loads, ${staleReads(round)} stale reads, ` +
    `busiest shard ${round.reads.toFixed(0)} %; failed: ${failureText(round)}`
  )
}

function failureText({ logs }: Round): string {
  const codes = [...new Set(logs.flatMap(({ failures }) => Object.keys(failures)))]
  return codes.map((code) => `${code} ${sum(logs.map(({ failures }) => failures[code] ?? 0))}`).join(', ') || 'none'
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}
