import { contestants } from '../harness/contestants.js'
import { inPlace, type OpenPlace } from '../harness/place.js'
import { amountOf, atMost, type Comparison, type Scenario, type Setting } from '../harness/scenario.js'
import { makeSlow, type SlowTable } from '../harness/slow-table.js'
import { quantile, summarize } from '../harness/summary.js'
import { runTraffic } from './traffic-fleet.js'

const KEYS = 4
/** Of each process: a key is asked for more than once while its load is under way, so whoever may load does. */
const PER_SECOND_EACH = 240
const TTL_MS = 1_000
const LOAD_MS = 50
/** A round's loads are counted in windows of so many TTLs. */
const WINDOW_TTLS = 2

/** What each further process costs the database. */
export const scale: Scenario = {
  name: 'scale',
  title: `${KEYS} hot keys, TTL 1 s, ${LOAD_MS} ms load, ${PER_SECOND_EACH} reads/s in each process; raw: cache-aside by hand`,
  unit: 'loads per key and TTL, the largest fleet',
  run: (setting) =>
    inPlace({ rows: 10_000 }, async (place) => findings(place, await makeSlow(place, LOAD_MS), setting)),
}

async function findings(place: OpenPlace, table: SlowTable, setting: Setting) {
  const sizes = setting.quick ? [1, 8] : [1, 2, 4, 8, 16]
  const durationMs = amountOf({ quick: 4_000, least: 4_000, full: 10_000 }, setting)
  const { readers, cannot } = await contestants(setting, TTL_MS, ['cache-aside'])
  const measured = new Map<string, ReturnType<typeof perTtl>>()
  let nextId = 1
  for (const processes of sizes) {
    for (const { name, choice } of readers) {
      setting.note(`${name}, ${processes} processes`)
      const ids = Array.from({ length: KEYS }, () => nextId++)
      const practiceIds = Array.from({ length: processes }, () =>
        Array.from({ length: amountOf({ quick: 4, least: 8, full: 16 }, setting) }, () => nextId++),
      )
      const result = await runTraffic({
        place,
        table,
        namespace: `scale-${name}-${processes}`,
        choice,
        processes,
        ids,
        loadMs: LOAD_MS,
        practiceIds,
        perSecond: PER_SECOND_EACH * processes,
        durationMs,
        warmUpMs: amountOf({ quick: 500, least: 1_000, full: 2_000 }, setting),
        touch: false,
        setting,
      })
      measured.set(`${processes} ${name}`, perTtl(result))
    }
  }
  const comparisonOf = (processes: number): Comparison => ({
    label: `${processes} process${processes === 1 ? '' : 'es'}`,
    raw: 'cache-aside',
    results: Object.fromEntries(
      readers.map(({ name }) => [name, summarize(measured.get(`${processes} ${name}`)?.loads ?? [])]),
    ),
  })
  const growth = (name: string) => {
    const at = (processes = 0) => quantile(measured.get(`${processes} ${name}`)?.loads ?? [], 0.5)
    return at(sizes.at(-1)) / at(sizes[0])
  }
  return {
    comparisons: sizes.toReversed().map(comparisonOf) as [Comparison, ...Comparison[]],
    targets: [atMost(`loads per TTL, ${sizes.at(-1)} processes / 1 process`, 1.25, growth('corral'))],
    remarks: readers.map(({ name }) => {
      const figures = sizes.map((processes) => {
        const { perSecond, perRequest } = measured.get(`${processes} ${name}`) ?? { perSecond: 0, perRequest: 0 }
        return `${processes}: ${perSecond.toFixed(1)}/s, ${(100 * perRequest).toFixed(2)} %`
      })
      return `${name}, loads by processes, per second and per request: ${figures.join('; ')}`
    }),
    cannot,
  }
}

function perTtl({ startMs, durationMs, loads: total, logs }: Awaited<ReturnType<typeof runTraffic>>) {
  const windowMs = WINDOW_TTLS * TTL_MS
  const counts = new Array<number>(Math.floor(durationMs / windowMs)).fill(0)
  for (const { loads } of logs) {
    for (const { startedMs, rows } of loads) {
      const window = Math.floor((startedMs - startMs) / windowMs)
      if (window >= 0 && window < counts.length) counts[window] = (counts[window] as number) + rows
    }
  }
  const requests = logs.reduce((sum, { waitsMs }) => sum + waitsMs.length, 0)
  return {
    loads: counts.map((count) => count / (WINDOW_TTLS * KEYS)),
    perSecond: (total / durationMs) * 1_000,
    perRequest: total / requests,
  }
}
