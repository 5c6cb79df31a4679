import type { Table } from '../simulator/table.js'
import type { Summary } from './summary.js'

/** One thing worth measuring: `npm run bench -- <name>`. */
export interface Scenario {
  readonly name: string
  /** What is measured, in one line. */
  readonly title: string
  /** Of the figures in `Findings.results`. */
  readonly unit: string
  run(setting: Setting): Promise<Findings>
}

/** How a scenario is to be run. */
export interface Setting {
  /** End within 40 s on two cores, at the price of fewer rounds. */
  readonly quick: boolean
  /** Measure the peers too, where the run is not a quick one. */
  readonly peers: boolean
  /** Share of a full run's rounds, trials and seconds that there is time for, above 0 up to 1. Quick runs have lengths of their own. */
  readonly effort: number
  /** Every child process writes a CPU profile into this folder when it ends. */
  readonly profileFolder: string | undefined
  /** Says what is going on, to a person who waits. */
  note(line: string): void
}

export interface Findings {
  /** The first one's names stand alone; names of the others are followed by a comma and their label. */
  readonly comparisons: readonly [Comparison, ...Comparison[]]
  readonly targets: readonly Target[]
  /** Further figures, for people: each becomes one printed line. */
  readonly remarks?: readonly string[]
  /** Figures that want columns. */
  readonly tables?: readonly Table[]
  /** Contenders that cannot take part, and why. */
  readonly cannot?: Readonly<Record<string, string>>
}

/** Contenders that were measured side by side. */
export interface Comparison {
  readonly label: string
  /** Name of the result that the others are held against. */
  readonly raw: string
  readonly results: Readonly<Record<string, Summary>>
  /** For results that were measured in turns with another round of the raw line: what that came to. */
  readonly rawBeside?: Readonly<Record<string, Summary>>
}

/** What the project asks of itself, and what came out. */
export interface Target {
  readonly what: string
  readonly wanted: string
  readonly found: string
  readonly met: boolean
}

/** How often or how long something is measured, in whole numbers. */
export interface Amounts {
  readonly quick: number
  /** In a run that has time for little. Default: `full`, whatever the effort: what the targets are about. */
  readonly least?: number
  readonly full: number
}

/** Which of `amounts` there is time for. */
export function amountOf({ quick, full, least = full }: Amounts, setting: Pick<Setting, 'quick' | 'effort'>): number {
  return setting.quick ? quick : Math.max(least, Math.round(full * setting.effort))
}

/** A target of at least `least`. */
export function atLeast(what: string, least: number, found: number, unit = ''): Target {
  return { what, wanted: `>= ${least}${unit}`, found: `${shown(found)}${unit}`, met: found >= least }
}

/** A target of at most `most`. */
export function atMost(what: string, most: number, found: number, unit = ''): Target {
  return { what, wanted: `<= ${most}${unit}`, found: `${shown(found)}${unit}`, met: found <= most }
}

/** One result over the raw line of its own comparison. Undefined when that is zero. */
export function ratioOf({ raw, results, rawBeside }: Comparison, name: string): number | undefined {
  const base = (rawBeside?.[name] ?? results[raw])?.median
  const own = results[name]?.median
  if (base === undefined || own === undefined) throw new Error(`no result is called ${raw} or ${name}`)
  return base === 0 ? undefined : own / base
}

function shown(value: number): string {
  return Number.isInteger(value) ? String(value) : value.toFixed(Math.abs(value) < 10 ? 2 : 1)
}
