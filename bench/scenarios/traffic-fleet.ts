import { sql } from 'kysely'
import { machineMs } from '../../src/core/clock.js'
import { Worker } from '../harness/crew.js'
import type { OpenPlace } from '../harness/place.js'
import type { ReaderChoice } from '../harness/readers.js'
import type { Setting } from '../harness/scenario.js'
import type { SlowTable } from '../harness/slow-table.js'
import type { TrafficLog, TrafficTalk } from './traffic-worker.js'

const WORKER = new URL('traffic-worker.ts', import.meta.url)
const LEAD_MS = 100
/** How often the hot rows are touched, and so how exactly the age of an answer is known. */
export const TOUCH_EVERY_MS = 10

export interface TrafficOptions {
  readonly place: OpenPlace
  readonly table: SlowTable
  /** Of this traffic's own, so that no other's entries serve it. */
  readonly namespace: string
  readonly choice: ReaderChoice
  readonly processes: number
  readonly ids: readonly number[]
  /** What a SELECT costs. */
  readonly loadMs: number
  /** For each process, ids of others' rows to load beforehand, one by one: a process that has been running knows what a load costs. */
  readonly practiceIds: readonly (readonly number[])[]
  /** Of the whole fleet. */
  readonly perSecond: number
  readonly durationMs: number
  /** Time before it in which nothing is counted. */
  readonly warmUpMs: number
  /** Keep the rows' `touched_ms` up to date, so that the age of answers is known. */
  readonly touch: boolean
  readonly setting: Setting
}

export interface TrafficResult {
  readonly startMs: number
  readonly durationMs: number
  /** Counted by Postgres. */
  readonly loads: number
  readonly logs: readonly TrafficLog[]
}

/** Has a fleet of processes read at a steady rate, all beginning with the same cold cache. */
export async function runTraffic(options: TrafficOptions): Promise<TrafficResult> {
  const { place, table, namespace, choice, processes, ids, perSecond, durationMs, warmUpMs, setting } = options
  const workers = Array.from(
    { length: processes },
    () => new Worker<TrafficTalk>(WORKER, { profileFolder: setting.profileFolder }),
  )
  try {
    await Promise.all(workers.map((worker) => worker.ask('open', { ...table.place, namespace }, choice)))
    const stopTouching = options.touch ? touchRows(place, ids) : async () => {}
    await table.setPrice({ ms: options.loadMs, fails: false })
    await Promise.all(workers.map((worker, at) => worker.ask('practise', options.practiceIds[at] ?? [])))
    await table.setPrice({ ms: 0, fails: false })
    await workers[0]?.ask('fill', ids)
    await table.setPrice({ ms: options.loadMs, fails: false })
    const each = perSecond / processes
    const run = async (lengthMs: number) => {
      const startMs = machineMs() + LEAD_MS
      const traffic = { perSecond: each, startMs, endMs: startMs + lengthMs }
      const logs = await Promise.all(
        workers.map((worker, at) => worker.ask('run', { ...traffic, ids: from(ids, at / processes) })),
      )
      return { startMs, durationMs: lengthMs, logs, loads: await table.takeLoads() }
    }
    if (warmUpMs > 0) await run(warmUpMs)
    await table.takeLoads()
    const result = await run(durationMs)
    await stopTouching()
    await Promise.all(workers.map((worker) => worker.ask('close')))
    return result
  } finally {
    await Promise.all(workers.map((worker) => worker.stop()))
  }
}

/** The ids in turn, beginning at a share of them: processes that read them in step would ask for each at the same moment. */
function from(ids: readonly number[], share: number): readonly number[] {
  const first = Math.floor(share * ids.length)
  return [...ids.slice(first), ...ids.slice(0, first)]
}

/**
 * Writes the time into the rows, by plain SQL past every cache: what a reader is given tells when it was read from the
 * database. Returns what stops it.
 */
function touchRows({ db }: OpenPlace, ids: readonly number[]): () => Promise<void> {
  let stopped = false
  const touching = (async () => {
    while (!stopped) {
      await db
        .updateTable('products')
        .set({ touched_ms: machineMs() })
        .where('id', '=', sql<number>`any(${ids})`)
        .execute()
      await new Promise((resolve) => setTimeout(resolve, TOUCH_EVERY_MS))
    }
  })()
  return async () => {
    stopped = true
    await touching
  }
}
