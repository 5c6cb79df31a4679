import type { LoadRecord, WriteRecord } from './records.js'
import type { Violation } from './violation.js'

/** What the database was asked on behalf of the cache. */
export interface LoadFigures {
  readonly loads: number
  /** Most loads of one row at once in the whole fleet. */
  readonly mostAtOnce: number
  /** Of the row that was loaded most often for each time its entry had to be made anew: after a write, and after its fresh time. */
  readonly mostPerExpiry: { readonly key: string; readonly loads: number; readonly expiries: number } | undefined
}

/** A row's loads in one process must not overlap; those of different processes may, where a lease was taken over or a cache was away. */
export function checkLoads(
  byKey: ReadonlyMap<string, readonly LoadRecord[]>,
  options: {
    readonly writes: ReadonlyMap<string, readonly WriteRecord[]>
    readonly freshMs: number | undefined
    readonly report: (violation: Violation) => void
  },
): LoadFigures {
  let loads = 0
  let mostAtOnce = 0
  let most: LoadFigures['mostPerExpiry']
  for (const [key, ofKey] of byKey) {
    loads += ofKey.length
    mostAtOnce = Math.max(mostAtOnce, atOnce(ofKey))
    reportOverlaps(ofKey, options.report)
    const expiries = expiriesOf(ofKey, options.writes.get(key) ?? [], options.freshMs)
    if (most === undefined || ofKey.length / expiries > most.loads / most.expiries) {
      most = { key, loads: ofKey.length, expiries }
    }
  }
  return { loads, mostAtOnce, mostPerExpiry: most }
}

function reportOverlaps(loads: readonly LoadRecord[], report: (violation: Violation) => void): void {
  const last = new Map<string, LoadRecord>()
  for (const load of [...loads].sort((a, b) => a.startedMs - b.startedMs)) {
    const during = last.get(load.process)
    if (during !== undefined && load.startedMs < during.endedMs) report({ check: 'loads', load, during })
    if (during === undefined || load.endedMs > during.endedMs) last.set(load.process, load)
  }
}

function atOnce(loads: readonly LoadRecord[]): number {
  const edges = loads.flatMap(({ startedMs, endedMs }) => [
    { atMs: startedMs, step: 1 },
    { atMs: endedMs, step: -1 },
  ])
  // What ends in the instant another begins is over.
  edges.sort((a, b) => a.atMs - b.atMs || a.step - b.step)
  let now = 0
  let most = 0
  for (const { step } of edges) {
    now += step
    most = Math.max(most, now)
  }
  return most
}

/** The first fill, one for each write, and one for each fresh time that passed. */
function expiriesOf(
  loads: readonly LoadRecord[],
  writes: readonly WriteRecord[],
  freshMs = Number.POSITIVE_INFINITY,
): number {
  const first = loads.reduce((earliest, { startedMs }) => Math.min(earliest, startedMs), Number.POSITIVE_INFINITY)
  const last = loads.reduce((latest, { endedMs }) => Math.max(latest, endedMs), first)
  return 1 + writes.length + Math.floor((last - first) / freshMs)
}
