import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describeMachine } from '../../harness/machine.js'
import { targetLine } from '../../harness/report.js'
import { ABLATIONS, type Ablation } from './ablation.js'
import { chosenNemeses, type FaultRun, runFaults } from './fault-run.js'
import { NEMESES } from './nemesis.js'
import { drawRun } from './picture.js'
import { examplesOf } from './verdict.js'

export const USAGE = `usage: npm run soak -- --minutes <n> --faults all|<name>,<name> [--seed <whole number>] [--cluster] [--json]
         [--without ${ABLATIONS.join('|')}] [--no-by-hand] [--into <folder>]

${NEMESES.map(({ name, does, where }) => `  ${name}  ${does}${where === undefined ? '' : ` (${where})`}`).join('\n')}`

export interface FaultCommand {
  readonly minutes?: string | undefined
  readonly faults: string
  readonly seed: number
  readonly cluster: boolean
  readonly without: string
  readonly json: boolean
  /** Where result and picture go. Default `.cache/soak`: what lies in bench/results is of scenarios, for the report. */
  readonly into?: string | undefined
  /** Whether cache-aside by hand goes through the same, for as long, to show that the run bites. */
  readonly byHand: boolean
}

const EXAMPLES = 8

/** Answers with the exit code. */
export async function faultCommand(command: FaultCommand): Promise<number> {
  const minutes = Number(command.minutes ?? 10)
  const without = command.without === '' ? [] : command.without.split(',')
  const strange = without.filter((name) => !ABLATIONS.includes(name as Ablation))
  if (!(minutes > 0) || strange.length > 0) {
    console.error(USAGE)
    return 2
  }
  const nemeses = chosenNemeses(command.faults.split(','), command.cluster)
  const { seed, cluster } = command
  const note = (line: string) => console.error(`faults: ${line}`)
  const common = { minutes, nemeses, cluster, seed, note }
  console.error(
    `faults: seed ${seed}; the same faults again: --minutes ${minutes} --faults ${command.faults} --seed ${seed}`,
  )
  const corral = await runFaults({ ...common, kind: 'corral', without: without as Ablation[] })
  // Not only at the end: what is run by hand takes as long again, and may be broken off.
  for (const target of corral.verdict.targets) note(targetLine(target))
  const byHand = command.byHand ? await runFaults({ ...common, kind: 'by-hand', without: [] }) : undefined
  const name = ['faults', cluster ? 'cluster' : '', ...without].filter(Boolean).join('-')
  const folder = command.into ?? '.cache/soak'
  mkdirSync(folder, { recursive: true })
  const title = `${minutes} minutes of faults on ${cluster ? 'a Redis Cluster' : 'Redis, Postgres'} and processes, seed ${seed}`
  writeFileSync(join(folder, `${name}.svg`), drawRun(title, corral.timeline, byHand?.timeline))
  const summary = { title, machine: describeMachine(), corral: figuresOf(corral), byHand: byHand && figuresOf(byHand) }
  writeFileSync(join(folder, `${name}.json`), `${JSON.stringify(summary, null, 2)}\n`)
  if (command.json) console.log(JSON.stringify(summary))
  else print(title, corral, byHand)
  return corral.verdict.targets.every(({ met }) => met) ? 0 : 1
}

function figuresOf({ verdict, strikes }: FaultRun) {
  const { counts, windows, targets, remarks, staleness } = verdict
  return {
    ...{ counts, targets, remarks },
    faults: strikes.length,
    staleness,
    windows: windows.map(({ what, startedMs, healedMs, reads, lagMs }) => ({
      ...{ what, reads },
      lengthMs: Math.round(healedMs - startedMs),
      lagMs: Math.round(lagMs),
    })),
  }
}

function print(title: string, corral: FaultRun, byHand: FaultRun | undefined): void {
  console.log(`${title}\n`)
  for (const target of corral.verdict.targets) console.log(targetLine(target))
  console.log(`\n${' '.repeat(48)}${'Corral'.padStart(10)}${byHand ? 'by hand'.padStart(10) : ''}`)
  for (const [name, times] of Object.entries(corral.verdict.counts)) {
    const other = byHand ? String(byHand.verdict.counts[name]).padStart(10) : ''
    console.log(`${name.padEnd(48)}${String(times).padStart(10)}${other}`)
  }
  for (const { what, startedMs, healedMs, reads, lagMs } of corral.verdict.windows) {
    const seconds = (ms: number) => (ms / 1_000).toFixed(1)
    console.log(
      `${what}: ${seconds(healedMs - startedMs)} s, ${reads} reads showed less than acknowledged, the last ${seconds(lagMs)} s after its end`,
    )
  }
  console.log('')
  for (const remark of corral.verdict.remarks) console.log(remark)
  if (byHand) console.log(['', 'by hand:', ...byHand.verdict.remarks.slice(0, 4)].join('\n'))
  const examples = examplesOf(corral.verdict, corral.strikes, EXAMPLES)
  if (examples.length > 0) console.log(['', ...examples].join('\n'))
}
