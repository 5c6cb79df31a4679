import type { Report } from '../harness/report.js'
import { escaped } from './html.js'
import { ahead, figure } from './verdict.js'

/** All scenarios in one table: what Corral and the raw line came to, who did better, and what was missed. */
export function drawGlance(reports: readonly Report[]): string {
  const rows = reports.flatMap((report) => {
    const { scenario, unit, comparisons, targets } = report
    const first = comparisons[0]
    const corral = first.results.corral
    if (corral === undefined) return []
    const missed = targets.filter(({ met }) => !met)
    const leaders = comparisons.flatMap((comparison) => ahead(report, comparison).map(({ name }) => name))
    const better = [...new Set(leaders)].map((name) => (isRaw(report, name) ? `${name} (raw)` : name))
    const verdict =
      missed.length === 0
        ? `${targets.length} of ${targets.length}`
        : `<span class="missed">${targets.length - missed.length} of ${targets.length}</span>`
    return `<tr><td><a href="#${escaped(scenario)}">${escaped(scenario)}</a><br><span class="soft">${escaped(unit)}</span></td><td class="n">${figure(corral.median)}</td><td class="n">${figure(first.results[first.raw]?.median ?? Number.NaN)}</td><td>${escaped(better.join(', ')) || '<span class="soft">nobody</span>'}</td><td class="n">${verdict}</td></tr>`
  })
  return `<section id="glance"><h2>At a glance</h2>
<p class="soft">The first figure of each scenario. “Better somewhere”: who did better than Corral in at least one of its figures. Raw lines are what can be had without what Corral promises. The last column: targets that were met.</p>
<div class="wide"><table><thead><tr><th>scenario</th><th class="n">Corral</th><th class="n">raw</th><th>better somewhere</th><th class="n">met</th></tr></thead><tbody>${rows.join('')}</tbody></table></div></section>`
}

function isRaw({ comparisons }: Report, name: string): boolean {
  return comparisons.some(({ raw }) => raw === name)
}
