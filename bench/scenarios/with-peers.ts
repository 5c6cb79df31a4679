import { invitePeers, type PeerChoice } from '../harness/peers.js'
import { openPlace } from '../harness/place.js'
import { type Amounts, amountOf, type Comparison, type Scenario, type Setting } from '../harness/scenario.js'
import { makeSlow } from '../harness/slow-table.js'
import { type Summary, summarize } from '../harness/summary.js'
import { measureThroughput, type Speed, type Throughput } from '../harness/throughput.js'
import type { Tiers } from '../peers/peer.js'
import { BurstFleet } from './burst-fleet.js'
import { peerContender } from './peer-contenders.js'

/** What peers came to in one comparison of a scenario, and the raw line that was measured in turns with them, if it was. */
export interface Beside {
  readonly results: Readonly<Record<string, Summary>>
  readonly raw?: Summary
}

/** A scenario with the peers behind Corral: by label of the comparison. Quick runs leave them out. */
export function withPeers(
  scenario: Scenario,
  wanted: readonly Tiers[],
  measure: (peers: readonly PeerChoice[], setting: Setting) => Promise<Readonly<Record<string, Beside>>>,
): Scenario {
  return {
    ...scenario,
    async run(setting) {
      const findings = await scenario.run(setting)
      const { peers, cannot } = await invitePeers(wanted, setting)
      if (peers.length === 0) return findings
      const beside = await measure(peers, setting)
      const comparisons = findings.comparisons.map((comparison) => joined(comparison, beside[comparison.label]))
      return { ...findings, comparisons: comparisons as [Comparison, ...Comparison[]], cannot }
    },
  }
}

function joined(comparison: Comparison, beside: Beside | undefined): Comparison {
  if (beside === undefined) return comparison
  const { raw, results } = beside
  const rawBeside = raw && Object.fromEntries(Object.keys(results).map((name) => [name, raw]))
  return { ...comparison, results: { ...comparison.results, ...results }, ...(rawBeside && { rawBeside }) }
}

/** Peers and the raw line in turns, as Corral and the raw line were. */
export function throughputBeside(options: {
  readonly kind: 'l1' | 'redis' | 'write'
  readonly rows: number
  readonly module: URL
  readonly raw: string
  readonly workloads: readonly string[]
  readonly by: keyof Speed
  readonly sliceMs: number
  /** Of Postgres, where it is to differ from that of the tests. */
  readonly settings?: Readonly<Record<string, string>>
  readonly warmRounds?: Amounts
  /** Only these: others cannot do the workload. */
  readonly able?: readonly string[]
}) {
  const { kind, rows, module, raw, workloads, by, sliceMs, settings, warmRounds } = options
  return async (peers: readonly PeerChoice[], setting: Setting): Promise<Record<string, Beside>> => {
    const place = await openPlace({ rows, ...(settings && { settings }) })
    try {
      const able = peers.map(({ name }) => name).filter((name) => options.able?.includes(name) ?? true)
      const names = able.map((name) => peerContender(kind, name))
      const peerModule = new URL('peer-contenders.ts', import.meta.url)
      const throughput = await measureThroughput({
        place,
        setting,
        module,
        elsewhere: Object.fromEntries(names.map((name) => [name, peerModule])),
        contenders: [raw, ...names],
        workloads,
        crews: amountOf({ quick: 1, least: 2, full: 3 }, setting),
        rounds: amountOf({ quick: 3, least: 4, full: 6 }, setting),
        ...(warmRounds && { warmRounds: amountOf(warmRounds, setting) }),
        sliceMs,
      })
      return Object.fromEntries(workloads.map((workload) => [workload, besideOf(throughput, workload)]))
    } finally {
      await place.close()
    }

    function besideOf(throughput: Throughput, workload: string): Beside {
      const { [raw]: rawSpeed, ...speeds } = throughput[workload] ?? {}
      const results = Object.entries(speeds).map(([name, speed]) => [name.slice(kind.length + 1), speed[by]] as const)
      return { results: Object.fromEntries(results), ...(rawSpeed && { raw: rawSpeed[by] }) }
    }
  }
}

/** Loads per trial when `processes` ask for a cold key `reads` times each, all at once. */
export function burstsBeside({ processes, reads, loadMs }: { processes: number; reads: number; loadMs: number }) {
  return async (peers: readonly PeerChoice[], setting: Setting): Promise<Record<string, Beside>> => {
    const place = await openPlace({ rows: 10_000 })
    try {
      const table = await makeSlow(place, loadMs)
      let id = 0
      const results: Record<string, Summary> = {}
      for (const peer of peers) {
        const trials = amountOf({ quick: 2, least: 4, full: 8 }, setting)
        setting.note(`${peer.name}, ${trials} trials`)
        const choice = { kind: 'peer', freshMs: 60_000, l1: false, peer } as const
        const fleet = new BurstFleet({ table, choice, processes, reads, coldId: () => ++id, setting }, peer.name)
        await fleet.open()
        const loads: number[] = []
        for (let trial = 0; trial < trials; trial++) loads.push((await fleet.trial()).loads)
        await fleet.close()
        results[peer.name] = summarize(loads)
      }
      return { '': { results } }
    } finally {
      await place.close()
    }
  }
}
