/**
 * `npm run soak -- <name> [--seed n] [--quick]`, or
 * `npm run soak -- --minutes n --faults all|name,name [--seed n] [--cluster] [--without mechanism,…] [--json] [--into folder] [--no-by-hand]`:
 * long runs on real servers of their own. Exits with 1 when a target was missed.
 */
import { parseArgs } from 'node:util'
import { buildWorkers } from '../harness/built.js'
import { describeMachine } from '../harness/machine.js'
import { targetLine } from '../harness/report.js'
import { crashingWriters } from './crashing-writers.js'
import { USAGE as FAULT_USAGE, faultCommand } from './faults/command.js'
import { nothingLost } from './nothing-lost.js'
import { redisFrozen, redisKilled } from './redis-outage.js'
import type { Soak, SoakResult } from './soak.js'

const SOAKS: readonly Soak[] = [crashingWriters, nothingLost, redisFrozen, redisKilled]

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seed: { type: 'string', default: '1' },
    quick: { type: 'boolean', default: false },
    minutes: { type: 'string' },
    faults: { type: 'string' },
    cluster: { type: 'boolean', default: false },
    without: { type: 'string', default: '' },
    json: { type: 'boolean', default: false },
    into: { type: 'string' },
    'no-by-hand': { type: 'boolean', default: false },
  },
})
const soak = SOAKS.find(({ name }) => name === positionals[0])
const seed = Number(values.seed)
if (values.faults !== undefined && positionals.length === 0 && Number.isInteger(seed)) {
  await buildWorkers()
  process.exitCode = await faultCommand({ ...values, faults: values.faults, seed, byHand: !values['no-by-hand'] })
} else if (soak === undefined || positionals.length !== 1 || !Number.isInteger(seed)) {
  const listed = SOAKS.map(({ name, title }) => `  ${name}  ${title}`).join('\n')
  console.error(`usage: npm run soak -- <name> [--seed <whole number>] [--quick]\n\n${listed}\n\n${FAULT_USAGE}`)
  process.exitCode = 2
} else {
  await run(soak)
}

async function run(chosen: Soak): Promise<void> {
  const startedMs = performance.now()
  await buildWorkers()
  const note = (line: string) => console.error(`${chosen.name}: ${line}`)
  print(`${chosen.name}, seed ${seed}: ${chosen.title}`, await chosen.run({ seed, quick: values.quick, note }))
  console.log(`\n${Math.round((performance.now() - startedMs) / 1_000)} s; ${describeMachine()}`)
}

function print(title: string, { targets, remarks }: SoakResult): void {
  console.log(`${title}\n`)
  for (const target of targets) console.log(targetLine(target))
  for (const remark of remarks) console.log(`        ${remark}`)
  if (targets.some(({ met }) => !met)) process.exitCode = 1
}
