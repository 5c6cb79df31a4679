import { machineMs } from '../../src/core/clock.js'
import { checkHistory, type ReadRecord, type WriteRecord } from '../../src/testing.js'
import { Worker } from '../harness/crew.js'
import type { ReaderChoice } from '../harness/readers.js'
import type { SlowTable } from '../harness/slow-table.js'
import { quantile } from '../harness/summary.js'
import type { Requests } from '../hit-ratio/requests.js'
import type { HitRatioTalk, Part, PartLog } from './hit-ratio-worker.js'

const WORKER = new URL('hit-ratio-worker.ts', import.meta.url)
/** Between the order and the start of the stream. */
const LEAD_MS = 100

/** What one way of caching made of a stream on real servers. */
export interface Played {
  /** Reads that cost the database nothing, of all reads: counted by loads, which is the same for every contender. */
  readonly sparedShare: number
  /** Of all reads; 0 where hits are not counted. */
  readonly l1Share: number
  readonly l2Share: number
  readonly loads: number
  readonly stampsRead: number
  readonly p99WaitMs: number
  readonly staleShare: number
  readonly failures: number
}

/** Plays a stream over a fleet of processes, all beginning with the same cold cache. */
export async function play(
  table: SlowTable,
  fleet: {
    readonly namespace: string
    readonly choice: ReaderChoice
    readonly processes: number
    readonly practiceId: number
  },
  requests: Requests,
): Promise<Played> {
  const { namespace, choice, processes, practiceId } = fleet
  const workers = Array.from({ length: processes }, () => new Worker<HitRatioTalk>(WORKER))
  try {
    await Promise.all(workers.map((worker) => worker.ask('open', { ...table.place, namespace }, choice, practiceId)))
    const startMs = machineMs() + LEAD_MS
    const parts = partsOf(requests, processes)
    const logs = await Promise.all(workers.map((worker, at) => worker.ask('play', parts[at] as Part, startMs)))
    await Promise.all(workers.map((worker) => worker.ask('close')))
    return playedOf(logs)
  } finally {
    await Promise.all(workers.map((worker) => worker.stop()))
  }
}

/** Reads go to any process; all writes of a row go to one, so that they have an order. */
function partsOf({ atMs, keys, writes }: Requests, processes: number): Part[] {
  return Array.from({ length: processes }, (_, part) => {
    const mine = Array.from(keys, (_, at) => at).filter((at) =>
      writes[at] === 1
        ? (keys[at] as number) % processes === part
        : ((at * 2_654_435_761) % 2 ** 32) % processes === part,
    )
    return {
      atMs: Float64Array.from(mine, (at) => atMs[at] as number),
      ids: Uint32Array.from(mine, (at) => (keys[at] as number) + 1),
      // Larger than any before, and than what the table begins with.
      writes: Uint32Array.from(mine, (at) => (writes[at] === 1 ? 1_000 + at : 0)),
    }
  })
}

function playedOf(logs: readonly PartLog[]): Played {
  const reads = logs.flatMap(({ reads }, worker) =>
    reads.map(({ id, startedMs, waitMs, stock }): ReadRecord => {
      const times = { startedMs, endedMs: startedMs + waitMs }
      return { process: `process ${worker}`, key: String(id), ...times, version: String(stock) }
    }),
  )
  const writes = logs.flatMap(({ writes }, worker) =>
    writes.map(({ id, acknowledgedMs, stock }): WriteRecord => {
      const times = { startedMs: acknowledgedMs, endedMs: acknowledgedMs }
      return { process: `process ${worker}`, key: String(id), ...times, version: String(stock), outcome: 'fenced' }
    }),
  )
  const { counts } = checkHistory({ reads, writes, loads: [], atRest: [] }, { maxExamples: 0 })
  const sum = (of: (log: PartLog) => number) => logs.reduce((total, log) => total + of(log), 0)
  const loads = sum((log) => log.loads)
  const waits = logs.flatMap((log) => log.reads.map(({ waitMs }) => waitMs))
  return {
    sparedShare: 1 - loads / reads.length,
    l1Share: sum(({ hits }) => hits.l1) / reads.length,
    l2Share: sum(({ hits }) => hits.l2) / reads.length,
    loads,
    stampsRead: sum((log) => log.stampsRead),
    p99WaitMs: quantile(waits, 0.99),
    staleShare: counts.acknowledged / reads.length,
    failures: sum(({ failures }) => failures),
  }
}
