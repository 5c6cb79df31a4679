import { Worker } from '../harness/crew.js'
import { openPlace, type Place } from '../harness/place.js'
import { atMost, type Scenario, type Setting } from '../harness/scenario.js'
import { sharedNowMs } from '../harness/shared-clock.js'
import { quantile, summarize } from '../harness/summary.js'
import { placeOnly } from '../harness/throughput.js'
import type { Change, PropagationTalk, Sighting } from './propagation-worker.js'

const WORKER = new URL('propagation-worker.ts', import.meta.url)
const EVERY_MS = 20

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
  async run(setting) {
    const place = await openPlace({ rows: 10 })
    try {
      const corral: Lag[][] = []
      const pubSub: Lag[][] = []
      for (let round = 1; round <= (setting.quick ? 4 : 12); round++) {
        setting.note(`round ${round}`)
        corral.push(await measureRound(place, 'corral', round, setting))
        pubSub.push(await measureRound(place, 'pub/sub', round, setting))
      }
      const medians = (rounds: Lag[][], which: keyof Lag) => summarize(rounds.map((lags) => at(lags, which, 0.5)))
      const all = corral.flat()
      const rawAll = pubSub.flat()
      return {
        comparisons: [
          {
            label: '',
            raw: 'pub/sub',
            results: { corral: medians(corral, 'oldMs'), 'pub/sub': medians(pubSub, 'oldMs') },
          },
          {
            label: 'until the new value',
            raw: 'pub/sub',
            results: { corral: medians(corral, 'newMs'), 'pub/sub': medians(pubSub, 'newMs') },
          },
        ],
        targets: [
          atMost(`p50 of ${all.length} changes`, 1, at(all, 'oldMs', 0.5), ' ms'),
          atMost(`p99 of ${all.length} changes`, 5, at(all, 'oldMs', 0.99), ' ms'),
        ],
        remarks: [
          `until the new value: p50 ${at(all, 'newMs', 0.5).toFixed(2)} ms, p99 ${at(all, 'newMs', 0.99).toFixed(2)} ms`,
          `raw: p50 ${at(rawAll, 'oldMs', 0.5).toFixed(2)} ms, p99 ${at(rawAll, 'oldMs', 0.99).toFixed(2)} ms`,
        ],
      }
    } finally {
      await place.close()
    }
  },
}

async function measureRound(
  place: Place,
  kind: 'corral' | 'pub/sub',
  round: number,
  { quick, profileFolder }: Setting,
): Promise<Lag[]> {
  const writer = new Worker<PropagationTalk>(WORKER, { profileFolder })
  const reader = new Worker<PropagationTalk>(WORKER, { profileFolder })
  try {
    const own = { ...placeOnly(place), namespace: `${kind === 'corral' ? 'corral' : 'raw'}-${round}` }
    await Promise.all([writer.ask('open', own, kind), reader.ask('open', own, kind)])
    const times = quick ? 75 : 150
    const watching = reader.ask('watch', sharedNowMs() + (times + 20) * EVERY_MS)
    // Each round begins above all values that the rounds before it have left behind.
    const changes = await writer.ask('write', round * 10_000 + (kind === 'corral' ? 0 : 5_000), times, EVERY_MS)
    return lagsOf(changes, await watching)
  } finally {
    await Promise.all([writer.stop(), reader.stop()])
  }
}

/** The first changes find the reader's code uncompiled. */
const PRACTICE = 10

function lagsOf(changes: readonly Change[], sightings: readonly Sighting[]): Lag[] {
  return changes.slice(PRACTICE).map(({ stock, committedMs }) => {
    const older = sightings.filter((sighting) => sighting.stock < stock).map(({ lastMs }) => lastMs)
    const newer = sightings.filter((sighting) => sighting.stock >= stock).map(({ firstMs }) => firstMs)
    if (newer.length === 0) throw new Error(`nobody ever saw change ${stock}`)
    return {
      oldMs: Math.max(0, Math.max(...older) - committedMs),
      newMs: Math.max(0, Math.min(...newer) - committedMs),
    }
  })
}

function at(lags: readonly Lag[], which: keyof Lag, share: number): number {
  return quantile(
    lags.map((lag) => lag[which]),
    share,
  )
}
