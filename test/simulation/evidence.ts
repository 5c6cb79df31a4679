import { readFileSync, writeFileSync } from 'node:fs'
import type { Ablation as TakenOut } from '../../bench/soak/faults/ablation.js'
import { ABLATIONS as IN_THE_MODEL, type Ablation as ModelAblation } from '../model/ablations.js'
import { RULES } from '../model/rules.js'
import type { Ablation } from './ablation.js'
import { ABLATIONS, type AblationName } from './ablations.js'
import type { GateResult, GateResults } from './gate-results.js'

const TABLE = new URL('../../docs/design/evidence/ablations.md', import.meta.url)
const FAULT_RUNS = new URL('../../docs/design/evidence/faults.md', import.meta.url)
const ROW = /^\| `(\w+)` \|.*$/gm
/** A line of the fault runs' own table: `| `fence`: writers only say so | C2 7 |`. */
const FAULT_RUN = /^\| `(\w+)`:[^|]*\| ([^|]+) \|$/gm
const NOT_IN_IT = 'not in it'

/** What a fault run was made without (`--without`) is several mechanisms at once, or only one. */
const PARTS_OF = {
  fence: ['fencesAtAll'],
  relay: ['relay'],
  floor: ['floors', 'floorRefusesAbsence', 'absenceIsAFloor'],
  flush: ['gapEmptiesNear', 'subscribingEmptiesNear', 'trustRunsOut'],
} as const satisfies Record<TakenOut, readonly AblationName[]>

/** Everything that is taken out anywhere, in the order of the table. */
export const MECHANISMS: Readonly<Record<string, string>> = Object.fromEntries(
  [...Object.entries(RULES), ...Object.entries<Ablation>(ABLATIONS)].map(([name, { says }]) => [name, says]),
)

export function evidenceTable(): string {
  return readFileSync(TABLE, 'utf8')
}

export function saveTable(results: GateResults): void {
  writeFileSync(TABLE, withEvidence(evidenceTable(), results))
}

/** The table as it follows from what the model, the gate and the fault runs have seen. The file of the guarantee test is written by hand. */
export function withEvidence(table: string, results: GateResults, faultRuns = readFaultRuns()): string {
  return table.replaceAll(ROW, (row, name: string) => {
    const guarantee = row.split('|')[5]?.trim() ?? ''
    const simulator = name in ABLATIONS ? seenBySimulator(results[name as AblationName]) : 'not planted'
    const cells = [MECHANISMS[name] ?? '', seenByModel(name), simulator, guarantee, faultRuns.get(name) ?? '']
    return `| \`${name}\` |${cells.map((cell) => (cell === '' ? '  |' : ` ${cell} |`)).join('')}`
  })
}

/** What they have reported, by the mechanism they were made without. */
function readFaultRuns(): ReadonlyMap<string, string> {
  const seen = new Map<string, string>()
  for (const [, takenOut, report] of readFileSync(FAULT_RUNS, 'utf8').matchAll(FAULT_RUN)) {
    const parts: readonly string[] = PARTS_OF[takenOut as TakenOut]
    const together = parts.length === 1 ? '' : `, all of \`--without ${takenOut}\` together`
    for (const name of parts) seen.set(name, `${report}${together}`)
  }
  return seen
}

function seenByModel(name: string): string {
  const found: ModelAblation | undefined = IN_THE_MODEL[name as keyof typeof IN_THE_MODEL]
  if (found === undefined) return NOT_IN_IT
  return found.behind === undefined ? found.scope : `${found.scope}, behind \`${found.behind}\``
}

function seenBySimulator(result: GateResult | undefined): string {
  if (result === undefined) return 'not tried'
  const { seeds, caught, profiles } = result
  const count = seeds === 1 ? '1 seed' : `${seeds} seeds`
  if (caught === null) return `not caught in ${count} of ${profiles}`
  return `caught: seed ${caught.seed} (${caught.profile}), after ${count}`
}
