/** One of the shop's processes: runs its part of the traffic against one side and writes down what it saw. */
import { machineMs } from '../../src/core/clock.js'
import type { ReadRecord, WriteRecord } from '../../src/testing.js'
import { sharedUntil } from '../harness/shared-clock.js'
import { type OpenSide, openSide } from './connect.js'
import type { Order, Report, WorkerLog } from './messages.js'
import { readImprint, rowName, type ShopTable } from './shop.js'
import type { Acknowledged } from './side.js'
import { type Happening, type Planned, planOf } from './traffic.js'

const PROGRESS_EVERY_MS = 500
const GIVE_UP_AFTER_MS = 250

class Worker {
  readonly #worker: number
  readonly #open: OpenSide
  readonly #reads: ReadRecord[] = []
  readonly #writes: WriteRecord[] = []
  readonly #failures: string[] = []

  constructor(worker: number, open: OpenSide) {
    this.#worker = worker
    this.#open = open
  }

  /** Makes the first connections, so that the traffic does not start with them. */
  async warmUp(): Promise<void> {
    await this.#perform({ what: 'page', id: 1 })
    this.#reads.length = 0
  }

  async run(startMs: number): Promise<WorkerLog> {
    const { side, statements } = this.#open
    const before = { loads: statements.loads, hits: side.hits }
    const progress = setInterval(() => {
      send({ report: 'progress', reads: this.#reads.length, writes: this.#writes.length })
    }, PROGRESS_EVERY_MS)
    await Promise.all(planOf(this.#worker).map((plan) => this.#follow(plan, startMs)))
    clearInterval(progress)
    const [loads, hits] = [statements.loads - before.loads, side.hits - before.hits]
    await this.#open.close()
    const { transactions } = statements
    return { reads: this.#reads, writes: this.#writes, failures: this.#failures, loads, hits, transactions }
  }

  /** Does one person's things in turn. What is too late by now is given up, so that a slow side is not swamped on top. */
  async #follow(plan: readonly Planned[], startMs: number): Promise<void> {
    for (const { dueMs, happening } of plan) {
      await sharedUntil(startMs + dueMs)
      if (machineMs() > startMs + dueMs + GIVE_UP_AFTER_MS) continue
      await this.#perform(happening).catch((error: Error) => this.#failures.push(error.message))
    }
  }

  async #perform(happening: Happening): Promise<void> {
    const { side } = this.#open
    const { id } = happening
    if (happening.what === 'price') await this.#write('products', id, side.changePrice(id, happening.priceCents))
    if (happening.what === 'sale') await this.#write('inventory', id, side.sellOne(id))
    // Whoever wrote looks at the result, as a browser does that is sent back to the page.
    await Promise.all([
      this.#read('products', id, () => side.product(id)),
      this.#read('inventory', id, () => side.stock(id)),
    ])
  }

  get #name(): string {
    return `process ${this.#worker}`
  }

  async #read(
    table: ShopTable,
    id: number,
    read: () => Promise<{ revision: number; imprint: string } | undefined>,
  ): Promise<void> {
    const row = rowName(table, id)
    const startedMs = machineMs()
    const found = await read()
    const endedMs = machineMs()
    const version = found === undefined ? null : String(found.revision)
    this.#reads.push({ process: this.#name, key: row, startedMs, endedMs, version, says: found && readImprint(found) })
  }

  async #write(table: ShopTable, id: number, write: Promise<Acknowledged>): Promise<void> {
    const startedMs = machineMs()
    const { revision, fenced } = await write
    this.#writes.push({
      ...{ process: this.#name, key: rowName(table, id), startedMs, endedMs: machineMs() },
      version: String(revision),
      outcome: fenced ? 'fenced' : 'pending',
    })
  }
}

function send(report: Report): void {
  // Nobody listens any more when the demonstration has ended early; `disconnect` then ends this process.
  process.send?.(report, () => {})
}

let worker: Worker | undefined

async function obey(order: Order): Promise<void> {
  switch (order.order) {
    case 'open':
      worker = new Worker(order.worker, openSide(order.side, order.place))
      await worker.warmUp()
      return send({ report: 'open' })
    case 'tell the time':
      return send({ report: 'time', nowMs: machineMs() })
    case 'run': {
      if (worker === undefined) throw new Error('told to run before it was opened')
      return send({ report: 'done', log: await worker.run(order.startMs) })
    }
  }
}

process.on('message', (order: Order) => {
  obey(order).catch((error: Error) => send({ report: 'failed', reason: error.stack ?? String(error) }))
})
// The demonstration is gone: nobody is left to report to.
process.on('disconnect', () => process.exit())
