/**
 * `npm run soak -- <name> [--seed n] [--quick]`: a long run on real servers of its own. Exits with 1 when a target was missed.
 */
import { parseArgs } from 'node:util'
import { buildWorkers } from '../harness/built.js'
import { describeMachine } from '../harness/machine.js'
import { crashingWriters } from './crashing-writers.js'
import { nothingLost } from './nothing-lost.js'
import type { Soak } from './soak.js'

const SOAKS: readonly Soak[] = [crashingWriters, nothingLost]

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { seed: { type: 'string', default: '1' }, quick: { type: 'boolean', default: false } },
})
const soak = SOAKS.find(({ name }) => name === positionals[0])
const seed = Number(values.seed)
if (soak === undefined || positionals.length !== 1 || !Number.isInteger(seed)) {
  const listed = SOAKS.map(({ name, title }) => `  ${name}  ${title}`).join('\n')
  console.error(`usage: npm run soak -- <name> [--seed <whole number>] [--quick]\n\n${listed}`)
  process.exitCode = 2
} else {
  await run(soak)
}

async function run(chosen: Soak): Promise<void> {
  const startedMs = performance.now()
  await buildWorkers()
  const note = (line: string) => console.error(`${chosen.name}: ${line}`)
  const { targets, remarks } = await chosen.run({ seed, quick: values.quick, note })
  console.log(`${chosen.name}, seed ${seed}: ${chosen.title}\n`)
  for (const { what, wanted, found, met } of targets) {
    console.log(`${met ? 'met   ' : 'MISSED'}  ${what}: ${found} (${wanted})`)
  }
  for (const remark of remarks) console.log(`        ${remark}`)
  console.log(`\n${Math.round((performance.now() - startedMs) / 1_000)} s; ${describeMachine()}`)
  if (targets.some(({ met }) => !met)) process.exitCode = 1
}
