import type { HistoryReport } from './check-history.js'
import { CHECKS, type CheckName, describeViolation } from './violation.js'

const MEANINGS: Readonly<Record<CheckName, string>> = {
  phantom: 'rows that were never committed',
  acknowledged: 'older than an acknowledged write',
  monotonic: 'older than shown before, same process',
  'own-writes': 'older than written, same process',
  session: 'older than known to the session',
  bound: 'staler than allowed',
  'at-rest': 'copies that differ at rest',
  loads: 'loads at once, same row and process',
  label: 'rows under another label',
}

/** A report as lines of text: what was looked at, how often each promise was broken, how stale reads were, and some examples. */
export function formatReport(report: HistoryReport, examples = 5): string {
  const { reads, writes, compared, loads, staleness, counts, violations } = report
  const lines = [
    `${count(reads)} reads, ${count(writes)} writes, ${count(loads.loads)} loads, ${count(compared)} copies compared at rest`,
    ...CHECKS.map((check) => `  ${MEANINGS[check].padEnd(38)} ${count(counts[check]).padStart(9)}`),
    `staleness: p50 ${ms(staleness.p50Ms)}, p99 ${ms(staleness.p99Ms)}, p99.9 ${ms(staleness.p999Ms)}, most ${ms(staleness.maxMs)}`,
    ...violations.slice(0, examples).map((violation) => `  ${describeViolation(violation)}`),
  ]
  return lines.join('\n')
}

function count(number: number): string {
  return number.toLocaleString('en-US')
}

function ms(value: number): string {
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ms`
}
