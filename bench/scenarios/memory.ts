import { Worker } from '../harness/crew.js'
import { invitePeers, type PeerChoice } from '../harness/peers.js'
import { openPlace, type Place } from '../harness/place.js'
import { amountOf, atMost, type Comparison, type Scenario, type Setting } from '../harness/scenario.js'
import { quantile, type Summary, summarize } from '../harness/summary.js'
import { placeOnly } from '../harness/throughput.js'
import type { Held, Holder, MemoryTalk } from './memory-worker.js'

const WORKER = new URL('memory-worker.ts', import.meta.url)

/** How many caches of so many rows: together as large as makes the process itself, which is never quite the same, weigh little. */
const TIMES: ReadonlyMap<number, number> = new Map([
  [1_000, 20],
  [10_000, 3],
  [50_000, 1],
])
/** The rehearsal's, after those that are measured. */
const SPARE_ROWS = 500
const PEER_ROWS = 10_000

/** What a row costs in this process' memory, with everything Corral keeps about it. */
export const memory: Scenario = {
  name: 'memory',
  title:
    'rows of about 1 KB held in memory, each read three times, each in a process of its own after a rehearsal and a full collection; raw: a Map of the same rows',
  unit: 'bytes an entry, row included',
  async run(setting) {
    const sizes = [...TIMES.keys()].slice(0, setting.quick ? 2 : 3)
    const place = await openPlace({ rows: Math.max(...sizes) + SPARE_ROWS })
    try {
      const measured: { size: number; corral: Held[]; map: Held[] }[] = []
      for (const size of sizes) measured.push({ size, ...(await measureSize(place, size, setting)) })
      const { peers, cannot } = await invitePeers(['memory'], setting)
      const beside = await measurePeers(place, peers, setting)
      const comparisons = measured.map(
        ({ size, corral, map }): Comparison => ({
          label: `${size} rows`,
          raw: 'Map',
          results: {
            corral: summarize(corral.map(({ read }) => read)),
            Map: summarize(map.map(({ read }) => read)),
            ...(size === PEER_ROWS ? beside : {}),
          },
        }),
      )
      // The size that everybody was measured at comes first.
      comparisons.sort((a, b) => Object.keys(b.results).length - Object.keys(a.results).length)
      const above = (which: keyof Held, at: number) => {
        const median = (held: readonly Held[] = []) =>
          quantile(
            held.map((one) => one[which]),
            0.5,
          )
        return median(measured[at]?.corral) - median(measured[at]?.map)
      }
      return {
        comparisons: comparisons as [Comparison, ...Comparison[]],
        targets: measured.map(({ size }, at) =>
          atMost(`${size} rows, each read: bytes an entry above a Map`, 100, above('read', at)),
        ),
        remarks: [
          ...measured.map(
            ({ size }, at) =>
              `${size} rows, above a Map: ${above('filled', at).toFixed(0)} as long as none is read, ${above('readOnce', at).toFixed(0)} when each has been read once`,
          ),
          `beside the rows, and however many they are: ${(above('before', 0) / 1024).toFixed(0)} KB more than in the Map's process, most of it compiled code`,
        ],
        cannot,
      }
    } finally {
      await place.close()
    }
  },
}

async function measureSize(place: Place, size: number, setting: Setting) {
  const corral: Held[] = []
  const map: Held[] = []
  for (let round = 1; round <= amountOf({ quick: 1, least: 2, full: 5 }, setting); round++) {
    setting.note(`${size} rows, round ${round}`)
    corral.push(await measureOnce(place, 'corral', size))
    map.push(await measureOnce(place, 'Map', size))
  }
  return { corral, map }
}

async function measurePeers(place: Place, peers: readonly PeerChoice[], setting: Setting) {
  const results: Record<string, Summary> = {}
  for (const { name } of peers) {
    setting.note(`${PEER_ROWS} rows, ${name}`)
    const bytes: number[] = []
    for (let round = 0; round < amountOf({ quick: 1, least: 1, full: 3 }, setting); round++) {
      bytes.push((await measureOnce(place, name, PEER_ROWS)).read)
    }
    results[name] = summarize(bytes)
  }
  return results
}

async function measureOnce(place: Place, holder: Holder, size: number): Promise<Held> {
  const worker = new Worker<MemoryTalk>(WORKER, { nodeOptions: ['--expose-gc'] })
  try {
    return await worker.ask('measure', placeOnly(place), holder, size, TIMES.get(size) ?? 1)
  } finally {
    await worker.stop()
  }
}
