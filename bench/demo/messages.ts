import type { ReadRecord, WriteRecord } from '../../src/testing.js'
import type { Place } from './connect.js'
import type { SideName } from './side.js'

/** From the demonstration to one of its processes, in this order. */
export type Order =
  | { readonly order: 'open'; readonly worker: number; readonly side: SideName; readonly place: Place }
  | { readonly order: 'tell the time' }
  | { readonly order: 'run'; readonly startMs: number }

/** From a process to the demonstration. `failed` ends it. */
export type Report =
  | { readonly report: 'open' }
  | { readonly report: 'time'; readonly nowMs: number }
  | { readonly report: 'progress'; readonly reads: number; readonly writes: number }
  | { readonly report: 'done'; readonly log: WorkerLog }
  | { readonly report: 'failed'; readonly reason: string }

/** Everything one process wrote down. */
export interface WorkerLog {
  readonly reads: readonly ReadRecord[]
  readonly writes: readonly WriteRecord[]
  /** The messages of pages and writes that ended with an error. */
  readonly failures: readonly string[]
  /** While the traffic ran. */
  readonly loads: number
  readonly hits: number
  /** From the process' first statement to its last. */
  readonly transactions: number
}
