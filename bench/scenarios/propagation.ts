import { machineMs } from '../../src/core/clock.js'
import { contestants } from '../harness/contestants.js'
import { Worker } from '../harness/crew.js'
import { inPlace, type Place } from '../harness/place.js'
import type { ReaderChoice } from '../harness/readers.js'
import { amountOf, atMost, type Scenario, type Setting } from '../harness/scenario.js'
import { quantile, summarize } from '../harness/summary.js'
import { placeOnly } from '../harness/throughput.js'
import type { Change, PropagationTalk, Sighting } from './propagation-worker.js'

const WORKER = new URL('propagation-worker.ts', import.meta.url)
const EVERY_MS = 20
const FRESH_MS = 300_000
const RAW = 'pub/sub'

/** How long after a commit each of its readers in another process went on seeing what was before. */
interface Lag {
  /** Until the last answer with an older value. 0 when there was none after the commit. */
  readonly oldMs: number
  /** Until the first answer with the new value. */
  readonly newMs: number
}

/** A row that one process changes and another one holds in memory. */
export const propagation: Scenario = {
  name: 'propagation',
  title: 'from the acknowledged commit until another process stops returning the old value; raw: PUBLISH of the value',
  unit: 'ms',
  run: (setting) =>
    inPlace({ rows: 10 }, async (place) => {
      const { readers, cannot } = await contestants(setting, FRESH_MS, [], ['both'])
      const sides = [...readers, { name: RAW, choice: RAW } as const]
      const lags = new Map<string, Lag[][]>(sides.map(({ name }) => [name, []]))
      const rounds = amountOf({ quick: 4, least: 6, full: 12 }, setting)
      for (let round = 1; round <= rounds; round++) {
        setting.note(`round ${round} of ${rounds}`)
        for (const [at, { name, choice }] of sides.entries()) {
          // Peers are measured in fewer rounds.
          if (name !== 'corral' && name !== RAW && round > rounds / 3) continue
          const from = 10_000 * (round * sides.length + at)
          lags.get(name)?.push(await measureRound(place, `${at}-${round}`, choice, from, setting))
        }
      }
      const medians = (which: keyof Lag) =>
        Object.fromEntries(
          [...lags].map(([name, rounds]) => [name, summarize(rounds.map((lags) => at(lags, which, 0.5)))]),
        )
      const worst = Object.fromEntries(
        [...lags].map(([name, rounds]) => [name, summarize(rounds.map((lags) => at(lags, 'oldMs', 0.99)))]),
      )
      const all = lags.get('corral')?.flat() ?? []
      const rawAll = lags.get(RAW)?.flat() ?? []
      return {
        comparisons: [
          { label: '', raw: RAW, results: medians('oldMs') },
          { label: "p99 of each round's changes, ms", raw: RAW, results: worst },
          { label: 'until the new value, ms', raw: RAW, results: medians('newMs') },
        ],
        targets: [
          atMost(`p50 of ${all.length} changes`, 1, at(all, 'oldMs', 0.5), ' ms'),
          atMost(`p99 of ${all.length} changes`, 5, at(all, 'oldMs', 0.99), ' ms'),
        ],
        remarks: [
          `until the new value: p50 ${at(all, 'newMs', 0.5).toFixed(2)} ms, p99 ${at(all, 'newMs', 0.99).toFixed(2)} ms`,
          `raw: p50 ${at(rawAll, 'oldMs', 0.5).toFixed(2)} ms, p99 ${at(rawAll, 'oldMs', 0.99).toFixed(2)} ms`,
        ],
        cannot,
      }
    }),
}

async function measureRound(
  place: Place,
  namespace: string,
  choice: ReaderChoice | typeof RAW,
  /** Above all values that the rounds before have left behind. */
  from: number,
  { quick, profileFolder }: Setting,
): Promise<Lag[]> {
  const writer = new Worker<PropagationTalk>(WORKER, { profileFolder })
  const reader = new Worker<PropagationTalk>(WORKER, { profileFolder })
  try {
    const own = { ...placeOnly(place), namespace: `propagation-${namespace}` }
    await Promise.all([writer.ask('open', own, choice), reader.ask('open', own, choice)])
    const times = quick ? 75 : 150
    const endMs = machineMs() + (times + 20) * EVERY_MS
    const watching = reader.ask('watch', endMs)
    const changes = await writer.ask('write', from, times, EVERY_MS)
    return lagsOf(changes, await watching, endMs)
  } finally {
    await Promise.all([writer.kill(), reader.kill()])
  }
}

/** The first changes find the reader's code uncompiled. */
const PRACTICE = 10

/** @param endMs when watching ended: a change that nobody had seen by then counts as one that took so long. */
function lagsOf(changes: readonly Change[], sightings: readonly Sighting[], endMs: number): Lag[] {
  return changes.slice(PRACTICE).map(({ stock, committedMs }) => {
    const older = sightings.filter((sighting) => sighting.stock < stock).map(({ lastMs }) => lastMs)
    const newer = sightings.filter((sighting) => sighting.stock >= stock).map(({ firstMs }) => firstMs)
    return {
      oldMs: Math.max(0, Math.max(...older) - committedMs),
      newMs: Math.max(0, Math.min(endMs, ...newer) - committedMs),
    }
  })
}

function at(lags: readonly Lag[], which: keyof Lag, share: number): number {
  return quantile(
    lags.map((lag) => lag[which]),
    share,
  )
}
