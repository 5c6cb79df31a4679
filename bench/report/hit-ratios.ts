import { outcomeTable } from '../hit-ratio/outcome-table.js'
import { FLEET } from '../hit-ratio/outcomes.js'
import type { Simulated } from '../hit-ratio/simulated.js'
import { drawChart, type Line } from '../simulator/svg-chart.js'
import type { Table } from '../simulator/table.js'
import { escaped } from './html.js'
import { drawTable } from './tables.js'

const SKEWS = { 'zipf 0.7': 0.7, 'zipf 0.99': 0.99, 'zipf 1.2': 1.2 } as const

/** What each strategy makes of each kind of traffic, as the simulator says. */
export function hitRatioSection(simulated: Simulated): string {
  const { scale, models } = simulated
  const strategies = models[0]?.outcomes.map(({ strategy }) => strategy) ?? []
  const rows = models.map(({ name, outcomes }) => {
    const cells = outcomes.map(
      ({ outcome }) => `<td class="n">${percent(outcome.hitRatio)}${stale(outcome.staleShare)}</td>`,
    )
    return `<tr><td>${escaped(name)}</td>${cells.join('')}</tr>`
  })
  return `<section id="simulated"><h2>Hit ratios by traffic, simulated</h2>
<p>The shipped policies over ${(1_000_000 * scale).toLocaleString('en')} requests a cell, ${FLEET.processes} processes, TTL ${FLEET.ttlMs / 1_000} s. In brackets: reads that were given a value
an acknowledged write had replaced; with L1 by no longer than the ${FLEET.busMs} ms a message takes here. Such hits are no gain, which is why a strategy that never serves them can show a lower ratio. Scenario <a href="#hit-ratio">hit-ratio</a> compares the simulator with real servers.</p>
<div class="wide"><table><thead><tr><th>traffic</th>${strategies.map((name) => `<th class="n">${escaped(name)}</th>`).join('')}</tr></thead><tbody>${rows.join('')}</tbody></table></div>
<div class="wide">${loadsBySkew(models)}</div>
<div class="wide">${loadsByProcesses(simulated)}</div>
<details><summary class="soft">Tiers, loads, waits and staleness of each strategy</summary>${detailTables(simulated)
    .map((table) => drawTable(table))
    .join('\n')}</details></section>`
}

/** Every strategy on every stream, with all that was counted. */
export function detailTables({ models, fleets }: Simulated): Table[] {
  return [
    ...models.map(({ name, outcomes }) => outcomeTable(name, outcomes)),
    ...fleets.map(({ processes, outcomes }) =>
      outcomeTable(`zipf 0.99, ${processes} process${processes === 1 ? '' : 'es'}`, outcomes),
    ),
  ]
}

function loadsBySkew(models: Simulated['models']): string {
  const points = (strategy: string) =>
    Object.entries(SKEWS).map(([model, skew]) => {
      const found = models.find(({ name }) => name === model)?.outcomes.find((one) => one.strategy === strategy)
      return [skew, found?.outcome.loadsPerSecond ?? Number.NaN] as const
    })
  const most = Math.max(...points('fixed TTL').map(([, loads]) => loads))
  return drawChart({
    title: 'Database loads by how uneven the traffic is (3,000 requests/s)',
    x: { label: 'skew of the zipf traffic', scale: 'linear', min: 0.65, max: 1.25, ticks: [0.7, 0.99, 1.2] },
    y: { label: 'loads per second', scale: 'linear', min: 0, max: most * 1.1, ticks: ticksTo(most * 1.1) },
    lines: [
      { label: 'fixed TTL', labelAt: [1.1, most * 0.62], tone: 'orange', style: 'dots', points: points('fixed TTL') },
      { label: 'Corral', labelAt: [1.06, most * 0.28], tone: 'green', style: 'dots', points: points('+ L1') },
    ],
  })
}

function loadsByProcesses({ fleets }: Simulated): string {
  const points = (strategy: string) =>
    fleets.map(({ processes, outcomes }) => {
      const found = outcomes.find((one) => one.strategy === strategy)
      return [processes, 100 * (found?.outcome.l1Share ?? Number.NaN)] as const
    })
  const spared = (strategy: string) =>
    fleets.map(({ processes, outcomes }) => {
      const found = outcomes.find((one) => one.strategy === strategy)?.outcome
      return [processes, found ? 100 * found.hitRatio : Number.NaN] as const
    })
  const line = (label: string, labelAt: Line['labelAt'], tone: Line['tone'], drawn: Line['points']): Line => ({
    ...{ label, labelAt, tone, points: drawn },
    style: 'dots',
  })
  const sizes = fleets.map(({ processes }) => processes)
  const [first] = spared('+ L1')
  return drawChart({
    title: 'Hits of the same zipf traffic over ever more processes',
    x: { label: 'processes', scale: 'log', min: 1, max: sizes.at(-1) ?? 1, ticks: sizes },
    y: { label: '% of the reads', scale: 'linear', min: 0, max: 100, ticks: [0, 25, 50, 75, 100] },
    lines: [
      line('Corral: hits in either tier', [1.1, (first?.[1] ?? 80) + 4], 'green', spared('+ L1')),
      line('Corral: of these in L1', [1.1, (points('+ L1')[0]?.[1] ?? 50) - 22], 'purple', points('+ L1')),
    ],
  })
}

function ticksTo(most: number): number[] {
  const step = [10, 20, 50, 100, 200, 500, 1_000].find((size) => most / size <= 6) ?? 2_000
  return Array.from({ length: Math.floor(most / step) + 1 }, (_, at) => at * step)
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`
}

function stale(share: number): string {
  return share < 0.0005 ? '' : `<br><span class="missed">(${percent(share)})</span>`
}
