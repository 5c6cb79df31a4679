import { simulateKey, type Workload } from './one-key.js'
import { seededChance } from './seeded-chance.js'
import type { Strategy } from './strategies.js'

export interface MassExpiry {
  /** Most loads at once after the bulk fill. */
  readonly peakLoads: number
  /** Most loads at once in each stretch of `binMs` from the bulk fill on. */
  readonly peaks: readonly number[]
  readonly loads: number
}

/** `keys` keys filled in one instant, then read independently of each other for `forMs`. */
export function simulateMassExpiry(
  strategy: Strategy,
  workload: Workload,
  run: { readonly keys: number; readonly forMs: number; readonly binMs: number; readonly seed: number },
): MassExpiry {
  const edges: { readonly atMs: number; readonly step: 1 | -1 }[] = []
  for (let key = 0; key < run.keys; key++) {
    const outcome = simulateKey(strategy, workload, { timeMs: run.forMs }, seededChance(run.seed * 1_000_003 + key))
    for (const load of outcome.loads) edges.push({ atMs: load.startMs, step: 1 }, { atMs: load.endMs, step: -1 })
  }
  edges.sort((a, b) => a.atMs - b.atMs || a.step - b.step)

  const peaks = new Array<number>(Math.ceil(run.forMs / run.binMs)).fill(0)
  let loads = 0
  for (const { atMs, step } of edges) {
    loads += step
    const bin = Math.floor(atMs / run.binMs)
    if (bin < peaks.length) peaks[bin] = Math.max(peaks[bin]!, loads)
  }
  return { peakLoads: Math.max(...peaks), peaks, loads: edges.length / 2 }
}
