import { type Table, toMarkdown as tableMarkdown } from '../simulator/table.js'
import { describeMachine } from './machine.js'
import { type Findings, ratioOf, type Scenario, type Setting, type Target } from './scenario.js'
import { rounded, type Summary } from './summary.js'

/** The machine-readable form of one scenario's findings, printed as the last line with `--json`. */
export interface Report {
  readonly scenario: string
  readonly unit: string
  readonly results: Readonly<Record<string, Summary>>
  /** Each result over the raw line of the same run. */
  readonly ratios: Readonly<Record<string, number>>
  /** Contenders without a result, and why. */
  readonly cannot: Readonly<Record<string, string>>
  readonly title: string
  /** The same results, by what was compared. */
  readonly comparisons: Findings['comparisons']
  readonly targets: Findings['targets']
  readonly remarks: readonly string[]
  readonly tables: readonly Table[]
  readonly machine: string
  /** When it was measured, to the day. */
  readonly date: string
  readonly quick: boolean
  /** Share of a full run's rounds, trials and seconds. */
  readonly effort: number
}

interface Line {
  readonly name: string
  readonly summary: Summary
  readonly ratio: number | undefined
}

export function reportOf(
  scenario: Scenario,
  findings: Findings,
  { quick, effort }: Pick<Setting, 'quick' | 'effort'>,
): Report {
  const lines = linesOf(findings)
  return {
    scenario: scenario.name,
    unit: scenario.unit,
    results: Object.fromEntries(lines.map(({ name, summary }) => [name, summary])),
    ratios: Object.fromEntries(lines.flatMap(({ name, ratio }) => (ratio === undefined ? [] : [[name, ratio]]))),
    cannot: findings.cannot ?? {},
    title: scenario.title,
    comparisons: findings.comparisons,
    targets: findings.targets,
    remarks: findings.remarks ?? [],
    tables: findings.tables ?? [],
    machine: describeMachine(),
    date: new Date().toISOString().slice(0, 10),
    quick,
    effort,
  }
}

/** The same for people: a table, the targets and how they were met, and the machine it all ran on. */
export function printed(scenario: Scenario, findings: Findings): string {
  const rows = linesOf(findings).map(({ name, summary, ratio }) => [
    name,
    figure(summary.median),
    `${figure(summary.min)} to ${figure(summary.max)}`,
    ratio === undefined ? '' : `${ratio.toFixed(2)} x`,
  ])
  return [
    `${scenario.name}: ${scenario.title}`,
    '',
    ...aligned([[scenario.unit, 'median', 'min to max', 'of the raw line'], ...rows]),
    ...Object.entries(findings.cannot ?? {}).map(([name, why]) => `${name}: does not take part; it ${why}`),
    '',
    ...findings.targets.map(targetLine),
    ...(findings.remarks ?? []).map((remark) => `        ${remark}`),
    ...(findings.tables ?? []).flatMap((table) => ['', table.title, tableMarkdown(table)]),
    '',
    describeMachine(),
  ].join('\n')
}

/** A target and what was found, in one line. */
export function targetLine({ what, wanted, found, met }: Target): string {
  return `${met ? 'met   ' : 'MISSED'}  ${what}: ${found} (${wanted})`
}

function linesOf({ comparisons }: Findings): Line[] {
  return comparisons.flatMap((comparison, at) =>
    Object.entries(comparison.results).map(([name, summary]) => ({
      name: at === 0 ? name : `${name}, ${comparison.label}`,
      summary: { median: rounded(summary.median), min: rounded(summary.min), max: rounded(summary.max) },
      ratio: fourDigits(ratioOf(comparison, name)),
    })),
  )
}

function fourDigits(value: number | undefined): number | undefined {
  return value === undefined ? undefined : rounded(value)
}

function figure(value: number): string {
  return Math.abs(value) >= 1_000 ? Math.round(value).toLocaleString('en') : String(value)
}

function aligned(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, at) => Math.max(...rows.map((row) => (row[at] ?? '').length)))
  return rows.map((row) =>
    row
      .map((cell, at) => (at === 0 ? cell.padEnd(widths[at] ?? 0) : cell.padStart(widths[at] ?? 0)))
      .join('  ')
      .trimEnd(),
  )
}
