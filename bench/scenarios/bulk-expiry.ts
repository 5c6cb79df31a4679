import { type OpenPlace, openPlace } from '../harness/place.js'
import type { ReaderChoice } from '../harness/readers.js'
import { atMost, type Scenario, type Setting } from '../harness/scenario.js'
import { makeSlow, type SlowTable } from '../harness/slow-table.js'
import { quantile, summarize } from '../harness/summary.js'
import { runTraffic, type TrafficResult } from './traffic-fleet.js'

const KEYS = 1_000
const PROCESSES = 4
const PER_SECOND = 2_000
const TTL_MS = 2_000
/** A statement pays for each row it reads, and those of one tick travel together. */
const ROW_MS = 2
const WINDOW_MS = 100

/** A thousand keys that were filled in one go, and what their expiry does to the database. */
export const bulkExpiry: Scenario = {
  name: 'bulk-expiry',
  title: `${KEYS} keys filled together, TTL ${TTL_MS / 1_000} s, ${PER_SECOND} reads/s over ${PROCESSES} processes; raw: no jitter`,
  unit: `loads in the busiest ${WINDOW_MS} ms of a TTL`,
  async run(setting) {
    const place = await openPlace({ rows: 10 * KEYS })
    try {
      return await findings(place, await makeSlow(place, ROW_MS), setting)
    } finally {
      await place.close()
    }
  },
}

async function findings(place: OpenPlace, table: SlowTable, setting: Setting) {
  const durationMs = setting.quick ? 8_000 : 30_000
  let runs = 0
  const run = (what: string, choice: Omit<ReaderChoice, 'freshMs'>) => {
    setting.note(`${what}, ${durationMs / 1_000} s`)
    const ids = Array.from({ length: KEYS }, (_, index) => runs * KEYS + index + 1)
    const namespace = `bulk-${++runs}`
    const rest = { processes: PROCESSES, perSecond: PER_SECOND, durationMs, warmUpMs: 0, touch: false, setting }
    return runTraffic({ place, table, namespace, ids, choice: { ...choice, freshMs: TTL_MS }, ...rest })
  }
  const plain = { kind: 'corral', l1: true } as const
  const jittered = await run('corral with its default jitter', plain)
  const inStep = await run('corral without jitter', { ...plain, groups: { ttl: { jitter: 0 } } })
  const bare = await run('corral without jitter and early refresh', {
    ...plain,
    groups: { ttl: { jitter: 0 }, refresh: { beta: 0 } },
  })
  const peaks = { corral: peakLoads(jittered), 'no jitter': peakLoads(inStep), 'no jitter, no early refresh': peakLoads(bare) }
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
      describe('no jitter', inStep),
      describe('no jitter, no early refresh', bare),
    ],
  }
}

/** For each TTL of the run, the most loads that began within one window. */
function peakLoads({ startMs, durationMs, logs }: TrafficResult): number[] {
  const began = logs.flatMap(({ loads }) => loads.map(({ startedMs }) => startedMs - startMs))
  return Array.from({ length: Math.floor(durationMs / TTL_MS) }, (_, ttl) => {
    const windows = new Array<number>(TTL_MS / WINDOW_MS).fill(0)
    for (const atMs of began) {
      const window = Math.floor((atMs - ttl * TTL_MS) / WINDOW_MS)
      if (window >= 0 && window < windows.length) windows[window] = (windows[window] as number) + 1
    }
    return Math.max(...windows)
  })
}

function describe(what: string, { logs, loads }: TrafficResult): string {
  const statements = logs.flatMap((log) => log.loads)
  const edges = statements.flatMap(({ startedMs, endedMs }) => [
    { atMs: startedMs, change: 1 },
    { atMs: endedMs, change: -1 },
  ])
  let now = 0
  let most = 0
  for (const { change } of edges.sort((a, b) => a.atMs - b.atMs)) {
    now += change
    most = Math.max(most, now)
  }
  const waits = logs.flatMap(({ waitsMs }) => [...waitsMs])
  return `${what}: at most ${most} statements at once, ${loads} rows loaded by ${statements.length} statements, waits p99 ${quantile(waits, 0.99).toFixed(1)} ms`
}
