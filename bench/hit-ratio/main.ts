/**
 * What each strategy makes of each kind of traffic, by simulation:
 * `node --import tsx bench/hit-ratio/main.ts [--quick] [--json] [--save] [--trace <file> --format arc|lirs|csv|lines [--rate <per second>]]`.
 *
 * Prints Markdown tables; with `--json` one JSON object instead; with `--save` writes that to bench/results, for the report. Seeded: two runs give the same output. With `--trace` that
 * trace is played instead of the models; formats without times at `--rate`, 1,000 a second if not given.
 */
import { readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { toMarkdown } from '../simulator/table.js'
import { outcomeTable } from './outcome-table.js'
import { FLEET, outcomesOf, type StrategyOutcome } from './outcomes.js'
import { saveSimulated, simulateAll } from './simulated.js'
import { parseTrace, TRACE_FORMATS, type TraceFormat } from './traces.js'

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    save: { type: 'boolean', default: false },
    trace: { type: 'string' },
    format: { type: 'string' },
    rate: { type: 'string', default: '1000' },
  },
})

if (values.trace === undefined) showModels()
else showTrace(values.trace)

function showModels(): void {
  const simulated = simulateAll(values.quick ? 0.1 : 1)
  if (values.save) saveSimulated(simulated)
  if (values.json) {
    console.log(JSON.stringify(simulated))
    return
  }
  for (const { name, outcomes } of simulated.models) show(name, outcomes)
  for (const { processes, outcomes } of simulated.fleets) {
    show(`zipf 0.99, ${processes} process${processes === 1 ? '' : 'es'}`, outcomes)
  }
}

function showTrace(file: string): void {
  const format = TRACE_FORMATS.find((known) => known === values.format)
  if (format === undefined)
    throw new RangeError(`--format: expected ${TRACE_FORMATS.join(', ')}, found ${values.format}`)
  const rate = Number(values.rate)
  if (!(rate > 0)) throw new RangeError(`--rate: expected a number above 0, found ${values.rate}`)
  const outcomes = outcomesOf(parseTrace(readFileSync(file, 'utf8'), format satisfies TraceFormat, rate), FLEET)
  console.log(
    values.json ? JSON.stringify({ trace: outcomes }) : toMarkdown(outcomeTable(`${format} trace ${file}`, outcomes)),
  )
}

function show(title: string, outcomes: readonly StrategyOutcome[]): void {
  console.log(`### ${title}\n\n${toMarkdown(outcomeTable(title, outcomes))}\n`)
}
