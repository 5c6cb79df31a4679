/** One process of a fault run. */
import { History } from '../../../src/testing.js'
import { answerQuestions, say } from '../../harness/answer-questions.js'
import type { ActorTalk, ActorWord } from './actor-talk.js'
import { openByHandSide } from './by-hand-side.js'
import { type OpenCorralSide, openCorralSide } from './corral-side.js'
import { type Counts, noCounts } from './counts.js'
import { Observers } from './observers.js'
import type { Side } from './side.js'
import { Traffic } from './traffic.js'

/** What a process that is killed takes along is at most so old. */
const TELL_EVERY_MS = 150

let rows = new History()
let queries = new History()
let lookups = new History()
let counts: Counts = noCounts()
let side: (Side & Partial<OpenCorralSide>) | undefined
let traffic: Traffic | undefined

/** Histories that are emptied whenever they are told. */
const notes = { rows: forwarding(() => rows), queries: forwarding(() => queries), lookups: forwarding(() => lookups) }

function forwarding(to: () => History): History {
  const history = new History()
  for (const kind of ['read', 'write', 'load', 'rest'] as const) {
    history[kind] = (record: never) => to()[kind](record)
  }
  return history
}

function tell(): void {
  const word: ActorWord = { records: rows, queries, lookups, counts }
  say(JSON.stringify(word))
  rows = new History()
  queries = new History()
  lookups = new History()
  counts = noCounts()
}

function opened(): Side & Partial<OpenCorralSide> {
  if (side === undefined) throw new Error('not opened')
  return side
}

const talk: ActorTalk = {
  async open(choice) {
    const observers = new Observers(choice.name, notes.rows)
    const getCounts = () => counts
    side =
      choice.kind === 'by-hand'
        ? openByHandSide(choice, getCounts)
        : openCorralSide(choice, observers.onEvent, getCounts)
    const parts = { name: choice.name, side, ...notes, observers, counts: getCounts, seed: choice.seed }
    traffic = new Traffic(parts)
    traffic.onSession = (session, token, id) => say(JSON.stringify({ session, token, id } satisfies ActorWord))
    setInterval(tell, TELL_EVERY_MS)
    // A relay reads the outbox, whatever tables there are; whoever serves wants the table opened before the traffic comes.
    await side.products.find(1).catch(() => undefined)
    return process.pid
  },
  pace: (pace) => traffic?.pace(pace),
  rest: async () => traffic?.rest(),
  follow: (session, token, id) => traffic?.follow(session, token, id),
  shiftClock: (ms) => opened().shiftClock?.(ms),
  dieAtNextFence: () => {
    const { failpoint } = opened()
    if (failpoint) failpoint.isArmed = true
  },
  role: () => opened().role(),
  memoryAtRest: async () => opened().memoryAtRest(),
  cacheAtRest: () => opened().cacheAtRest(),
  async close() {
    traffic?.end()
    await opened().close()
    tell()
  },
}

answerQuestions(talk)
