import {
  type CheckName,
  checkHistory,
  describeViolation,
  type HistoryReport,
  type Violation,
} from '../../../src/testing.js'
import { atMost, type Target } from '../../harness/scenario.js'
import { quantile } from '../../harness/summary.js'
import type { NamedRead } from './actor-talk.js'
import type { Strike } from './campaign.js'
import { BUS, LOADS_AT_ONCE } from './corral-side.js'
import { count } from './counts.js'
import type { Ledger, Second } from './ledger.js'
import type { FailoverWindow } from './stage.js'

/** How long an answer from memory may lag: what memory is trusted for, what the bus needs to find a silence out, and a busy machine. */
const MEMORY_LAG_MS = BUS.trustMs + 2 * BUS.heartbeatMs + 500
/** After every process talks to the right servers, this is what detection and replay may take. */
const WINDOW_LIMIT_MS = 5_000
/** What was broken so shortly before a read may have to do with it. */
const BEFORE_MS = 10_000
/** What the database suffered may show in the answers for so long afterwards: the longest that a load is waited for, and a new connection. */
const AFTERMATH_MS = 12_000

export interface Verdict {
  /** Without those that a failover excuses. */
  readonly violations: readonly Violation[]
  /** Of reads of rows. */
  readonly staleness: HistoryReport['staleness']
  /** By the checks of research on the matter, C1 to C8. */
  readonly counts: Readonly<Record<string, number>>
  readonly windows: readonly WindowFinding[]
  readonly targets: readonly Target[]
  readonly remarks: readonly string[]
}

interface WindowFinding extends FailoverWindow {
  /** Reads that showed less than was acknowledged, and how long after the end of it the last of them began. */
  readonly reads: number
  readonly lagMs: number
}

/** What a run has shown. */
export function judge(ledger: Ledger, windows: readonly FailoverWindow[], strikes: readonly Strike[]): Verdict {
  const options = { allWritesAreRecorded: true, memoryLagMs: MEMORY_LAG_MS, maxExamples: Number.POSITIVE_INFINITY }
  const rows = checkHistory(ledger.rows, options)
  const queries = checkHistory(ledger.queries, options)
  const lookups = checkHistory(ledger.lookups, options)
  const violations = once([...rows.violations, ...queries.violations, ...lookups.violations])
  const all = (check: CheckName) => violations.filter((violation) => violation.check === check).length
  const found: WindowFinding[] = windows.map((window) => ({ ...window, reads: 0, lagMs: 0 }))
  const excused = new Set<Violation>()
  for (const violation of violations) {
    if (violation.check !== 'acknowledged') continue
    const window = found.find((each) => isIn(each, violation)) as { reads: number; lagMs: number } | undefined
    if (window === undefined) continue
    const { healedMs } = window as WindowFinding
    excused.add(violation)
    window.reads++
    window.lagMs = Math.max(window.lagMs, violation.read.startedMs - healedMs, 0)
  }
  const lags = found.map(({ lagMs }) => lagMs)
  const counts = {
    'C1 rows that were never committed': all('phantom'),
    'C2 older than acknowledged, outside failovers': all('acknowledged') - excused.size,
    'C2 the same, inside failovers': excused.size,
    'C3 back in time, one process': all('monotonic'),
    'C4 own writes not read': all('own-writes'),
    'C4 session not honoured': all('session'),
    'C5 staler than the read allowed': all('bound'),
    'C6 copies that differ at rest': all('at-rest'),
    'C8 rows under another label': all('label'),
  }
  const mustBeNone = Object.entries(counts).filter(([name]) => !name.includes('inside'))
  const failures = failuresOf(ledger, strikes)
  const most = Math.max(0, ...ledger.mostLoadsAtOnce.values())
  return {
    violations: violations.filter((violation) => !excused.has(violation)),
    ...{ staleness: rows.staleness, counts, windows: found },
    targets: [
      ...mustBeNone.map(([name, times]) => atMost(name, 0, times)),
      atMost(
        'p99 of failover windows, from the end of the fault',
        WINDOW_LIMIT_MS,
        lags.length === 0 ? 0 : quantile(lags, 0.99),
        ' ms',
      ),
      atMost('reads that failed while the database was well', 0, sumOf(failures.well)),
      atMost('the same at ten times the load, beyond what the bounded queue refuses', 0, sumOf(failures.tenFold)),
      atMost('loads of one process at once', LOADS_AT_ONCE, most),
    ],
    remarks: remarks(ledger, { rows, queries, lookups }, strikes),
  }
}

/** A row that was looked up is noted as that row and as what the value led to: what is wrong with it is counted once. */
function once(violations: readonly Violation[]): readonly Violation[] {
  const seen = new Set<string>()
  return violations.filter((violation) => {
    if (!('read' in violation)) return true
    const { process, key, startedMs, endedMs, version } = violation.read
    const name = JSON.stringify([violation.check, process, key, startedMs, endedMs, version])
    return !seen.has(name) && seen.add(name)
  })
}

export function examplesOf({ violations }: Verdict, strikes: readonly Strike[], most: number): string[] {
  const taken = new Map<string, number>()
  return violations.flatMap((violation) => {
    const times = (taken.get(violation.check) ?? 0) + 1
    taken.set(violation.check, times)
    return times > most ? [] : [`${violation.check}: ${describeViolation(violation)}${timesOf(violation, strikes)}`]
  })
}

/** When, on the machine's clock: to be found again among the faults. */
function timesOf(violation: Violation, strikes: readonly Strike[]): string {
  if (!('read' in violation)) return ''
  const { startedMs, endedMs, from, kind }: NamedRead = violation.read
  const other: NamedRead | undefined =
    'missed' in violation ? violation.missed : 'before' in violation ? violation.before : undefined
  const missed = other ? `, the other${other.kind ? `, ${other.kind},` : ''} ended at ${Math.round(other.endedMs)}` : ''
  const during = strikes
    .filter((strike) => strike.startedMs < endedMs && strike.endedMs > startedMs - BEFORE_MS)
    .map((strike) => `${strike.nemesis.name} ${Math.round(strike.startedMs)} to ${Math.round(strike.endedMs)}`)
  const how = [kind, from].filter(Boolean).join(' from ')
  return ` [${how}, ${Math.round(startedMs)} to ${Math.round(endedMs)}${missed}; ${during.join(', ')}]`
}

function isIn(
  { startedMs, healedMs }: FailoverWindow,
  violation: Violation & { readonly check: 'acknowledged' },
): boolean {
  const { read } = violation
  return read.endedMs >= startedMs && read.startedMs <= healedMs + WINDOW_LIMIT_MS
}

/** Reads that failed, by when and why. Not counting what a bounded queue refuses, which is its purpose. */
function failuresOf(ledger: Ledger, strikes: readonly Strike[]) {
  const found = { well: {} as Record<string, number>, tenFold: {} as Record<string, number> }
  const isNear = (second: Second, strike: Strike) =>
    second.startedMs + 1_500 > strike.startedMs && second.startedMs < strike.endedMs + AFTERMATH_MS
  for (const second of ledger.seconds()) {
    const near = strikes.filter((strike) => isNear(second, strike))
    if (near.some(({ nemesis }) => nemesis.harmsDatabase)) continue
    const into = near.some(({ nemesis }) => nemesis.name.startsWith('ten-fold')) ? found.tenFold : found.well
    for (const [code, times] of Object.entries(second.failedReads)) if (code !== 'OVERLOADED') count(into, code, times)
  }
  return found
}

function sumOf(counts: Record<string, number>): number {
  return Object.values(counts).reduce((sum, times) => sum + times, 0)
}

function remarks(
  ledger: Ledger,
  { rows, queries, lookups }: Readonly<Record<'rows' | 'queries' | 'lookups', HistoryReport>>,
  strikes: readonly Strike[],
): string[] {
  const { totals } = ledger
  const { well, tenFold } = failuresOf(ledger, strikes)
  const said = (counts: Record<string, number>) =>
    Object.entries(counts)
      .sort(([, a], [, b]) => b - a)
      .map(([what, times]) => `${what} ${times}`)
      .join(', ') || 'none'
  const { staleness } = rows
  const histogram = staleness.histogram
    .filter(({ reads }) => reads > 0)
    .map(({ uptoMs, reads }) => `${uptoMs === 0 ? 'current' : `<= ${uptoMs} ms`} ${reads}`)
  const struck: Record<string, number> = {}
  for (const { nemesis } of strikes) struck[nemesis.name] = (struck[nemesis.name] ?? 0) + 1
  return [
    `${rows.reads} reads of rows and ${queries.reads} of rows in lists, ${lookups.reads} by a value of a unique column, ${rows.writes} writes, ${totals.loads} loads, ${rows.compared} copies compared at rest`,
    `staleness: ${histogram.join(', ')}; p99 ${staleness.p99Ms.toFixed(1)} ms, p99.9 ${staleness.p999Ms.toFixed(1)} ms, most ${staleness.maxMs.toFixed(0)} ms`,
    `${strikes.length} faults: ${said(struck)}`,
    ...strikes.flatMap(({ nemesis, failure }) => (failure === undefined ? [] : [`${nemesis.name}: ${failure}`])),
    `failed reads: ${said(totals.failedReads)}, of these while the database was well: ${said(well)}, and at ten times the load: ${said(tenFold)}; failed writes: ${said(totals.failedWrites)}; left out: ${totals.skipped}; slowest read ${totals.slowestReadMs.toFixed(0)} ms`,
    `events: ${said(totals.events)}`,
  ]
}
