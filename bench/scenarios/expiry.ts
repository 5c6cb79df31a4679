import { type OpenPlace, openPlace } from '../harness/place.js'
import type { ReaderChoice } from '../harness/readers.js'
import { atMost, type Scenario, type Setting } from '../harness/scenario.js'
import { makeSlow, type SlowTable } from '../harness/slow-table.js'
import { quantile, type Summary, summarize } from '../harness/summary.js'
import { runTraffic, type TrafficResult } from './traffic-fleet.js'

const PROCESSES = 4
const PER_SECOND = 500
const TTL_MS = 1_000
const LOAD_MS = 50
const LONG_WAIT_MS = 40
/** Loads each process makes beforehand, of other rows. */
const PRACTICE = 16
/** Loads are counted in windows of so many TTLs. */
const WINDOW_TTLS = 10

/** One hot key that expires again and again under steady traffic. */
export const expiry: Scenario = {
  name: 'expiry',
  title: `hot key, TTL 1 s, ${PER_SECOND} reads/s over ${PROCESSES} processes, ${LOAD_MS} ms load; raw: cache-aside by hand`,
  unit: 'loads per TTL',
  async run(setting) {
    const place = await openPlace({ rows: 1_000 })
    try {
      return await findings(place, await makeSlow(place, LOAD_MS), setting)
    } finally {
      await place.close()
    }
  },
}

async function findings(place: OpenPlace, table: SlowTable, setting: Setting) {
  const durationMs = setting.quick ? 10_000 : 60_000
  let runs = 0
  let id = 0
  const nextId = () => ++id
  const run = (what: string, choice: Omit<ReaderChoice, 'freshMs'>, perSecond: number, lengthMs = durationMs) => {
    setting.note(`${what}, ${lengthMs / 1_000} s`)
    const reader = { ...choice, freshMs: TTL_MS }
    const namespace = `expiry-${++runs}`
    const practiceIds = Array.from({ length: PROCESSES }, () => Array.from({ length: PRACTICE }, nextId))
    const rest = {
      loadMs: LOAD_MS,
      practiceIds,
      processes: PROCESSES,
      perSecond,
      durationMs: lengthMs,
      warmUpMs: 2_000,
    }
    return runTraffic({ place, table, namespace, choice: reader, ids: [nextId()], ...rest, touch: true, setting })
  }
  const corral = await run('corral', { kind: 'corral', l1: true }, PER_SECOND)
  const tenfold = await run('corral, 10 x the rate', { kind: 'corral', l1: true }, 10 * PER_SECOND)
  const l2Only = setting.quick ? undefined : await run('corral, L1 off', { kind: 'corral', l1: false }, PER_SECOND)
  const byHand = await run(
    'cache-aside',
    { kind: 'cache-aside', l1: false },
    PER_SECOND,
    setting.quick ? 5_000 : 20_000,
  )
  const raw = { 'cache-aside': loadsPerTtl(byHand) }
  return {
    comparisons: [
      { label: '', raw: 'cache-aside', results: { corral: loadsPerTtl(corral), ...raw } },
      { label: '10 x the rate', raw: 'cache-aside', results: { corral: loadsPerTtl(tenfold), ...raw } },
      ...(l2Only ? [{ label: 'L1 off', raw: 'cache-aside', results: { corral: loadsPerTtl(l2Only), ...raw } }] : []),
    ] as const,
    targets: [
      ...targetsOf('', corral),
      ...targetsOf('10 x the rate: ', tenfold),
      ...(l2Only ? targetsOf('L1 off: ', l2Only) : []),
      atMost(
        'loads at 10 x the rate / loads at the rate',
        1.1,
        loadsPerTtl(tenfold).median / loadsPerTtl(corral).median,
      ),
    ],
    remarks: [
      describe('corral', corral),
      describe('corral, 10 x the rate', tenfold),
      ...(l2Only ? [describe('corral, L1 off', l2Only)] : []),
      describe('cache-aside by hand', byHand),
    ],
  }
}

function targetsOf(what: string, result: TrafficResult) {
  return [
    atMost(`${what}loads per TTL`, 1.1, loadsPerTtl(result).median),
    atMost(`${what}reads that waited more than ${LONG_WAIT_MS} ms`, 0, longWaits(result)),
    atMost(`${what}oldest answer`, TTL_MS, quantile(agesOf(result), 1), ' ms'),
  ]
}

/** In windows of ten TTLs, by when the load began. */
export function loadsPerTtl({ startMs, durationMs, logs, loads }: TrafficResult): Summary {
  const windowMs = WINDOW_TTLS * TTL_MS
  const seen = logs.flatMap((log) => log.loads)
  if (seen.length !== loads) throw new Error(`Postgres counted ${loads} loads, the pools saw ${seen.length}`)
  const windows = Array.from({ length: Math.max(1, Math.floor(durationMs / windowMs)) }, (_, at) => {
    const fromMs = startMs + at * windowMs
    const untilMs = Math.min(fromMs + windowMs, startMs + durationMs)
    const within = seen.filter(({ startedMs }) => startedMs >= fromMs && startedMs < untilMs)
    return within.length / ((untilMs - fromMs) / TTL_MS)
  })
  return summarize(windows)
}

function longWaits({ logs }: TrafficResult): number {
  return logs.reduce((sum, { waitsMs }) => sum + waitsMs.filter((waitMs) => waitMs > LONG_WAIT_MS).length, 0)
}

function agesOf({ logs }: TrafficResult): number[] {
  return logs.flatMap(({ agesMs }) => [...agesMs])
}

function describe(what: string, result: TrafficResult): string {
  const waits = result.logs.flatMap(({ waitsMs }) => [...waitsMs])
  const failures = result.logs.reduce((sum, log) => sum + log.failures, 0)
  const [p99, longest] = [quantile(waits, 0.99), quantile(waits, 1)]
  const oldest = quantile(agesOf(result), 1)
  return (
    `${what}: ${waits.length} reads, ${result.loads} loads, waits p99 ${p99.toFixed(1)} ms, longest ${longest.toFixed(1)} ms, ` +
    `${longWaits(result)} above ${LONG_WAIT_MS} ms, oldest answer ${oldest.toFixed(0)} ms, ${failures} failed`
  )
}
