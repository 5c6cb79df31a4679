/**
 * `npm run bench:report`: writes docs/benchmarks.html, which needs nothing but itself, and the generated part of docs/benchmarks.md, from
 * what `npm run bench -- <scenario> --save` and `npm run bench:all` have left in bench/results.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { savedReports } from '../harness/results.js'
import { savedSimulated, simulateAll } from '../hit-ratio/simulated.js'
import { SCENARIOS } from '../scenarios/index.js'
import { curvesOf } from './curves.js'
import { detailTables, hitRatioSection } from './hit-ratios.js'
import { toMarkdown } from './markdown.js'
import { drawPage } from './page.js'

const PAGE = fileURLToPath(new URL('../../docs/benchmarks.html', import.meta.url))
const MARKDOWN = fileURLToPath(new URL('../../docs/benchmarks.md', import.meta.url))
const MARKS = ['<!-- written by npm run bench:report -->', '<!-- end -->'] as const

const order = SCENARIOS.map(({ name }) => name)
const reports = savedReports().sort((a, b) => order.indexOf(a.scenario) - order.indexOf(b.scenario))
if (reports.length === 0) {
  console.error('There are no results yet: npm run bench -- <scenario> --save')
  process.exitCode = 1
} else {
  const simulated = savedSimulated() ?? simulateAll(0.1)
  writeFileSync(PAGE, drawPage(reports, curvesOf(reports), [hitRatioSection(simulated)]))
  const [begin, end] = MARKS
  const text = readFileSync(MARKDOWN, 'utf8')
  const kept = text.includes(begin) ? text.slice(0, text.indexOf(begin)) : `${text.trimEnd()}\n\n## Results\n\n`
  writeFileSync(
    MARKDOWN,
    `${kept}${begin}\n\n${toMarkdown(reports, simulated.scale, detailTables(simulated))}\n\n${end}\n`,
  )
  console.log(`wrote ${PAGE} and ${MARKDOWN} from ${reports.length} scenarios`)
}
