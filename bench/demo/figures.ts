import { checkHistory, type HistoryReport, type ReadRecord } from '../../src/testing.js'
import type { AtRest } from './at-rest.js'
import type { WorkerLog } from './messages.js'

/** What one side did under the traffic. */
export interface Figures {
  readonly reads: number
  readonly writes: number
  /** The messages of pages and writes that ended with an error. */
  readonly failures: readonly string[]
  /** Writes whose writer was told that the cache could not be reached. */
  readonly unfenced: number
  /** Reads that would be stale if those writes counted. */
  readonly excused: number
  readonly readsPerSecond: number
  /** 0 to 1. */
  readonly hitRatio: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly loads: number
  /** Reads that began after a newer revision had been acknowledged. */
  readonly stale: number
  /** How long the oldest of what they showed had been out of date; 0 without one. */
  readonly oldestMs: number
  /** Rows that say another revision, or another row, in their other column. */
  readonly torn: number
  readonly report: HistoryReport
  readonly atRest: AtRest
}

export function figuresOf(logs: readonly WorkerLog[], atRest: AtRest): Figures {
  const reads = logs.flatMap((log) => log.reads)
  const writes = logs.flatMap((log) => log.writes)
  const latencies = reads.map(({ startedMs, endedMs }) => endedMs - startedMs)
  const history = { reads, writes, loads: [], atRest: [] }
  const report = checkHistory(history, { maxExamples: Number.POSITIVE_INFINITY })
  const asIfFenced = writes.map((write) => ({ ...write, outcome: 'fenced' as const }))
  const stale = report.counts.acknowledged
  const ages = report.violations.flatMap((violation) => (violation.check === 'acknowledged' ? [violation.ageMs] : []))
  return {
    reads: reads.length,
    writes: writes.length,
    failures: logs.flatMap((log) => log.failures),
    unfenced: writes.filter(({ outcome }) => outcome !== 'fenced').length,
    excused: checkHistory({ ...history, writes: asIfFenced }).counts.acknowledged - stale,
    readsPerSecond: (reads.length * 1_000) / spanMs(reads),
    hitRatio: logs.reduce((sum, { hits }) => sum + hits, 0) / reads.length,
    p50Ms: percentile(latencies, 0.5),
    p99Ms: percentile(latencies, 0.99),
    loads: logs.reduce((sum, { loads }) => sum + loads, 0),
    stale,
    oldestMs: ages.reduce((oldest, ageMs) => Math.max(oldest, ageMs), 0),
    torn: report.counts.label,
    report,
    atRest,
  }
}

/** From the start of the first read to the end of the last. */
function spanMs(reads: readonly ReadRecord[]): number {
  const first = reads.reduce((earliest, { startedMs }) => Math.min(earliest, startedMs), Number.POSITIVE_INFINITY)
  const last = reads.reduce((latest, { endedMs }) => Math.max(latest, endedMs), 0)
  return last - first
}

/** The least value that at least this share of all values does not exceed; NaN of none. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = Float64Array.from(values).sort()
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN
}
