import { readdirSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import type { Ablation } from './ablation.js'
import { ABLATIONS, type AblationName } from './ablations.js'
import { edited, sourceText } from './bundle.js'
import { evidenceTable, MECHANISMS, withEvidence } from './evidence.js'
import { runGate } from './gate.js'
import { type GateResult, savedResults } from './gate-results.js'
import { PROFILE_NAMES } from './profiles.js'

/** Those that few seeds are enough for. `npm run simulate -- --gate` tries all. */
const QUICK: readonly AblationName[] = ['fencesAtAll', 'absenceIsAFloor', 'copiesAreFenced', 'relay']
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
    expect(rows.sort()).toEqual(Object.keys(MECHANISMS).sort())
  })

  it('have been through the gate, in the profiles they are looked for in', () => {
    const results = savedResults()
    expect(Object.keys(results)).toEqual(Object.keys(ABLATIONS))
    for (const [name, { profiles }] of Object.entries(results)) {
      expect([name, profiles]).toEqual([name, ABLATIONS[name as AblationName].profiles.join(', ')])
    }
  })

  it('are in the table with what model, gate and fault runs have seen, and nothing else', () => {
    const table = evidenceTable()
    expect(withEvidence(table, savedResults())).toBe(table)
    expect(withEvidence(table, {})).not.toBe(table)
    expect(withEvidence(table, savedResults(), new Map())).not.toBe(table)
  })

  it('are each noticed by something: the model, the simulator, or a guarantee test that is there', () => {
    const guarantees = readdirSync(new URL('../guarantees', import.meta.url))
    const rows = [...evidenceTable().matchAll(/^\| `(\w+)` \|(.*)\|$/gm)]
    for (const [, name, cells = ''] of rows) {
      const [, model = '', simulator = '', guarantee = ''] = cells.split('|').map((cell) => cell.trim())
      if (guarantee !== '') expect(guarantees).toContain(`${guarantee}.test.ts`)
      const isSeen = model !== 'not in it' || simulator.startsWith('caught') || guarantee !== ''
      expect([name, isSeen]).toEqual([name, true])
    }
  })
})
