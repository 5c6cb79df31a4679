import type { Report } from '../harness/report.js'
import { drawBars } from './bars.js'
import { drawGlance } from './glance.js'
import { escaped } from './html.js'
import { drawTable } from './tables.js'
import { isMoreBetter, saidOf } from './verdict.js'

/** Comparisons of one scenario that are drawn; further ones are in docs/benchmarks.md. */
const DRAWN = 6

const STYLE = `
:root { color-scheme: light dark; --paper: #fff; --ink: #24292f; --soft: #57606a; --line: #d8dee4; --own: #1a7f37; --raw: #8c959f; --peer: #bc4c00; --bad: #cf222e }
@media (prefers-color-scheme: dark) { :root { --paper: #0d1117; --ink: #e6edf3; --soft: #9198a1; --line: #2b3138; --own: #3fb950; --raw: #6e7681; --peer: #f0883e; --bad: #ff7b72 } }
* { box-sizing: border-box } body { margin: 0 auto; max-width: 46rem; padding: 1rem; background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, -apple-system, 'Segoe UI', sans-serif }
h1 { font-size: 1.6rem; line-height: 1.2 } h2 { font-size: 1.2rem; margin: 2.5rem 0 .2rem; padding-top: 1rem; border-top: 1px solid var(--line) } h3 { font-size: .95rem; margin: 1.2rem 0 .3rem; font-weight: 600 }
p, li { overflow-wrap: anywhere } .soft, footer { color: var(--soft); font-size: .88rem } nav a { display: inline-block; margin: 0 .6rem .2rem 0 } a { color: inherit }
svg { width: 100%; min-width: 33rem; height: auto; display: block } svg.bars { min-width: 0; max-width: 38rem } .name, .value { font: 13px system-ui, sans-serif; fill: var(--ink) } .value { font-variant-numeric: tabular-nums }
.own { fill: var(--own) } .raw { fill: var(--raw) } .peer { fill: var(--peer) } .range { stroke: var(--ink); stroke-width: 1.2; fill: none; opacity: .7 }
.key { display: inline-block; width: .8em; height: .8em; border-radius: 2px; margin: 0 .3em 0 .8em } .key.own { background: var(--own) } .key.raw { background: var(--raw) } .key.peer { background: var(--peer) }
ul { padding-left: 1.2rem; margin: .4rem 0 } .missed { color: var(--bad); font-weight: 600 } .wide { overflow-x: auto } table { border-collapse: collapse; font-size: .92rem; width: 100% }
td, th { text-align: left; padding: .3rem .6rem .3rem 0; border-bottom: 1px solid var(--line); vertical-align: top } .wide td:first-child { min-width: 8.5rem } td.n { white-space: nowrap } td.n, th.n { text-align: right; font-variant-numeric: tabular-nums }
`

/** One page that needs nothing but itself. */
export function drawPage(
  reports: readonly Report[],
  curves: readonly { heading: string; svg: string }[],
  further: readonly string[],
): string {
  const scenarios = reports.filter(({ scenario }) => scenario !== 'incidents')
  const incidents = reports.find(({ scenario }) => scenario === 'incidents')
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Corral, measured</title><link rel="icon" href="data:,"><style>${STYLE}</style></head><body>
<h1>Corral, measured</h1>
<p>Each section is one scenario of <code>npm run bench</code>, on real Postgres and Redis servers. A bar is the median of a run's rounds, the line across it
goes from its least to its greatest round. Compare bars with each other, not with those of another machine.
<span class="key own"></span>Corral<span class="key raw"></span>the raw line<span class="key peer"></span>others</p>
<nav class="soft">${reports.map(({ scenario }) => `<a href="#${escaped(scenario)}">${escaped(scenario)}</a>`).join('')}</nav>
${drawGlance(scenarios)}
${incidents ? incidentTable(incidents) : ''}
${curves.map(({ heading, svg }) => `<h2>${escaped(heading)}</h2><div class="wide">${svg}</div>`).join('\n')}
${further.join('\n')}
${scenarios.map(section).join('\n')}
<footer><p>Written by <code>npm run bench:report</code> from bench/results. Peers are set up as their documentation says, one file each in bench/peers.</p></footer>
</body></html>
`
}

function section(report: Report): string {
  const { scenario, title, unit, comparisons, targets, remarks, tables, cannot, machine, date, quick } = report
  const drawn = comparisons.slice(0, DRAWN)
  return `<section id="${escaped(scenario)}"><h2>${escaped(scenario)}</h2>
<p>${escaped(title)}</p>
${drawn
  .map((comparison) => {
    const better = isMoreBetter(report, comparison) ? 'more is better' : 'less is better'
    const heading = comparison.label === '' ? unit : comparison.label
    return `<h3>${escaped(heading)} <span class="soft">(${better})</span></h3><div class="wide">${drawBars(comparison, scenario)}</div><p class="soft">${escaped(saidOf(report, comparison))}</p>`
  })
  .join('\n')}
${Object.entries(cannot)
  .map(([name, why]) => `<p class="soft">${escaped(name)} does not take part: it ${escaped(why)}.</p>`)
  .join('')}
<ul>${targets.map(({ what, wanted, found, met }) => `<li>${met ? 'met' : '<span class="missed">missed</span>'}: ${escaped(what)}: ${escaped(found)} (${escaped(wanted)})</li>`).join('')}</ul>
${(tables ?? []).map((table) => drawTable(table, 2)).join('')}
${remarks.length > 0 ? `<details><summary class="soft">More figures</summary><ul class="soft">${remarks.map((remark) => `<li>${escaped(remark)}</li>`).join('')}</ul></details>` : ''}
<p class="soft">${escaped(date)}${quick ? ', a quick run' : ''}. ${escaped(machine)}. <code>npm run bench -- ${escaped(scenario)}</code></p></section>`
}

function incidentTable({ comparisons, targets, date, machine }: Report): string {
  const rows = comparisons.map(({ results }, at) => {
    // Targets are in the same order, and name what the first comparison's empty label leaves out.
    const what = targets[at]?.what ?? ''
    return `<tr><td>${escaped(what)}</td><td class="n">${results.naive?.median ?? ''}</td><td class="n">${results.corral?.max ?? ''}</td></tr>`
  })
  return `<section id="incidents"><h2>Four incidents, replayed</h2><p>Things that happened to somebody, under the same load and the same faults: damage the naive way, and over Corral (its worst round).</p>
<div class="wide"><table><thead><tr><th>damage</th><th class="n">naive</th><th class="n">Corral</th></tr></thead><tbody>${rows.join('')}</tbody></table></div>
<p class="soft">${escaped(date)}. ${escaped(machine)}. <code>npm run demo</code> tells the stories.</p></section>`
}
