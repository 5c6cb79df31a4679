import { contestants } from '../harness/contestants.js'
import { inPlace, type OpenPlace } from '../harness/place.js'
import { amountOf, atMost, type Scenario, type Setting } from '../harness/scenario.js'
import { makeSlow, type SlowTable } from '../harness/slow-table.js'
import { quantile, summarize } from '../harness/summary.js'
import { zipfIds } from '../harness/zipf.js'
import { runTraffic, type TrafficResult } from './traffic-fleet.js'

const KEYS = 2_000
const PROCESSES = 4
const BASELINE_PER_SECOND = 300
const TENFOLD = 10
const TTL_MS = 2_000
const LOAD_MS = 30
/** Every process goes through the same draws, again and again: what one has missed, the others miss at the same time. */
const DRAWS = 2 ** 12
/** Answers are counted in windows of this length. */
const WINDOW_MS = 1_000

/** A shop on the day of its campaign: the same keys, ten times the readers. */
export const load10x: Scenario = {
  name: 'load-10x',
  title: `${BASELINE_PER_SECOND} reads/s of ${KEYS} keys (zipf 0.99), then ${TENFOLD} x that, ${PROCESSES} processes, TTL ${TTL_MS / 1_000} s, ${LOAD_MS} ms load; raw: cache-aside by hand`,
  unit: `p99 of the reads at ${TENFOLD} x the rate, ms`,
  run: (setting) =>
    inPlace({ rows: 10 * KEYS }, async (place) => findings(place, await makeSlow(place, LOAD_MS), setting)),
}

interface Campaign {
  readonly usual: Figures
  readonly tenfold: Figures
}

type Figures = ReturnType<typeof figuresOf>

async function findings(place: OpenPlace, table: SlowTable, setting: Setting) {
  const { readers, cannot } = await contestants(setting, TTL_MS, ['cache-aside'])
  const ids = [...zipfIds(KEYS, DRAWS)]
  const run = async (name: string, choice: (typeof readers)[number]['choice'], rate: number) => {
    setting.note(`${name}, ${rate} reads/s`)
    const result = await runTraffic({
      place,
      table,
      namespace: `load-${name}-${rate}`,
      choice,
      processes: PROCESSES,
      ids,
      loadMs: LOAD_MS,
      practiceIds: Array.from({ length: PROCESSES }, (_, at) =>
        Array.from({ length: 8 }, (_, n) => KEYS + 1 + at * 8 + n),
      ),
      perSecond: rate,
      durationMs: amountOf({ quick: 3_000, least: 5_000, full: 12_000 }, setting),
      warmUpMs: 0,
      touch: false,
      setting,
    })
    return figuresOf(result)
  }
  const campaigns = new Map<string, Campaign>()
  for (const { name, choice } of readers) {
    const usual = await run(name, choice, BASELINE_PER_SECOND)
    campaigns.set(name, { usual, tenfold: await run(name, choice, TENFOLD * BASELINE_PER_SECOND) })
  }
  const of = (name: string) => campaigns.get(name) as Campaign
  const comparison = (label: string, figure: (campaign: Campaign) => readonly number[]) => ({
    label,
    raw: 'cache-aside',
    results: Object.fromEntries(readers.map(({ name }) => [name, summarize(figure(of(name)))])),
  })
  const { tenfold } = of('corral')
  return {
    comparisons: [
      comparison('', ({ tenfold }) => tenfold.p99sMs),
      comparison('at the usual rate', ({ usual }) => usual.p99sMs),
      comparison(`loads/s at ${TENFOLD} x`, ({ tenfold }) => [tenfold.loadsPerSecond]),
      comparison('loads/s at the usual rate', ({ usual }) => [usual.loadsPerSecond]),
    ] as const,
    targets: [
      atMost(`reads that failed at ${TENFOLD} x`, 0, tenfold.failures),
      // Only as many as there are keys and TTLs: reads do not add loads once a key is warm.
      atMost('loads per key and TTL at the most', 1.3, (tenfold.loadsPerSecond * TTL_MS) / 1_000 / KEYS),
    ],
    remarks: readers.map(({ name }) => {
      const { usual, tenfold } = of(name)
      return `${name}: loads/s ${usual.loadsPerSecond.toFixed(0)} -> ${tenfold.loadsPerSecond.toFixed(0)}, failed reads ${usual.failures} -> ${tenfold.failures}, median wait ${usual.p50Ms.toFixed(1)} -> ${tenfold.p50Ms.toFixed(1)} ms, processor time of the readers ${usual.cpuUs.toFixed(0)} -> ${tenfold.cpuUs.toFixed(0)} us a read`
    }),
    cannot,
  }
}

function figuresOf({ startMs, durationMs, loads, logs }: TrafficResult) {
  const windows: number[][] = Array.from({ length: Math.floor(durationMs / WINDOW_MS) }, () => [])
  for (const { askedMs, waitsMs } of logs) {
    askedMs.forEach((asked, at) => {
      windows[Math.floor((asked - startMs) / WINDOW_MS)]?.push(waitsMs[at] as number)
    })
  }
  return {
    p99sMs: windows.filter(({ length }) => length > 0).map((waits) => quantile(waits, 0.99)),
    loadsPerSecond: (loads / durationMs) * 1_000,
    failures: logs.reduce((sum, { failures }) => sum + failures, 0),
    p50Ms: quantile(
      logs.flatMap(({ waitsMs }) => [...waitsMs]),
      0.5,
    ),
    cpuUs:
      (1_000 * logs.reduce((sum, { cpuMs }) => sum + cpuMs, 0)) /
      logs.reduce((sum, { waitsMs }) => sum + waitsMs.length, 0),
  }
}
