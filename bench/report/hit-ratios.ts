import { FLEET, modelOutcomes } from '../hit-ratio/outcomes.js'
import { drawChart } from '../simulator/svg-chart.js'
import { escaped } from './html.js'

/** Of the million requests that `bench/hit-ratio/main.ts` plays of each kind of traffic: enough for three TTLs. */
const SCALE = 0.2
const SKEWS = { 'zipf 0.7': 0.7, 'zipf 0.99': 0.99, 'zipf 1.2': 1.2 } as const

type Outcomes = ReturnType<typeof modelOutcomes>

/** What each strategy makes of each kind of traffic, played anew by the simulator: it is seeded, so the figures stay the same. */
export function hitRatioSection(): string {
  const outcomes = modelOutcomes(SCALE)
  const strategies = outcomes[0]?.outcomes.map(({ strategy }) => strategy) ?? []
  const rows = outcomes.map(({ name, outcomes }) => {
    const cells = outcomes.map(
      ({ outcome }) => `<td class="n">${percent(outcome.hitRatio)}${stale(outcome.staleShare)}</td>`,
    )
    return `<tr><td>${escaped(name)}</td>${cells.join('')}</tr>`
  })
  return `<section id="simulated"><h2>Hit ratios by traffic, simulated</h2>
<p>The shipped policies over ${(1_000_000 * SCALE).toLocaleString('en')} requests a cell, ${FLEET.processes} processes, TTL ${FLEET.ttlMs / 1_000} s. In brackets: reads that were given a value
an acknowledged write had replaced; with L1 by no longer than the ${FLEET.busMs} ms a message takes here. Such hits are no gain, which is why a strategy that never serves them can show a lower ratio. Scenario <code>hit-ratio</code> compares the simulator with real servers.</p>
<div class="wide"><table><thead><tr><th>traffic</th>${strategies.map((name) => `<th class="n">${escaped(name)}</th>`).join('')}</tr></thead><tbody>${rows.join('')}</tbody></table></div>
<div class="wide">${loadsBySkew(outcomes)}</div></section>`
}

function loadsBySkew(outcomes: Outcomes): string {
  const points = (strategy: string) =>
    Object.entries(SKEWS).map(([model, skew]) => {
      const found = outcomes.find(({ name }) => name === model)?.outcomes.find((one) => one.strategy === strategy)
      return [skew, found?.outcome.loadsPerSecond ?? Number.NaN] as const
    })
  const most = Math.max(...points('fixed TTL').map(([, loads]) => loads))
  return drawChart({
    title: 'Database loads by how uneven the traffic is (3,000 requests/s)',
    x: { label: 'skew of the zipf traffic', scale: 'linear', min: 0.65, max: 1.25, ticks: [0.7, 0.99, 1.2] },
    y: {
      label: 'loads per second',
      scale: 'linear',
      min: 0,
      max: most * 1.1,
      ticks: [0, 500, 1_000, 1_500, 2_000].filter((tick) => tick <= most * 1.1),
    },
    lines: [
      { label: 'fixed TTL', labelAt: [1.1, most * 0.62], tone: 'orange', style: 'dots', points: points('fixed TTL') },
      { label: 'Corral', labelAt: [1.06, most * 0.28], tone: 'green', style: 'dots', points: points('+ L1') },
    ],
  })
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`
}

function stale(share: number): string {
  return share < 0.0005 ? '' : `<br><span class="missed">(${percent(share)})</span>`
}
