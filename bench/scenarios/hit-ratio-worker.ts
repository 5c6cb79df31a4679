/** One process that plays its part of a stream of requests in real time, and writes down what it was given. */
import { machineMs } from '../../src/core/clock.js'
import { answerQuestions } from '../harness/answer-questions.js'
import type { Talk } from '../harness/crew.js'
import type { Place } from '../harness/place.js'
import { openReader, type ReaderChoice, type RowReader } from '../harness/readers.js'

/** Requests of one process: times from the start of the stream, ids, and what a write puts into `stock` (0: a read). */
export interface Part {
  readonly atMs: Float64Array
  readonly ids: Uint32Array
  readonly writes: Uint32Array
}

export interface PartLog {
  readonly reads: readonly {
    readonly id: number
    readonly startedMs: number
    readonly waitMs: number
    readonly stock: number
  }[]
  readonly writes: readonly { readonly id: number; readonly acknowledgedMs: number; readonly stock: number }[]
  readonly hits: { readonly l1: number; readonly l2: number }
  /** Rows that SELECTs asked for. */
  readonly loads: number
  /** Rows of which only the stamp was asked for: whoever publishes makes sure that its row is still there. */
  readonly stampsRead: number
  readonly failures: number
}

export interface HitRatioTalk extends Talk {
  /** Connects and reads the row of `practiceId`. */
  open(place: Place, choice: ReaderChoice, practiceId: number): Promise<void>
  play(part: Part, startMs: number): Promise<PartLog>
  close(): Promise<void>
}

let reader: RowReader

async function play({ atMs, ids, writes }: Part, startMs: number): Promise<PartLog> {
  const { connections } = reader
  connections.loads.length = 0
  connections.stampsRead = 0
  const hitsBefore = { ...(reader.hits ?? { l1: 0, l2: 0 }) }
  const log = { reads: [] as PartLog['reads'][number][], writes: [] as PartLog['writes'][number][], failures: 0 }
  // Writes of one row follow each other, or their numbers would not say which is the newer one.
  const lastWrite = new Map<number, Promise<unknown>>()
  const read = async (id: number) => {
    const startedMs = machineMs()
    const row = await reader.find(id)
    if (row === undefined) throw new Error(`row ${id} is missing`)
    log.reads.push({ id, startedMs, waitMs: machineMs() - startedMs, stock: row.stock })
  }
  const write = async (id: number, stock: number) => {
    await lastWrite.get(id)
    await reader.update(id, stock)
    log.writes.push({ id, acknowledgedMs: machineMs(), stock })
  }
  const under: Promise<unknown>[] = []
  for (let at = 0; at < atMs.length; ) {
    const nowMs = machineMs() - startMs
    for (; at < atMs.length && (atMs[at] as number) <= nowMs; at++) {
      const id = ids[at] as number
      const stock = writes[at] as number
      const acting = (stock === 0 ? read(id) : write(id, stock)).catch(() => log.failures++)
      if (stock !== 0) lastWrite.set(id, acting)
      under.push(acting)
    }
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
  await Promise.all(under)
  // Refreshes nobody waited for.
  while (connections.loadsUnderWay > 0) await new Promise((resolve) => setTimeout(resolve, 5))
  const { l1 = 0, l2 = 0 } = reader.hits ?? {}
  const loads = connections.loads.reduce((sum, { rows }) => sum + rows, 0)
  return { ...log, hits: { l1: l1 - hitsBefore.l1, l2: l2 - hitsBefore.l2 }, loads, stampsRead: connections.stampsRead }
}

const talk: HitRatioTalk = {
  async open(place, choice, practiceId) {
    reader = openReader(place, choice)
    await reader.find(practiceId)
  },
  play,
  close: () => reader.close(),
}

answerQuestions(talk)
