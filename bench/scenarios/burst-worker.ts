/** One process of a fleet that asks for a cold key all at once. */
import { machineMs } from '../../src/core/clock.js'
import { answerQuestions, say } from '../harness/answer-questions.js'
import type { SeenLoad } from '../harness/connect.js'
import type { Talk } from '../harness/crew.js'
import type { Place } from '../harness/place.js'
import { openReader, type ReaderChoice, type RowReader } from '../harness/readers.js'
import { sharedUntil } from '../harness/shared-clock.js'

/** What one process saw of a burst. */
export interface Burst {
  /** When its first read was asked for, on the shared clock. */
  readonly startedMs: number
  /** For each read: how long until it was answered or refused. */
  readonly waitsMs: Float64Array
  readonly failures: number
  /** Processor time of this process from the first read to the last answer, kernel included. */
  readonly cpuMs: number
  /** SELECTs this process made, as its connection pool saw them. */
  readonly loads: readonly SeenLoad[]
}

export interface BurstTalk extends Talk {
  /** Connects, and asks for each of the ids `reads` times at once: what is measured is a process that has been running. */
  open(place: Place, choice: ReaderChoice, warmUp: { ids: readonly number[]; reads: number }): Promise<void>
  burst(id: number, reads: number, startMs: number): Promise<Burst>
  close(): Promise<void>
}

let reader: RowReader

const open: BurstTalk['open'] = async (place, choice, { ids, reads }) => {
  reader = openReader(place, choice)
  for (const id of ids) await burst(id, reads, 0)
  reader.connections.onLoad = () => say('load')
}

async function burst(id: number, reads: number, startMs: number): Promise<Burst> {
  const { loads } = reader.connections
  loads.length = 0
  await sharedUntil(startMs)
  const startedMs = machineMs()
  const cpuBefore = process.cpuUsage()
  const waitsMs = new Float64Array(reads)
  let failures = 0
  const read = async (at: number) => {
    const askedMs = machineMs()
    try {
      await expectRow(reader.find(id), id)
    } catch {
      failures++
    }
    waitsMs[at] = machineMs() - askedMs
  }
  await Promise.all(Array.from({ length: reads }, (_, at) => read(at)))
  const { user, system } = process.cpuUsage(cpuBefore)
  return { startedMs, waitsMs, failures, cpuMs: (user + system) / 1_000, loads: [...loads] }
}

async function expectRow(found: Promise<{ readonly id: number } | undefined>, id: number): Promise<void> {
  if ((await found)?.id !== id) throw new Error(`the answer is not row ${id}`)
}

const talk: BurstTalk = { open, burst, close: () => reader.close() }
answerQuestions(talk)
