import { inPlace, type OpenPlace } from '../harness/place.js'
import type { ReaderChoice } from '../harness/readers.js'
import { amountOf, atMost, type Scenario, type Setting } from '../harness/scenario.js'
import { makeSlow, type SlowTable } from '../harness/slow-table.js'
import { quantile, summarize } from '../harness/summary.js'
import { runTraffic, type TrafficResult } from './traffic-fleet.js'

const KEYS = 1_000
const PROCESSES = 4
/** Each key ten times a second: what has expired is asked for within 100 ms. */
const PER_SECOND = 10_000
/** The default jitter is a share of it. Long against the time in which every key is asked for, or that alone would spread the loads. */
const TTL_MS = 12_000
const LOAD_MS = 50

/** A thousand keys that were filled in one go, and what their expiry does to the database. */
export const bulkExpiry: Scenario = {
  name: 'bulk-expiry',
  title: `${KEYS} keys filled together, TTL ${TTL_MS / 1_000} s, ${PER_SECOND} reads/s over ${PROCESSES} processes; raw: no jitter`,
  unit: 'rows being loaded at once, at the busiest moment around an expiry',
  run: (setting) =>
    inPlace({ rows: 10 * KEYS }, async (place) => findings(place, await makeSlow(place, LOAD_MS), setting)),
}

async function findings(place: OpenPlace, table: SlowTable, setting: Setting) {
  const durationMs = Math.round(amountOf({ quick: 1.2, least: 1.5, full: 3.5 }, setting) * TTL_MS)
  let runs = 0
  const run = (what: string, choice: Omit<ReaderChoice, 'freshMs'>) => {
    setting.note(`${what}, ${durationMs / 1_000} s`)
    const ids = Array.from({ length: KEYS }, (_, index) => runs * KEYS + index + 1)
    const namespace = `bulk-${++runs}`
    const rest = {
      loadMs: LOAD_MS,
      practiceIds: [],
      processes: PROCESSES,
      perSecond: PER_SECOND,
      durationMs,
      warmUpMs: 0,
    }
    return runTraffic({
      place,
      table,
      namespace,
      ids,
      choice: { ...choice, freshMs: TTL_MS },
      ...rest,
      touch: false,
      setting,
    })
  }
  const plain = { kind: 'corral', l1: true } as const
  const jittered = await run('corral with its default jitter', plain)
  const inStep = setting.quick
    ? undefined
    : await run('corral without jitter', { ...plain, groups: { ttl: { jitter: 0 } } })
  const bare = await run('corral without jitter and early refresh', {
    ...plain,
    groups: { ttl: { jitter: 0 }, refresh: { beta: 0 } },
  })
  const peaks = {
    corral: peakLoads(jittered),
    ...(inStep && { 'no jitter': peakLoads(inStep) }),
    'no jitter, no early refresh': peakLoads(bare),
  }
  return {
    comparisons: [
      {
        label: '',
        raw: 'no jitter, no early refresh',
        results: Object.fromEntries(Object.entries(peaks).map(([name, peak]) => [name, summarize(peak)])),
      },
    ] as const,
    targets: [
      atMost(
        'busiest moment with jitter / without',
        0.5,
        quantile(peaks.corral, 0.5) / quantile(peaks['no jitter, no early refresh'], 0.5),
      ),
    ],
    remarks: [
      describe('corral', jittered),
      ...(inStep ? [describe('no jitter', inStep)] : []),
      describe('no jitter, no early refresh', bare),
    ],
  }
}

/** For each expiry of what was filled before the start, half a TTL to either side, the most rows that were being loaded at one time. */
function peakLoads({ startMs, durationMs, logs }: TrafficResult): number[] {
  const peaks = new Array<number>(Math.floor(durationMs / TTL_MS)).fill(0)
  let loading = 0
  for (const { atMs, change } of edgesOf(logs)) {
    loading += change
    const expiry = Math.round((atMs - startMs) / TTL_MS) - 1
    if (expiry >= 0 && expiry < peaks.length) peaks[expiry] = Math.max(peaks[expiry] as number, loading)
  }
  return peaks
}

/** Beginnings and ends of loads, in the order of time. */
function edgesOf(logs: TrafficResult['logs']): { readonly atMs: number; readonly change: number }[] {
  const edges = logs.flatMap(({ loads }) =>
    loads.flatMap(({ startedMs, endedMs, rows }) => [
      { atMs: startedMs, change: rows },
      { atMs: endedMs, change: -rows },
    ]),
  )
  return edges.sort((a, b) => a.atMs - b.atMs)
}

function describe(what: string, { logs, loads }: TrafficResult): string {
  const statements = logs.reduce((sum, log) => sum + log.loads.length, 0)
  const waits = logs.flatMap(({ waitsMs }) => [...waitsMs])
  return `${what}: ${loads} rows loaded by ${statements} statements, reads waited at p99 ${quantile(waits, 0.99).toFixed(1)} ms`
}
