/**
 * `npm run bench -- <scenario> [--json] [--quick] [--no-peers] [--effort <share>] [--save] [--profile <folder>]`: measures one thing on
 * real servers of its own.
 *
 * Prints a table, the targets and whether they were met, and the machine. With `--json` the last line of stdout is one JSON
 * object; see `Report`. With `--save` that object is also written to bench/results, from where `npm run bench:report` takes it. With
 * `--effort 0.3` a full run takes about a third of its time. Exits with 0 when the scenario ran to its end, whatever it found.
 */
import { parseArgs } from 'node:util'
import { buildWorkers } from './harness/built.js'
import { printed, reportOf } from './harness/report.js'
import { flawsOf } from './harness/report-flaws.js'
import { saveReport } from './harness/results.js'
import type { Scenario } from './harness/scenario.js'
import { SCENARIOS } from './scenarios/index.js'
import { expectedOf } from './scenarios/promised.js'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    json: { type: 'boolean', default: false },
    quick: { type: 'boolean', default: false },
    'no-peers': { type: 'boolean', default: false },
    save: { type: 'boolean', default: false },
    effort: { type: 'string', default: '1' },
    profile: { type: 'string' },
  },
})

const scenario = SCENARIOS.find(({ name }) => name === positionals[0])
const effort = Number(values.effort)
if (scenario === undefined || positionals.length !== 1 || !(effort > 0 && effort <= 1)) {
  if (!(effort > 0 && effort <= 1)) console.error(`--effort: expected a share above 0 up to 1, found ${values.effort}`)
  console.error(
    `usage: npm run bench -- <scenario> [--json] [--quick] [--no-peers] [--effort <share>] [--save] [--profile <folder>]\n\n${listed(SCENARIOS)}`,
  )
  process.exitCode = 2
} else {
  await run(scenario)
}

async function run(scenario: Scenario): Promise<void> {
  const startedMs = performance.now()
  const elapsed = () => `${((performance.now() - startedMs) / 1_000).toFixed(0)} s`
  const note = (line: string) => console.error(`${scenario.name}, ${elapsed()}: ${line}`)
  await buildWorkers()
  const setting = { quick: values.quick, peers: !values['no-peers'], effort, profileFolder: values.profile, note }
  const findings = await scenario.run(setting)
  console.log(printed(scenario, findings))
  const report = reportOf(scenario, findings, setting)
  const flaws = flawsOf(report, expectedOf(scenario.name))
  if (flaws.length > 0) throw new Error(`the report of ${scenario.name} is not what it should be: ${flaws.join('; ')}`)
  if (values.save) saveReport(report)
  if (values.json) console.log(JSON.stringify(report))
}

function listed(scenarios: readonly Scenario[]): string {
  const width = Math.max(...scenarios.map(({ name }) => name.length))
  return scenarios.map(({ name, title }) => `  ${name.padEnd(width)}  ${title}`).join('\n')
}
