/**
 * Compares caching strategies by simulation: `node --import tsx bench/simulator/main.ts [--quick] [--write]`.
 *
 * Prints Markdown tables. With `--write` puts them into docs/design/early-refresh.md instead, and draws that page's plots. Seeded: two
 * runs give the same output. `--quick` plays a tenth of the expiries.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { plots } from './plots.js'
import { toMarkdown, withTables } from './table.js'
import { allTables } from './tables.js'

const DOCS = fileURLToPath(new URL('../../docs/design', import.meta.url))
const PAGE = join(DOCS, 'early-refresh.md')
const IMAGES = join(DOCS, 'images')

const { values } = parseArgs({
  options: { quick: { type: 'boolean', default: false }, write: { type: 'boolean', default: false } },
})
const scale = values.quick ? 0.1 : 1

const tables = allTables(scale)
if (values.write) {
  writeFileSync(PAGE, withTables(readFileSync(PAGE, 'utf8'), tables))
  mkdirSync(IMAGES, { recursive: true })
  for (const [name, svg] of Object.entries(plots(1_000 * scale))) writeFileSync(join(IMAGES, name), svg)
} else {
  for (const table of tables) console.log(`### ${table.title}\n\n${toMarkdown(table)}\n`)
}
