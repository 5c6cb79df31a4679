/**
 * `npm run bench -- <scenario> [--json] [--quick] [--no-peers] [--save] [--profile <folder>]`: measures one thing on real servers of its own.
 *
 * Prints a table, the targets and whether they were met, and the machine. With `--json` the last line of stdout is one JSON
 * object; see `Report`. With `--save` that object is also written to bench/results, from where `npm run bench:report` takes it. Exits with 0 when the scenario ran to its end, whatever it found.
 */
import { parseArgs } from 'node:util'
import { buildWorkers } from './harness/built.js'
import { printed, reportOf } from './harness/report.js'
import { saveReport } from './harness/results.js'
import type { Scenario } from './harness/scenario.js'
import { SCENARIOS } from './scenarios/index.js'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    json: { type: 'boolean', default: false },
    quick: { type: 'boolean', default: false },
    'no-peers': { type: 'boolean', default: false },
    save: { type: 'boolean', default: false },
    profile: { type: 'string' },
  },
})

const scenario = SCENARIOS.find(({ name }) => name === positionals[0])
if (scenario === undefined || positionals.length !== 1) {
  console.error(
    `usage: npm run bench -- <scenario> [--json] [--quick] [--no-peers] [--save] [--profile <folder>]\n\n${listed(SCENARIOS)}`,
  )
  process.exitCode = 2
} else {
  await run(scenario)
}

async function run(scenario: Scenario): Promise<void> {
  const note = (line: string) => console.error(`${scenario.name}: ${line}`)
  await buildWorkers()
  const setting = { quick: values.quick, peers: !values['no-peers'], profileFolder: values.profile, note }
  const findings = await scenario.run(setting)
  console.log(printed(scenario, findings))
  const report = reportOf(scenario, findings, setting)
  if (values.save) saveReport(report)
  if (values.json) console.log(JSON.stringify(report))
}

function listed(scenarios: readonly Scenario[]): string {
  const width = Math.max(...scenarios.map(({ name }) => name.length))
  return scenarios.map(({ name, title }) => `  ${name.padEnd(width)}  ${title}`).join('\n')
}
