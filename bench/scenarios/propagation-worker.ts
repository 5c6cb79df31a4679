/** One of two processes: it changes a row, or it reads the row as fast as it can and notes what it is given. */
import { machineMs } from '../../src/core/clock.js'
import { answerQuestions } from '../harness/answer-questions.js'
import { connect } from '../harness/connect.js'
import type { Talk } from '../harness/crew.js'
import type { Place } from '../harness/place.js'
import { openReader, type ReaderChoice } from '../harness/readers.js'
import { sharedUntil } from '../harness/shared-clock.js'

const ID = 1

/** A change as its writer saw it, on the shared clock. */
export interface Change {
  readonly stock: number
  /** The database had acknowledged the UPDATE, and with it the commit. */
  readonly committedMs: number
}

/** What a reader was given: when a value of `stock` was first and last the answer. */
export interface Sighting {
  readonly stock: number
  readonly firstMs: number
  readonly lastMs: number
}

export interface PropagationTalk extends Talk {
  open(place: Place, choice: ReaderChoice | 'pub/sub'): Promise<void>
  /** Gives the row `times` new values above `from`, one every `everyMs`. */
  write(from: number, times: number, everyMs: number): Promise<Change[]>
  /** Reads until `untilMs`, one answer after the other, giving way to the network in between. */
  watch(untilMs: number): Promise<Sighting[]>
}

interface Side {
  read(): Promise<number>
  /** Resolves with the time of the acknowledged commit. */
  write(stock: number): Promise<number>
}

let side: Side

const talk: PropagationTalk = {
  async open(place, choice) {
    side = choice === 'pub/sub' ? await pubSubSide(place) : readerSide(place, choice)
    await side.read()
  },
  async write(from, times, everyMs) {
    const changes: Change[] = []
    const startMs = machineMs()
    for (let time = 1; time <= times; time++) {
      await sharedUntil(startMs + time * everyMs)
      changes.push({ stock: from + time, committedMs: await side.write(from + time) })
    }
    return changes
  },
  async watch(untilMs) {
    const sightings = new Map<number, Sighting>()
    while (machineMs() < untilMs) {
      const stock = await side.read()
      const nowMs = machineMs()
      sightings.set(stock, { stock, firstMs: sightings.get(stock)?.firstMs ?? nowMs, lastMs: nowMs })
      await new Promise((resolve) => setImmediate(resolve))
    }
    return [...sightings.values()]
  },
}

function readerSide(place: Place, choice: ReaderChoice): Side {
  const { connections, find, update } = openReader(place, choice)
  return {
    read: async () => (await find(ID))?.stock ?? -1,
    write: async (stock) => {
      await update(ID, stock)
      return connections.lastUpdateMs
    },
  }
}

/** The least anybody can do: the writer publishes the new value after its commit, the reader shows what it has heard last. */
async function pubSubSide(place: Place): Promise<Side> {
  const connections = connect(place)
  const { db, redis } = connections
  const channel = `${place.namespace}:raw`
  const subscriber = redis.duplicate()
  let heard = -1
  subscriber.on('message', (_, stock: string) => {
    heard = Number(stock)
  })
  await subscriber.subscribe(channel)
  return {
    read: async () => heard,
    write: async (stock) => {
      await db.updateTable('products').set({ stock }).where('id', '=', ID).returningAll().executeTakeFirst()
      await redis.publish(channel, String(stock))
      return connections.lastUpdateMs
    },
  }
}

answerQuestions(talk)
