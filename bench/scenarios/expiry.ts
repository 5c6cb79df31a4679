import type { SeenLoad } from '../harness/connect.js'
import { contestants } from '../harness/contestants.js'
import { inPlace, type OpenPlace } from '../harness/place.js'
import type { ReaderChoice } from '../harness/readers.js'
import { amountOf, atMost, type Scenario, type Setting } from '../harness/scenario.js'
import { makeSlow, type SlowTable } from '../harness/slow-table.js'
import { quantile, type Summary, summarize } from '../harness/summary.js'
import { runTraffic, TOUCH_EVERY_MS, type TrafficResult } from './traffic-fleet.js'
import type { TrafficLog } from './traffic-worker.js'

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
  run: (setting) => inPlace({ rows: 1_000 }, async (place) => findings(place, await makeSlow(place, LOAD_MS), setting)),
}

async function findings(place: OpenPlace, table: SlowTable, setting: Setting) {
  const { readers, cannot } = await contestants(setting, TTL_MS, ['cache-aside'])
  const durationMs = amountOf({ quick: 8_000, full: 60_000 }, setting)
  const tenfoldMs = amountOf({ quick: 5_000, least: 30_000, full: 60_000 }, setting)
  const othersMs = amountOf({ quick: 4_000, least: 10_000, full: 20_000 }, setting)
  let runs = 0
  let id = 0
  const nextId = () => ++id
  const run = (what: string, choice: ReaderChoice, perSecond: number, lengthMs: number) => {
    setting.note(`${what}, ${lengthMs / 1_000} s`)
    const namespace = `expiry-${++runs}`
    // What others do before is no matter to them; Corral learns what a load costs.
    const practice = choice.kind === 'corral' ? PRACTICE : 0
    const practiceIds = Array.from({ length: PROCESSES }, () => Array.from({ length: practice }, nextId))
    const rest = {
      loadMs: LOAD_MS,
      practiceIds,
      processes: PROCESSES,
      perSecond,
      durationMs: lengthMs,
      warmUpMs: amountOf({ quick: 1_000, full: 2_000 }, setting),
    }
    return runTraffic({ place, table, namespace, choice, ids: [nextId()], ...rest, touch: true, setting })
  }
  const own = { kind: 'corral', freshMs: TTL_MS, l1: true } as const
  const all = new Map<string, TrafficResult>()
  for (const { name, choice } of readers) {
    all.set(name, await run(name, choice, PER_SECOND, choice.kind === 'corral' ? durationMs : othersMs))
  }
  const corral = all.get('corral') as TrafficResult
  const byHand = all.get('cache-aside') as TrafficResult
  const tenfold = await run('corral, 10 x the rate', own, 10 * PER_SECOND, tenfoldMs)
  const l2Only = setting.quick ? undefined : await run('corral, L1 off', { ...own, l1: false }, PER_SECOND, tenfoldMs)
  const compared = (label: string, figure: (result: TrafficResult) => Summary) => ({
    label,
    raw: 'cache-aside',
    results: Object.fromEntries([...all].map(([name, result]) => [name, figure(result)])),
  })
  const alone = (label: string, result: TrafficResult) => ({
    label,
    raw: 'cache-aside',
    results: { corral: loadsPerTtl(result), 'cache-aside': loadsPerTtl(byHand) },
  })
  return {
    comparisons: [
      compared('', loadsPerTtl),
      compared(`reads that waited more than ${LONG_WAIT_MS} ms, of 10,000`, (result) =>
        summarize([(10_000 * longWaits(result)) / readsOf(result)]),
      ),
      compared('oldest answer, ms', (result) =>
        summarize(agesOf(result).length > 0 ? [quantile(agesOf(result), 1)] : [0]),
      ),
      alone('loads per TTL, 10 x the rate', tenfold),
      ...(l2Only ? [alone('loads per TTL, L1 off', l2Only)] : []),
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
      ...[...all].map(([name, result]) => describe(name, result)),
      describe('corral, 10 x the rate', tenfold),
      ...(l2Only ? [describe('corral, L1 off', l2Only)] : []),
    ],
    cannot,
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
function loadsPerTtl({ startMs, durationMs, logs, loads }: TrafficResult): Summary {
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

/** Of these, those that were answered after their own process had stood still for most of the wait. */
function longWaitsStill({ logs }: TrafficResult): number {
  const stoodStillMs = ({ standstills }: TrafficLog, fromMs: number, untilMs: number) =>
    standstills.reduce(
      (sum, still) => sum + Math.max(0, Math.min(untilMs, still.untilMs) - Math.max(fromMs, still.fromMs)),
      0,
    )
  const isStill = (log: TrafficLog, at: number) => {
    const [askedMs, waitMs] = [log.askedMs[at] as number, log.waitsMs[at] as number]
    return waitMs > LONG_WAIT_MS && stoodStillMs(log, askedMs, askedMs + waitMs) > waitMs / 2
  }
  return logs.reduce((sum, log) => sum + [...log.askedMs.keys()].filter((at) => isStill(log, at)).length, 0)
}

function readsOf({ logs }: TrafficResult): number {
  return logs.reduce((sum, { waitsMs }) => sum + waitsMs.length, 0)
}

/**
 * Of reads that were answered: how long ago the row was read from the database, which is what a TTL counts from. A row tells when it was last touched, which may
 * be long before, by as much as passes between two touches. It was read by a load that ended later; taken is the first, so that no age comes out too low.
 */
function agesOf({ logs }: TrafficResult): number[] {
  const loads = logs.flatMap((log) => log.loads).sort((one, other) => one.endedMs - other.endedMs)
  return logs.flatMap(({ askedMs, waitsMs, agesMs }) =>
    [...agesMs].flatMap((sinceTouchMs, at) => {
      if (Number.isNaN(sinceTouchMs)) return []
      const answeredMs = (askedMs[at] as number) + (waitsMs[at] as number)
      return answeredMs - readAtMs(answeredMs - sinceTouchMs, loads)
    }),
  )
}

/** @param loads in the order of their ends. */
function readAtMs(touchedMs: number, loads: readonly SeenLoad[]): number {
  let [first, end] = [0, loads.length]
  while (first < end) {
    const middle = (first + end) >> 1
    if ((loads[middle] as SeenLoad).endedMs > touchedMs) end = middle
    else first = middle + 1
  }
  const startedMs = loads[first]?.startedMs ?? touchedMs
  // So long after, it is not the one: that was made before anybody counted.
  return startedMs - touchedMs > 10 * TOUCH_EVERY_MS ? touchedMs : Math.max(touchedMs, startedMs)
}

function describe(what: string, result: TrafficResult): string {
  const waits = result.logs.flatMap(({ waitsMs }) => [...waitsMs])
  const failures = result.logs.reduce((sum, log) => sum + log.failures, 0)
  const [p99, longest] = [quantile(waits, 0.99), quantile(waits, 1)]
  const oldest = quantile(agesOf(result), 1)
  const sinceTouch = quantile(
    result.logs.flatMap(({ agesMs }) => [...agesMs].filter((ageMs) => !Number.isNaN(ageMs))),
    1,
  )
  return (
    `${what}: ${waits.length} reads, ${result.loads} loads, waits p99 ${p99.toFixed(1)} ms, longest ${longest.toFixed(1)} ms, ` +
    `${longWaits(result)} above ${LONG_WAIT_MS} ms (${longWaitsStill(result)} while their process stood still), oldest answer ${oldest.toFixed(1)} ms (${sinceTouch.toFixed(1)} since the row was touched), ${failures} failed`
  )
}
