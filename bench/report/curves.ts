import { readFileSync } from 'node:fs'
import type { Report } from '../harness/report.js'
import { type Axis, drawChart, type Line, type Tone } from '../simulator/svg-chart.js'

/** Charts in the report that show how a figure changes, by heading. */
export function curvesOf(reports: readonly Report[]): { readonly heading: string; readonly svg: string }[] {
  const scale = reports.find(({ scenario }) => scenario === 'scale')
  return [
    ...(scale === undefined ? [] : [{ heading: 'Loads per TTL as the fleet grows', svg: scaleCurve(scale) }]),
    { heading: 'Early refresh: what the lease adds to XFetch, simulated', svg: readFileSync(XFETCH, 'utf8') },
  ]
}

/** Written by `node --import tsx bench/simulator/main.ts --svg docs/design/images`. */
const XFETCH = new URL('../../docs/design/images/loads-by-rate.svg', import.meta.url)

const TONES: Readonly<Record<string, Tone>> = { corral: 'green', 'cache-aside': 'orange' }

/** Every comparison of `scale` is one size of fleet: `16 processes`, `1 process`. */
function scaleCurve({ comparisons }: Report): string {
  const sizes = comparisons
    .map(({ label, results }) => ({ processes: Number.parseInt(label, 10), results }))
    .sort((a, b) => a.processes - b.processes)
  const names = Object.keys(sizes[0]?.results ?? {})
  const points = (name: string) =>
    sizes.map(({ processes, results }) => [processes, results[name]?.median ?? Number.NaN] as const)
  const most = Math.max(...names.flatMap((name) => points(name).map(([, y]) => y)))
  const last = sizes.at(-1)?.processes ?? 1
  const x: Axis = {
    label: 'processes',
    scale: 'log',
    min: 1,
    max: last,
    ticks: sizes.map(({ processes }) => processes),
  }
  const y: Axis = { label: 'loads per key and TTL', scale: 'log', min: 0.8, max: most * 1.5, ticks: ticksTo(most) }
  const lines = names.map((name): Line => {
    // Above a point in the middle, where there is room for a label.
    const drawn = points(name)
    const at = drawn[Math.floor((drawn.length - 1) / 2)] ?? [1, 1]
    const labelled = name === 'corral' || name === 'cache-aside'
    return {
      label: labelled ? name : '',
      labelAt: [at[0] * 1.04, at[1] * 1.22],
      anchor: 'start',
      tone: TONES[name] ?? 'grey',
      style: labelled ? 'dots' : 'line',
      points: points(name),
    }
  })
  return drawChart({ title: 'Loads per key and TTL (grey: peers)', x, y, lines })
}

function ticksTo(most: number): number[] {
  return [1, 2, 5, 10, 20, 50, 100, 200].filter((tick) => tick <= most * 1.5)
}
