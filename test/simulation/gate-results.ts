import { readFileSync, writeFileSync } from 'node:fs'
import { ABLATIONS, type AblationName } from './ablations.js'
import type { Tally } from './runner.js'

/** What one run of the gate has seen of one ablation. */
export interface GateResult {
  /** Those it is looked for in: `unstamped, comings`. */
  readonly profiles: string
  /** Seeds of these profiles that were run, up to and with the one that was broken. */
  readonly seeds: number
  readonly caught: { readonly seed: number; readonly profile: string; readonly what: string } | null
}

export type GateResults = Partial<Record<AblationName, GateResult>>

const RESULTS = new URL('gate-results.json', import.meta.url)
const TABLE = new URL('../../docs/design/evidence/ablations.md', import.meta.url)
const ROW = /^\| `(\w+)` \|.*$/gm
/** Of the cells between the bars of a row: the one before the first bar is empty. */
const SIMULATOR = 4

export function resultOf(name: AblationName, { seeds, broken }: Tally): GateResult {
  const [first] = broken
  const caught = first ? { seed: first.seed, profile: first.profile, what: first.what[0] as string } : null
  return { profiles: ABLATIONS[name].profiles.join(', '), seeds, caught }
}

export function savedResults(): GateResults {
  return JSON.parse(readFileSync(RESULTS, 'utf8'))
}

export function evidenceTable(): string {
  return readFileSync(TABLE, 'utf8')
}

/** Writes down what was seen, in place of what was seen of this ablation before, and into the table of evidence. */
export function saveResult(name: AblationName, result: GateResult): void {
  const all = { ...savedResults(), [name]: result }
  const known = Object.keys(ABLATIONS).filter((each): each is AblationName => each in all)
  const results = Object.fromEntries(known.map((each) => [each, all[each]]))
  writeFileSync(RESULTS, `${JSON.stringify(results, null, 2)}\n`)
  writeFileSync(TABLE, withResults(evidenceTable(), results))
}

/** The table with the simulator's column as the results have it. */
export function withResults(table: string, results: GateResults): string {
  return table.replaceAll(ROW, (row, name: string) => {
    const cells = row.split('|')
    cells[SIMULATOR] = ` ${cellOf(name, results[name as AblationName])} `
    return cells.join('|')
  })
}

function cellOf(name: string, result: GateResult | undefined): string {
  if (!(name in ABLATIONS)) return 'not planted'
  if (result === undefined) return 'not tried'
  const { seeds, caught, profiles } = result
  const count = seeds === 1 ? '1 seed' : `${seeds} seeds`
  if (caught === null) return `not caught in ${count} of ${profiles}`
  return `caught: seed ${caught.seed} (${caught.profile}), after ${count}`
}
