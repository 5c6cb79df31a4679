/**
 * What each strategy makes of each kind of traffic, by simulation:
 * `node --import tsx bench/hit-ratio/main.ts [--quick] [--json] [--trace <file> --format arc|lirs|csv|lines [--rate <per second>]]`.
 *
 * Prints Markdown tables; with `--json` one JSON object instead. Seeded: two runs give the same output. With `--trace` that
 * trace is played instead of the models; formats without times at `--rate`, 1,000 a second if not given.
 */
import { readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { fixed, percent, type Table, toMarkdown, whole } from '../simulator/table.js'
import { byProcesses, FLEET, modelOutcomes, outcomesOf, type StrategyOutcome } from './outcomes.js'
import { parseTrace, TRACE_FORMATS, type TraceFormat } from './traces.js'

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    trace: { type: 'string' },
    format: { type: 'string' },
    rate: { type: 'string', default: '1000' },
  },
})

if (values.trace === undefined) showModels()
else showTrace(values.trace)

function showModels(): void {
  const models = modelOutcomes(values.quick ? 0.1 : 1)
  const fleets = byProcesses(values.quick ? 0.1 : 1)
  if (values.json) {
    console.log(JSON.stringify({ models, fleets }))
    return
  }
  for (const { name, outcomes } of models) console.log(toMarkdown(tableOf(name, outcomes)))
  for (const { processes, outcomes } of fleets) {
    console.log(toMarkdown(tableOf(`zipf 0.99, ${processes} process${processes === 1 ? '' : 'es'}`, outcomes)))
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
    values.json ? JSON.stringify({ trace: outcomes }) : toMarkdown(tableOf(`${format} trace ${file}`, outcomes)),
  )
}

function tableOf(title: string, outcomes: readonly StrategyOutcome[]): Table {
  const [first] = outcomes
  return {
    name: title,
    title,
    setting: `${first?.outcome.reads.toLocaleString('en')} reads, ${first?.outcome.writes.toLocaleString('en')} writes; TTL ${FLEET.ttlMs / 1_000} s, loads of ${FLEET.loadMs} ms.`,
    header: ['strategy', 'hits', 'in L1', 'in L2', 'loads/s', 'waited', 'p99 wait, ms', 'stale', 'oldest stale, ms'],
    rows: outcomes.map(({ strategy, outcome }) => [
      strategy,
      percent(outcome.hitRatio),
      percent(outcome.l1Share),
      percent(outcome.l2Share),
      fixed(outcome.loadsPerSecond, 1),
      percent(outcome.waitedShare),
      fixed(outcome.p99WaitMs, 1),
      percent(outcome.staleShare, 4),
      whole(outcome.oldestStaleMs),
    ]),
  }
}
