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
  /** @param saysLoad says `load` when it sends a SELECT. */
  burst(id: number, reads: number, startMs: number, saysLoad: boolean): Promise<Burst>
  close(): Promise<void>
}

/** From its last answer until a process tells how it fared: that takes processors from those who still wait for theirs. */
const REST_MS = 25

let reader: RowReader

const open: BurstTalk['open'] = async (place, choice, { ids, reads }) => {
  reader = openReader(place, choice)
  for (const id of ids) {
    const { failures } = await askAtOnce(id, reads)
    if (failures > 0) throw new Error(`${failures} of ${reads} reads failed before anything was measured`)
  }
}

async function burst(id: number, reads: number, startMs: number, saysLoad: boolean): Promise<Burst> {
  reader.connections.onLoad = saysLoad ? () => say('load') : () => {}
  await sharedUntil(startMs)
  const seen = await askAtOnce(id, reads)
  await new Promise((resolve) => setTimeout(resolve, REST_MS))
  return seen
}

async function askAtOnce(id: number, reads: number): Promise<Burst> {
  const { loads } = reader.connections
  loads.length = 0
  const startedMs = machineMs()
  const cpuBefore = process.cpuUsage()
  const waitsMs = new Float64Array(reads)
  let failures = 0
  // As little as can be beside the read itself: who waits for 500 promises of the benchmark's, and collects them, is not waiting for the contender.
  await new Promise<void>((resolve) => {
    let left = reads
    const ask = (at: number) => {
      const askedMs = performance.now()
      const answered = (row: unknown) => {
        waitsMs[at] = performance.now() - askedMs
        if ((row as { readonly id?: unknown } | undefined)?.id !== id) failures++
        if (--left === 0) resolve()
      }
      reader.find(id).then(answered, answered)
    }
    for (let at = 0; at < reads; at++) ask(at)
  })
  const { user, system } = process.cpuUsage(cpuBefore)
  return { startedMs, waitsMs, failures, cpuMs: (user + system) / 1_000, loads: [...loads] }
}

const talk: BurstTalk = { open, burst, close: () => reader.close() }
answerQuestions(talk)
