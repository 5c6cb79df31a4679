/**
 * `npm run simulate`: runs of the shipped code in a simulated world, each decided by its seed alone.
 *
 * - `-- --seed 42` tells the story of one run;
 * - `-- --seeds 0..9999` runs many, on all cores, and names those in which a promise was broken;
 * - `--profile near` only those of one profile;
 * - `-- --gate` takes each mechanism out of the code in turn, and runs seeds until one is broken; `--ablation floors,relay` only these;
 *   `--save` writes what was seen to gate-results.json and into the table of evidence.
 *
 * Exits with 1 when a promise was broken, or when the gate lets an ablation through.
 */
import { availableParallelism } from 'node:os'
import { parseArgs } from 'node:util'
import { describeViolation } from '../../src/testing/violation.js'
import { ABLATIONS, type AblationName } from './ablations.js'
import { bundleSimulation } from './bundle.js'
import { saveTable } from './evidence.js'
import { runGate } from './gate.js'
import { resultOf, saveResult } from './gate-results.js'
import { PROFILE_NAMES, PROFILES } from './profiles.js'
import { runSeeds } from './runner.js'
import { simulate } from './world.js'

const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    seeds: { type: 'string', default: '0..999' },
    profile: { type: 'string' },
    gate: { type: 'boolean', default: false },
    ablation: { type: 'string' },
    save: { type: 'boolean', default: false },
    threads: { type: 'string', default: String(availableParallelism()) },
  },
})
if (values.profile !== undefined && !(values.profile in PROFILES)) {
  console.error(`no profile is called ${values.profile}; there are: ${PROFILE_NAMES.join(', ')}`)
  process.exit(2)
}
const ablations = values.ablation?.split(',')
for (const name of ablations ?? []) {
  if (name in ABLATIONS) continue
  console.error(`no ablation is called ${name}; there are: ${Object.keys(ABLATIONS).join(', ')}`)
  process.exit(2)
}
if (values.gate || ablations !== undefined) await guard()
else if (values.seed !== undefined) await tellOne(wholeNumber(values.seed))
else await runMany()

async function tellOne(seed: number): Promise<void> {
  const run = await simulate(seed, { tells: true })
  console.log(`Seed ${seed}, profile ${run.profile}: ${PROFILES[run.profile].about}\n`)
  console.log(run.story.join('\n'))
  const wrong = [...run.violations.map(describeViolation), ...run.faults]
  console.log(wrong.length === 0 ? '\n=>  in order' : `\n${wrong.map((each) => `=>  ${each}`).join('\n')}`)
  process.exitCode = wrong.length === 0 ? 0 : 1
}

async function runMany(): Promise<void> {
  const [from = 0, to = from] = values.seeds.split('..').map(wholeNumber)
  const startedMs = performance.now()
  const cpu = process.cpuUsage()
  let told = 0
  const tally = await runSeeds({
    ...{ bundle: await bundleSimulation(), from, to: to + 1, threads: wholeNumber(values.threads) },
    profiles: values.profile === undefined ? undefined : [values.profile],
    onProgress: ({ broken }) => {
      for (; told < broken.length; told++) {
        const { seed, profile, what } = broken[told] as (typeof broken)[number]
        console.log(`seed ${seed} (${profile}):\n${what.map((each) => `  ${each}`).join('\n')}`)
      }
    },
  })
  const { user, system } = process.cpuUsage(cpu)
  const seconds = ((performance.now() - startedMs) / 1_000).toFixed(1)
  const cpuMs = ((user + system) / 1_000 / tally.seeds).toFixed(1)
  console.log(`${tally.seeds} seeds in ${seconds} s, ${cpuMs} ms of processor time each; ${tally.broken.length} broken`)
  console.log(
    `${Math.round(tally.events / tally.seeds)} events and ${(tally.reads / tally.seeds).toFixed(1)} reads a seed`,
  )
  for (const [name, seeds] of Object.entries(tally.witnesses).sort())
    console.log(`  ${String(seeds).padStart(7)}  ${name}`)
  process.exitCode = tally.broken.length > 0 ? 1 : 0
}

async function guard(): Promise<void> {
  const [, to = 9_999] = values.seeds === '0..999' ? [] : values.seeds.split('..').map(wholeNumber)
  let through = 0
  await runGate({
    ...{ span: to + 1, threads: wholeNumber(values.threads) },
    ...(ablations === undefined ? {} : { names: ablations as AblationName[] }),
    onCaught: ({ name, tally }) => {
      if (values.save) saveTable(saveResult(name, resultOf(name, tally)))
      const [first] = tally.broken
      if (first === undefined) through++
      const story = first ? `seed ${first.seed} (${first.profile}): ${first.what[0]}` : 'NOBODY NOTICES'
      console.log(`${name.padEnd(26)} ${String(tally.seeds).padStart(5)} seeds  ${story}`)
    },
  })
  process.exitCode = through > 0 ? 1 : 0
}

function wholeNumber(text: string): number {
  const number = Number(text)
  if (Number.isInteger(number) && number >= 0) return number
  console.error(`expected a whole number from 0, found ${text}`)
  process.exit(2)
}
