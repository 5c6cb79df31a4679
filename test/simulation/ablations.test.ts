import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { RULES } from '../model/rules.js'
import { ABLATIONS, type Ablation, type AblationName } from './ablations.js'
import { edited, sourceText } from './bundle.js'
import { runGate } from './gate.js'

/** Those that few seeds are enough for. `npm run simulate -- --gate` tries all. */
const QUICK: readonly AblationName[] = ['fencesAtAll', 'fillMustSatisfyFence']
const SEEDS = 2_000

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

  it('that show soon are noticed', async () => {
    const caught = await runGate({ names: QUICK, to: SEEDS, threads: 2 })
    expect(caught.filter(({ tally }) => tally.broken.length === 0).map(({ name }) => name)).toEqual([])
  }, 300_000)

  it('all have a row in the table of evidence, and no others do', () => {
    const text = readFileSync(new URL('../../docs/design/evidence/ablations.md', import.meta.url), 'utf8')
    const rows = [...text.matchAll(/^\| `(\w+)` \|/gm)].map(([, name]) => name)
    expect(rows.sort()).toEqual([...new Set([...Object.keys(RULES), ...Object.keys(ABLATIONS)])].sort())
  })
})
