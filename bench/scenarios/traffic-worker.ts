/** One process of a fleet that reads hot keys at a steady rate. */
import { machineMs } from '../../src/core/clock.js'
import { answerQuestions } from '../harness/answer-questions.js'
import type { SeenLoad } from '../harness/connect.js'
import type { Talk } from '../harness/crew.js'
import type { Place } from '../harness/place.js'
import { openReader, type ReaderChoice, type RowReader } from '../harness/readers.js'

export interface Traffic {
  /** Read in turn. */
  readonly ids: readonly number[]
  readonly perSecond: number
  /** On the shared clock. */
  readonly startMs: number
  readonly endMs: number
}

/** What one process saw of the traffic. Reads in the order in which they were asked for. */
export interface TrafficLog {
  readonly askedMs: Float64Array
  readonly waitsMs: Float64Array
  /** How old the answer was when it was given: since the row's `touched_ms`. */
  readonly agesMs: Float64Array
  readonly failures: number
  /** When this process stood still: from one look at the time to the next, where that came more than 20 ms late. */
  readonly standstills: readonly { readonly fromMs: number; readonly untilMs: number }[]
  /** Processor time of this process over all of it, kernel included. */
  readonly cpuMs: number
  readonly loads: readonly SeenLoad[]
}

export interface TrafficTalk extends Talk {
  open(place: Place, choice: ReaderChoice): Promise<void>
  /** Reads the ids one after the other. */
  practise(ids: readonly number[]): Promise<void>
  /** Reads the ids all at once. */
  fill(ids: readonly number[]): Promise<void>
  run(traffic: Traffic): Promise<TrafficLog>
  close(): Promise<void>
}

/** A process that looks at the time so much later than it wanted to has not had a processor, or has not let go of it. */
const STANDSTILL_MS = 20

let reader: RowReader

/** Each read has its time, and a process that was held up makes up for it: it does not spare the cache the reads it missed. */
async function run({ ids, perSecond, startMs, endMs }: Traffic): Promise<TrafficLog> {
  const { connections } = reader
  connections.loads.length = 0
  const cpuBefore = process.cpuUsage()
  const reads = Math.floor(((endMs - startMs) / 1_000) * perSecond)
  const log = {
    askedMs: new Float64Array(reads),
    waitsMs: new Float64Array(reads),
    agesMs: new Float64Array(reads),
    failures: 0,
    standstills: [] as { fromMs: number; untilMs: number }[],
  }
  const read = async (at: number) => {
    const askedMs = machineMs()
    log.askedMs[at] = askedMs
    const row = await reader.find(ids[at % ids.length] as number).catch(() => undefined)
    const answeredMs = machineMs()
    log.waitsMs[at] = answeredMs - askedMs
    log.agesMs[at] = row === undefined ? Number.NaN : answeredMs - row.touched_ms
    if (row === undefined) log.failures++
  }
  const under: Promise<void>[] = []
  for (let at = 0; at < reads; ) {
    const due = Math.min(reads, Math.ceil(((machineMs() - startMs) / 1_000) * perSecond))
    for (; at < due; at++) under.push(read(at))
    const fromMs = machineMs()
    await new Promise((resolve) => setTimeout(resolve, 1))
    const untilMs = machineMs()
    if (untilMs - fromMs > STANDSTILL_MS) log.standstills.push({ fromMs, untilMs })
  }
  await Promise.all(under)
  // Refreshes nobody waited for.
  while (connections.loadsUnderWay > 0) await new Promise((resolve) => setTimeout(resolve, 5))
  const { user, system } = process.cpuUsage(cpuBefore)
  return { ...log, cpuMs: (user + system) / 1_000, loads: [...connections.loads] }
}

const talk: TrafficTalk = {
  async open(place, choice) {
    reader = openReader(place, choice)
  },
  async practise(ids) {
    for (const id of ids) await reader.find(id)
  },
  async fill(ids) {
    await Promise.all(ids.map((id) => reader.find(id)))
  },
  run,
  close: () => reader.close(),
}

answerQuestions(talk)
