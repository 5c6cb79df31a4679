import { fixed, percent, type Table, whole } from '../simulator/table.js'
import { FLEET, type StrategyOutcome } from './outcomes.js'

/** What each strategy made of one stream. */
export function outcomeTable(title: string, outcomes: readonly StrategyOutcome[]): Table {
  const [first] = outcomes
  return {
    name: title,
    title,
    setting: `${first?.outcome.reads.toLocaleString('en')} reads, ${first?.outcome.writes.toLocaleString('en')} writes; TTL ${FLEET.ttlMs / 1_000} s, loads of ${FLEET.loadMs} ms.`,
    header: ['strategy', 'hits', 'in L1', 'in L2', 'loads/s', 'waited', 'p99 wait, ms', 'stale', 'oldest stale, ms'],
    rows: outcomes.map(({ strategy, outcome }) => [
      strategy,
      percent(outcome.hitRatio),
      percent(outcome.l1Share),
      percent(outcome.l2Share),
      fixed(outcome.loadsPerSecond, 1),
      percent(outcome.waitedShare),
      fixed(outcome.p99WaitMs, 1),
      percent(outcome.staleShare, 4),
      whole(outcome.oldestStaleMs),
    ]),
  }
}
