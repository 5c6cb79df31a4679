/**
 * `npm run bench:all [-- --quick | --budget <time>] [--only <names, comma between>]`: runs all scenarios one after the other, keeps their results in
 * bench/results, each with its date and machine, and writes the report.
 *
 * With `--budget 45m` each takes as many rounds as fit into that time on two cores; what the targets are about is measured in full. Without
 * it everything is, for about an hour. A scenario that fails or gets stuck is tried once more, and does not keep the rest from running. Exits with 0
 * when all have run to their ends, whatever they found.
 */
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { SCENARIOS } from './scenarios/index.js'
import { effortFor, parseBudget } from './suite/plan.js'
import { type Outcome, runScenario } from './suite/run-scenario.js'

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    budget: { type: 'string' },
    only: { type: 'string' },
  },
})

const names = chosen()
const budgetSeconds = values.budget === undefined ? Number.POSITIVE_INFINITY : parseBudget(values.budget)
const startedMs = performance.now()
const secondsSince = (sinceMs: number) => (performance.now() - sinceMs) / 1_000
const lines: string[] = []
let failures = 0
if (values.only === undefined) {
  console.log('— hit ratios, simulated')
  if (!run('bench/hit-ratio/main.ts', ['--save', ...(values.quick ? ['--quick'] : [])])) failures++
}

for (const [at, name] of names.entries()) {
  const outcome = await measured(name, names.slice(at))
  if ('failure' in outcome) failures++
}
console.log(`\nAll of it, ${Math.round(secondsSince(startedMs) / 60)} min`)
for (const line of lines) console.log(line)
if (!run('bench/report/main.ts', [])) failures++
if (failures > 0) console.log(`${failures} did not run to the end; the report has what was saved of them before.`)
process.exitCode = failures === 0 ? 0 : 1

function chosen(): string[] {
  const known = SCENARIOS.map(({ name }) => name)
  if (values.only === undefined) return known
  const wanted = values.only.split(',')
  const unknown = wanted.filter((name) => !known.includes(name))
  if (unknown.length === 0) return wanted
  throw new RangeError(`--only: expected names out of ${known.join(', ')}, found ${unknown.join(', ')}`)
}

async function measured(name: string, still: readonly string[]): Promise<Outcome> {
  for (let attempt = 1; ; attempt++) {
    const effort = effortFor(still, budgetSeconds - secondsSince(startedMs))
    const how = values.quick ? ['--quick'] : ['--effort', effort.toFixed(2)]
    console.log(`\n— ${name} ${how.join(' ')}`)
    const beganMs = performance.now()
    const outcome = await runScenario(name, ['--save', ...how])
    const seconds = `${secondsSince(beganMs).toFixed(0).padStart(4)} s`
    if ('report' in outcome) {
      const missed = outcome.report.targets.filter(({ met }) => !met)
      const said =
        missed.length === 0 ? 'all targets met' : missed.map(({ what, found }) => `MISSED ${what}: ${found}`).join('; ')
      lines.push(`  ${name.padEnd(16)} ${seconds}  ${said}`)
      console.log(lines.at(-1))
      return outcome
    }
    console.log(`  ${name} ${outcome.failure}`)
    if (attempt === 2) {
      lines.push(`  ${name.padEnd(16)} ${seconds}  FAILED: ${outcome.failure}`)
      return outcome
    }
  }
}

function run(program: string, options: readonly string[]): boolean {
  const file = fileURLToPath(new URL(`../${program}`, import.meta.url))
  const { status } = spawnSync(process.execPath, [...process.execArgv, file, ...options], {
    stdio: ['ignore', program.includes('report') ? 'inherit' : 'ignore', 'inherit'],
  })
  return status === 0
}
