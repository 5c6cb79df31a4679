/** A process that reads rows within a bound, over and over, and notes down what it was shown. */
import { setTimeout as sleep } from 'node:timers/promises'
import { History, type HistoryRecords, Observer } from '../../src/testing.js'
import { answerQuestions } from '../harness/answer-questions.js'
import { connect } from '../harness/connect.js'
import type { Talk } from '../harness/crew.js'
import type { Place } from '../harness/place.js'
import { openCorral } from '../harness/shop.js'

const PAUSE_MS = 5

export interface BoundedReaderTalk extends Talk {
  open(place: Place): Promise<void>
  /** Begins to read the rows from 1 to `rows`, one after the other. */
  begin(rows: number, maxStaleMs: number): void
  /** What was read until now. */
  end(): Promise<HistoryRecords>
}

const history = new History()
let find: (id: number, maxStaleMs: number) => Promise<unknown>
let going = true
let reading: Promise<void> | undefined

const talk: BoundedReaderTalk = {
  async open(place) {
    const { db, redis } = connect(place)
    const observer = new Observer({ process: 'bounded reader', history })
    const { products } = openCorral({ db, redis, namespace: place.namespace, onEvent: observer.onEvent })
    const observed = observer.watch(products, { name: 'products', key: 'id' })
    find = (id, maxStaleMs) => observed.find(id, { consistency: { maxStaleMs } })
  },
  begin(rows, maxStaleMs) {
    const read = async () => {
      for (let nth = 0; going; nth++) {
        await find(1 + (nth % rows), maxStaleMs)
        await sleep(PAUSE_MS)
      }
    }
    reading = read()
  },
  async end() {
    going = false
    await reading
    const { reads, writes, loads, atRest } = history
    return { reads, writes, loads, atRest }
  },
}

answerQuestions(talk)
