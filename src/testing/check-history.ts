import { checkLoads, type LoadFigures } from './check-loads.js'
import { type CheckOptions, checkRequest } from './check-options.js'
import { KeyReads } from './key-reads.js'
import { KeyWrites } from './key-writes.js'
import type { HistoryRecords } from './records.js'
import { Staleness, type StalenessFigures } from './staleness.js'
import { CHECKS, type CheckName, type Violation } from './violation.js'

export interface HistoryReport {
  readonly reads: number
  readonly writes: number
  /** Copies compared with their rows at rest. */
  readonly compared: number
  /** How often each promise was broken. */
  readonly counts: Readonly<Record<CheckName, number>>
  /** Examples, in the order of the reads' start. */
  readonly violations: readonly Violation[]
  readonly staleness: StalenessFigures
  readonly loads: LoadFigures
}

/**
 * Decides from records alone what was wrong in a run; no cache and no database is asked.
 *
 * Stamps put the states of each row in one order, so every check is a look into a sorted list: time grows with n log n, and
 * a million reads take seconds. Whatever the records leave open counts in favour of the cache: what was concurrent may have
 * come in either order, and a read that shows no row may have seen any absence there was.
 *
 * @throws ConfigError
 */
export function checkHistory(history: HistoryRecords, options: CheckOptions = {}): HistoryReport {
  checkRequest(history, options)
  const findings = new Findings(options.maxExamples ?? 100)
  const staleness = new Staleness()
  const writes = grouped(history.writes)
  for (const [key, reads] of grouped(history.reads)) {
    const known = new KeyWrites(writes.get(key) ?? [])
    new KeyReads(known, options, findings.add, staleness).check(reads)
  }
  for (const found of history.atRest) {
    if (found.version !== found.stored) findings.add({ check: 'at-rest', found })
  }
  const loads = checkLoads(grouped(history.loads), { writes, freshMs: options.freshMs, report: findings.add })
  return {
    reads: history.reads.length,
    writes: history.writes.length,
    compared: history.atRest.length,
    counts: findings.counts,
    violations: findings.inOrder(),
    staleness: staleness.figures(),
    loads,
  }
}

class Findings {
  readonly counts = Object.fromEntries(CHECKS.map((check) => [check, 0])) as Record<CheckName, number>
  readonly #examples: Violation[] = []
  readonly #maxExamples: number

  constructor(maxExamples: number) {
    this.#maxExamples = maxExamples
  }

  /** Bound, to be handed on. */
  readonly add = (violation: Violation): void => {
    if (this.counts[violation.check]++ < this.#maxExamples) this.#examples.push(violation)
  }

  inOrder(): readonly Violation[] {
    return this.#examples.sort((a, b) => startOf(a) - startOf(b))
  }
}

function startOf(violation: Violation): number {
  if ('read' in violation) return violation.read.startedMs
  return 'load' in violation ? violation.load.startedMs : Number.POSITIVE_INFINITY
}

function grouped<Item extends { readonly key: string }>(records: readonly Item[]): Map<string, Item[]> {
  const groups = new Map<string, Item[]>()
  for (const record of records) {
    const group = groups.get(record.key)
    if (group) group.push(record)
    else groups.set(record.key, [record])
  }
  return groups
}
