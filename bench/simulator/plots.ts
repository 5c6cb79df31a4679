import { refreshesPerExpiry } from './closed-form.js'
import { simulateMassExpiry } from './many-keys.js'
import { simulateKey } from './one-key.js'
import { seededChance } from './seeded-chance.js'
import { shipped, ttl, ttlLease, xfetch } from './strategies.js'
import { drawChart } from './svg-chart.js'
import { atRate, MASS, MASS_RUN } from './tables.js'

/** The plots of docs/design/early-refresh.md by file name. */
export function plots(expiries: number): Record<string, string> {
  return {
    'loads-by-rate.svg': loadsByRate(expiries / 2),
    'loads-by-estimate.svg': loadsByEstimate(expiries),
    'waits-by-rate.svg': waitsByRate(expiries / 2),
    'mass-expiry.svg': massExpiry(),
  }
}

function loadsByRate(expiries: number): string {
  const rates = [1, 3, 10, 30, 100, 300, 1_000, 3_000, 10_000]
  const loads = (strategy: typeof ttl) =>
    rates.map((rate) => [rate, atRate(strategy, rate, expiries).loadsPerExpiry] as const)
  return drawChart({
    title: 'Loads per expiry of one key (loads of 100 ms)',
    x: { label: 'requests per second', scale: 'log', min: 1, max: 10_000, ticks: [1, 10, 100, 1_000, 10_000] },
    y: { label: 'loads per expiry', scale: 'log', min: 0.8, max: 1_500, ticks: [1, 10, 100, 1_000] },
    lines: [
      { label: 'ttl', labelAt: [2_200, 380], anchor: 'end', tone: 'orange', style: 'dots', points: loads(ttl) },
      {
        label: 'e, the closed form',
        labelAt: [1.3, 3.1],
        tone: 'grey',
        style: 'dashed',
        points: [
          [1, Math.E],
          [10_000, Math.E],
        ],
      },
      { label: 'xfetch', labelAt: [1_700, 3.4], tone: 'purple', style: 'dots', points: loads(xfetch(1)) },
      { label: 'as shipped', labelAt: [1_700, 1.13], tone: 'green', style: 'dots', points: loads(shipped) },
    ],
  })
}

function loadsByEstimate(expiries: number): string {
  const ratios = [0.25, 0.5, 0.75, 1, 1.5, 2, 2.5, 3]
  const loads = (strategy: typeof ttl) =>
    ratios.map((ratio) => {
      const workload = { ratePerSecond: 20_000, meanLoadMs: 50, loadSigma: 0, ttlMs: 60_000, jitter: 0 }
      const run = { ...workload, estimate: 1 / ratio }
      return [ratio, simulateKey(strategy, run, { expiries }, seededChance(1)).loadsPerExpiry] as const
    })
  const curve = Array.from({ length: 57 }, (_, i) => 0.2 + i * 0.05)
  return drawChart({
    title: 'Loads per expiry when the cost is misjudged (beta 1)',
    x: { label: 'actual cost / estimated cost', scale: 'linear', min: 0.2, max: 3.1, ticks: [0.5, 1, 1.5, 2, 2.5, 3] },
    y: { label: 'loads per expiry', scale: 'log', min: 0.9, max: 25, ticks: [1, 2, 5, 10, 20] },
    lines: [
      {
        label: 'exp(D / d), the closed form',
        labelAt: [2.45, 16.5],
        anchor: 'end',
        tone: 'grey',
        style: 'dashed',
        points: curve.map((ratio) => [ratio, refreshesPerExpiry(ratio, 1, 1)]),
      },
      { label: 'xfetch', labelAt: [2.1, 6.3], tone: 'purple', style: 'dots', points: loads(xfetch(1)) },
      { label: 'as shipped', labelAt: [2.45, 1.09], tone: 'green', style: 'dots', points: loads(shipped) },
    ],
  })
}

function waitsByRate(expiries: number): string {
  const rates = [1, 3, 10, 20, 30, 50, 100, 300, 1_000]
  const waited = (strategy: typeof ttl) =>
    rates.map((rate) => [rate, 100 * atRate(strategy, rate, expiries).waitedShare] as const)
  return drawChart({
    title: 'Requests that waited for a load (TTL 10 s, loads of 100 ms)',
    x: { label: 'requests per second', scale: 'log', min: 1, max: 1_000, ticks: [1, 10, 100, 1_000] },
    y: { label: '% of requests', scale: 'linear', min: 0, max: 10, ticks: [0, 2, 4, 6, 8, 10] },
    lines: [
      { label: 'ttl + lease', labelAt: [300, 1.5], tone: 'orange', style: 'dots', points: waited(ttlLease) },
      { label: 'as shipped', labelAt: [300, 0.35], tone: 'green', style: 'dots', points: waited(shipped) },
    ],
  })
}

function massExpiry(): string {
  const peaks = (jitter: number) =>
    simulateMassExpiry(ttlLease, { ...MASS, jitter }, MASS_RUN).peaks.map(
      (loads, bin) => [(bin * MASS_RUN.binMs) / 1_000, loads] as const,
    )
  const from = (points: readonly (readonly [number, number])[]) => points.filter(([second]) => second >= 45)
  return drawChart({
    title: '1,000 keys filled together: loads at once (TTL 60 s, loads of 50 ms)',
    x: { label: 'seconds since the fill', scale: 'linear', min: 45, max: 70, ticks: [45, 50, 55, 60, 65, 70] },
    y: { label: 'loads at once', scale: 'log', min: 0.8, max: 600, ticks: [1, 10, 100] },
    lines: [
      { label: 'no jitter', labelAt: [60.9, 300], tone: 'orange', style: 'line', points: from(peaks(0)) },
      {
        label: 'jitter 0.15',
        labelAt: [54, 22],
        anchor: 'middle',
        tone: 'green',
        style: 'line',
        points: from(peaks(0.15)),
      },
    ],
  })
}
