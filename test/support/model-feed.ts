import type { Clock } from '../../src/core/clock.js'
import type { ChangeFeed, ChangePage, ChangeReader, ChangeSource, SourceChange } from '../../src/core/ports.js'
import type { TableModel } from './table-model.js'

const PAGE = 3

/** `ChangeFeed` over a `TableModel`: what an outbox is to Postgres. One leader at a time; what is settled outlives them. */
export class ModelFeed implements ChangeFeed {
  epoch = 0
  readonly #table: TableModel
  readonly #clock: Pick<Clock, 'monotonicMs'>
  readonly #settled: { readonly atMs: number; readonly position: number }[] = []
  #isLed = false
  #isCut = false

  constructor(table: TableModel, clock: Pick<Clock, 'monotonicMs'>) {
    this.#table = table
    this.#clock = clock
  }

  /** The leader's connection to the database is gone, and with it the lead. */
  cut(): void {
    this.#isLed = false
    this.#isCut = true
  }

  async lead(work: (source: ChangeSource) => Promise<void>): Promise<boolean> {
    if (this.#isLed) return false
    this.#isLed = true
    this.#isCut = false
    try {
      await work(this.#source())
      return true
    } finally {
      this.#isLed = false
    }
  }

  #source(): ChangeSource {
    const connected = <Answer>(answer: Answer): Promise<Answer> =>
      this.#isCut ? Promise.reject(new Error('the connection was lost')) : Promise.resolve(answer)
    let position = this.#settled.at(-1)?.position ?? 0
    return {
      read: () => {
        const page = this.#page(position)
        position += page.changes.length
        return connected(page)
      },
      settle: () => connected(void this.#settled.push({ atMs: this.#clock.monotonicMs(), position })),
      replay: (windowMs) => connected(this.#replay(windowMs)),
      prune: () => connected(undefined),
      describe: (entity) => connected({ roots: [entity], types: new Map() }),
      epoch: (least) => {
        this.epoch = Math.max(this.epoch, least)
        return connected(this.epoch)
      },
    }
  }

  #replay(windowMs: number): ChangeReader {
    const last = this.#settled.at(-1)?.atMs ?? 0
    let position = this.#settled.findLast(({ atMs }) => atMs <= last - windowMs)?.position ?? 0
    return {
      read: async () => {
        const page = this.#page(position)
        position += page.changes.length
        return page
      },
    }
  }

  #page(position: number): ChangePage {
    const log = this.#table.log.slice(position, position + PAGE)
    const changes = log.map((change): SourceChange => {
      if (change === 'truncate') return { kind: 'truncate', entity: 'public.products' }
      const { id, version, xid, absent } = change
      const none = { lookups: [], values: [] }
      return { kind: 'row', entity: 'public.products', id: [id], version, xid, absent, ...none }
    })
    const hasMore = position + changes.length < this.#table.log.length
    return { changes, hasMore, isGap: false, lagMs: 0 }
  }
}
