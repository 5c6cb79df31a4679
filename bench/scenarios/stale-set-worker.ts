/** One process that reads rows while another one changes them. */
import { answerQuestions, say } from '../harness/answer-questions.js'
import type { SeenLoad } from '../harness/connect.js'
import type { Talk } from '../harness/crew.js'
import type { Place } from '../harness/place.js'
import { openReader, type ReaderChoice, type RowReader } from '../harness/readers.js'

export interface StaleSetTalk extends Talk {
  /** Connects and reads the row of `practiceId`. */
  open(place: Place, choice: ReaderChoice, practiceId: number): Promise<void>
  /** The `stock` of each row, read all at once, and the SELECTs that took. Says `load` when one is sent. */
  read(ids: readonly number[]): Promise<{ readonly stocks: readonly number[]; readonly loads: readonly SeenLoad[] }>
  /** Sets the `stock` of each row, all at once. */
  update(ids: readonly number[], stock: number): Promise<void>
  close(): Promise<void>
}

let reader: RowReader

const talk: StaleSetTalk = {
  async open(place, choice, practiceId) {
    reader = openReader(place, choice)
    await reader.find(practiceId)
    reader.connections.onLoad = () => say('load')
  },
  async read(ids) {
    const { loads } = reader.connections
    loads.length = 0
    const stocks = await Promise.all(ids.map((id) => stockOf(id)))
    return { stocks, loads: [...loads] }
  },
  async update(ids, stock) {
    await Promise.all(ids.map((id) => reader.update(id, stock)))
  },
  close: () => reader.close(),
}

async function stockOf(id: number): Promise<number> {
  const row = await reader.find(id)
  if (row === undefined) throw new Error(`row ${id} was not found`)
  return row.stock
}

answerQuestions(talk)
