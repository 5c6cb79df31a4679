import { KeyWrites } from '../../../src/testing/key-writes.js'
import type { HistoryRecords, WriteRecord } from '../../../src/testing.js'
import type { Strike } from './campaign.js'
import type { Ledger } from './ledger.js'

/** One run, second by second. */
export interface Timeline {
  readonly reads: readonly number[]
  readonly failed: readonly number[]
  readonly loads: readonly number[]
  /** The stalest read that began in each second, milliseconds. */
  readonly worstMs: readonly number[]
  readonly strikes: readonly {
    readonly name: string
    readonly lane: string
    readonly fromS: number
    readonly toS: number
  }[]
}

export function timelineOf(ledger: Ledger, strikes: readonly Strike[]): Timeline {
  const seconds = ledger.seconds()
  const at = (ms: number) => (ms - ledger.startedMs) / 1_000
  const length = Math.ceil(Math.max(1, ...seconds.map(({ startedMs }) => at(startedMs) + 1)))
  const [reads, failed, loads] = [0, 0, 0].map(() => new Array<number>(length).fill(0)) as [
    number[],
    number[],
    number[],
  ]
  for (const second of seconds) {
    const index = Math.round(at(second.startedMs))
    reads[index] = second.reads
    loads[index] = second.loads
    failed[index] = Object.values(second.failedReads).reduce((sum, times) => sum + times, 0)
  }
  return {
    ...{ reads, failed, loads },
    worstMs: worstStaleness(ledger.rows, length, at),
    strikes: strikes.map(({ nemesis, startedMs, endedMs }) => ({
      ...{ name: nemesis.name, lane: nemesis.lane },
      fromS: at(startedMs),
      toS: at(endedMs),
    })),
  }
}

/** How long what a read shows had been overtaken when it began, as the checker counts it. */
function worstStaleness(history: HistoryRecords, length: number, at: (ms: number) => number): number[] {
  const worst = new Array<number>(length).fill(0)
  const writes = new Map<string, WriteRecord[]>()
  for (const write of history.writes) {
    const own = writes.get(write.key)
    if (own) own.push(write)
    else writes.set(write.key, [write])
  }
  const known = new Map<string, KeyWrites>()
  for (const { key, version, startedMs } of history.reads) {
    if (version === null) continue
    const own = known.get(key) ?? new KeyWrites(writes.get(key) ?? [])
    known.set(key, own)
    const overtakenMs = own.committed.firstAfter({ version, absent: false })
    const second = Math.floor(at(startedMs))
    if (overtakenMs !== undefined) worst[second] = Math.max(worst[second] ?? 0, startedMs - overtakenMs)
  }
  return worst
}
