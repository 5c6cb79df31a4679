import { describe, expect, it } from 'vitest'
import { RULES } from '../model/rules.js'
import { ABLATIONS, type Ablation, type AblationName } from './ablations.js'
import { edited, sourceText } from './bundle.js'
import { runGate } from './gate.js'
import { evidenceTable, type GateResult, savedResults, withResults } from './gate-results.js'
import { PROFILE_NAMES } from './profile.js'

/** Those that few seeds are enough for. `npm run simulate -- --gate` tries all. */
const QUICK: readonly AblationName[] = [
  'fencesAtAll',
  'fencesAfterCommit',
  'fenceRevokesLease',
  'joinsOnlyWhatSaw',
  'copiesAreFenced',
]
/** Seeds on from the one that the gate has caught it with: once other code has changed, that one may have another story. */
const MORE_SEEDS = 60

describe('the ablations', () => {
  it.each(Object.entries(ABLATIONS))('%s still meets the code it is about', (_, { edits }: Ablation) => {
    for (const file of new Set(edits.map((edit) => edit.file))) {
      const text = sourceText(file)
      expect(edited(file, text, edits)).not.toBe(text)
    }
  })

  it('would say so if it did not', () => {
    const edit = { file: 'index.ts', replace: 'what is not there', by: '' }
    expect(() => edited('index.ts', sourceText('index.ts'), [edit])).toThrow('0 times')
  })

  it.each(QUICK)(
    `%s is caught again where the gate has caught it, or in ${MORE_SEEDS} seeds from there`,
    async (name) => {
      const { caught } = savedResults()[name] as GateResult
      expect(caught).not.toBeNull()
      const span = MORE_SEEDS * PROFILE_NAMES.length
      const [again] = await runGate({ names: [name], from: () => caught?.seed ?? 0, span, threads: 1 })
      expect(again?.tally.broken).toHaveLength(1)
    },
    600_000,
  )

  it('all have a row in the table of evidence, and no others do', () => {
    const rows = [...evidenceTable().matchAll(/^\| `(\w+)` \|/gm)].map(([, name]) => name)
    expect(rows.sort()).toEqual([...new Set([...Object.keys(RULES), ...Object.keys(ABLATIONS)])].sort())
  })

  it('have been through the gate, in the profiles they are looked for in', () => {
    const results = savedResults()
    expect(Object.keys(results)).toEqual(Object.keys(ABLATIONS))
    for (const [name, { profiles }] of Object.entries(results)) {
      expect([name, profiles]).toEqual([name, ABLATIONS[name as AblationName].profiles.join(', ')])
    }
  })

  it('are in the table with what the gate has seen, and nothing else', () => {
    const table = evidenceTable()
    expect(withResults(table, savedResults())).toBe(table)
    expect(withResults(table, {})).not.toBe(table)
  })
})
