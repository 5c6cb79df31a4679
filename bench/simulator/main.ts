/**
 * Compares caching strategies by simulation: `node --import tsx bench/simulator/main.ts [--quick] [--svg <folder>]`.
 *
 * Prints Markdown tables; with `--svg` also writes the plots of docs/design/early-refresh.md. Seeded: two runs give the same
 * output. `--quick` plays a tenth of the expiries.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { plots } from './plots.js'
import { toMarkdown } from './table.js'
import {
  closedForm,
  estimateError,
  idleKeys,
  massExpiry,
  requestRate,
  shortTtl,
  slotSpread,
  strategies,
  waiting,
} from './tables.js'

const { values } = parseArgs({ options: { quick: { type: 'boolean', default: false }, svg: { type: 'string' } } })
const scale = values.quick ? 0.1 : 1

const tables = [
  strategies(1_000 * scale),
  closedForm(5_000 * scale),
  estimateError(2_000 * scale),
  requestRate(500 * scale),
  shortTtl(2_000 * scale),
  idleKeys(2_000 * scale),
  massExpiry(),
  waiting(20_000 * scale),
  slotSpread(1_000 * scale),
]
for (const table of tables) console.log(toMarkdown(table))

if (values.svg !== undefined) {
  mkdirSync(values.svg, { recursive: true })
  for (const [name, svg] of Object.entries(plots(1_000 * scale))) {
    writeFileSync(join(values.svg, name), svg)
    console.log(`wrote ${join(values.svg, name)}`)
  }
}
