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

export function resultOf(name: AblationName, { seeds, broken }: Tally): GateResult {
  const [first] = broken
  const caught = first ? { seed: first.seed, profile: first.profile, what: first.what[0] as string } : null
  return { profiles: ABLATIONS[name].profiles.join(', '), seeds, caught }
}

export function savedResults(): GateResults {
  return JSON.parse(readFileSync(RESULTS, 'utf8'))
}

/** Writes down what was seen, in place of what was seen of this ablation before. Returns all that is known now. */
export function saveResult(name: AblationName, result: GateResult): GateResults {
  const all = { ...savedResults(), [name]: result }
  const known = Object.keys(ABLATIONS).filter((each): each is AblationName => each in all)
  const results = Object.fromEntries(known.map((each) => [each, all[each]]))
  writeFileSync(RESULTS, `${JSON.stringify(results, null, 2)}\n`)
  return results
}
