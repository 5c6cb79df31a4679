import { startPostgres } from '../../test/support/servers/postgres.js'
import { startRedis } from '../../test/support/servers/redis.js'
import { amountOf, atMost, type Comparison, type Scenario } from '../harness/scenario.js'
import { summarize } from '../harness/summary.js'
import type { Damage } from '../incidents/incident.js'
import { INCIDENTS } from '../incidents/index.js'

/** What `npm run demo` tells as stories, as figures. */
export const incidents: Scenario = {
  name: 'incidents',
  title: 'four incidents replayed on real servers: damage by kind; raw: the way they happened',
  unit: 'harmed; the lines without a label: slots sold twice',
  async run(setting) {
    const [postgres, redis] = await Promise.all([startPostgres({ own: true }), startRedis({ own: true })])
    try {
      const rounds = new Map<string, Damage[]>()
      for (let round = 1; round <= amountOf({ quick: 1, least: 1, full: 3 }, setting); round++) {
        for (const { letter, title, replay } of INCIDENTS) {
          setting.note(`${letter}. ${title}, round ${round}`)
          for (const damage of await replay({ postgres, redis })) {
            const key = `${letter}: ${damage.what}, of ${damage.of}`
            rounds.set(key, [...(rounds.get(key) ?? []), damage])
          }
        }
      }
      const kinds = [...rounds]
      const results = (side: 'naive' | 'corral', damages: readonly Damage[]) =>
        summarize(damages.map((one) => one[side]))
      return {
        comparisons: kinds.map(([label, damages], at) => ({
          label: at === 0 ? '' : label,
          raw: 'naive',
          results: { corral: results('corral', damages), naive: results('naive', damages) },
        })) as unknown as [Comparison, ...Comparison[]],
        targets: kinds.map(([label, damages]) => atMost(label, 0, results('corral', damages).max)),
      }
    } finally {
      await Promise.all([postgres.stop(), redis.stop()])
    }
  },
}
