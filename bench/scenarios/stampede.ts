import { openPlace } from '../harness/place.js'
import { atMost, type Scenario } from '../harness/scenario.js'
import { makeSlow } from '../harness/slow-table.js'
import { quantile, summarize } from '../harness/summary.js'
import { BurstFleet, type Trial } from './burst-fleet.js'

const READS = 1_000
const LOAD_MS = 50
const FRESH_MS = 60_000

/** A cold key and one process that asks for it a thousand times at once. */
export const stampede: Scenario = {
  name: 'stampede',
  title: `cold key, one process x ${READS} reads at once, ${LOAD_MS} ms load; raw: cache-aside by hand`,
  unit: 'loads per trial',
  async run(setting) {
    const place = await openPlace({ rows: 1_000 })
    try {
      const table = await makeSlow(place, LOAD_MS)
      let id = 0
      const trialsOf = async (kind: 'corral' | 'cache-aside', times: number): Promise<Trial[]> => {
        setting.note(`${kind}, ${times} trials`)
        const choice = { kind, freshMs: FRESH_MS, l1: true }
        const fleet = new BurstFleet({ table, choice, processes: 1, reads: READS, coldId: () => ++id, setting }, kind)
        await fleet.open()
        const trials: Trial[] = []
        for (let at = 0; at < times; at++) trials.push(await fleet.trial())
        await fleet.close()
        return trials
      }
      const corral = await trialsOf('corral', setting.quick ? 20 : 50)
      const byHand = await trialsOf('cache-aside', setting.quick ? 2 : 5)
      const waits = corral.flatMap(({ bursts }) => bursts.flatMap(({ waitsMs }) => [...waitsMs]))
      const loadMs = quantile(
        corral.flatMap((trial) => trial.loadMs ?? []),
        0.5,
      )
      return {
        comparisons: [
          {
            label: '',
            raw: 'cache-aside',
            results: {
              corral: summarize(corral.map(({ loads }) => loads)),
              'cache-aside': summarize(byHand.map(({ loads }) => loads)),
            },
          },
        ],
        targets: [
          atMost(`most loads in ${corral.length} trials`, 1, Math.max(...corral.map(({ loads }) => loads))),
          atMost('p99 of the reads / load time', 1.3, quantile(waits, 0.99) / loadMs),
        ],
      }
    } finally {
      await place.close()
    }
  },
}
