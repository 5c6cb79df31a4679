import type { Clock } from '../../core/clock.js'
import type { ChangeFeed, ChangeSource } from '../../core/ports.js'
import type { AnyDatabase } from './catalog-query.js'
import { OutboxSource } from './outbox-source.js'
import { RelationDirectory } from './relation-directory.js'
import { leadRelay } from './relay-lead.js'

/** Rows of the outbox that one page has at most: enough to keep Redis busy, few enough to hold in memory. */
const PAGE_ROWS = 500

/** `ChangeFeed` over the outbox, which the leader reads on the same connection that it leads on. */
export class OutboxFeed implements ChangeFeed {
  readonly #db: AnyDatabase
  readonly #clock: Clock
  readonly #namespace: string
  readonly #pageRows: number
  readonly #directory: RelationDirectory

  constructor(options: {
    db: AnyDatabase
    clock: Clock
    namespace: string
    /** Default 500. */
    pageRows?: number
  }) {
    this.#db = options.db
    this.#clock = options.clock
    this.#namespace = options.namespace
    this.#pageRows = options.pageRows ?? PAGE_ROWS
    // Nothing is ever read behind a caller here: only `find` is used.
    this.#directory = new RelationDirectory({ db: options.db, clock: options.clock, behind: () => {} })
  }

  lead(work: (source: ChangeSource) => Promise<void>): Promise<boolean> {
    const [namespace, pageRows, directory] = [this.#namespace, this.#pageRows, this.#directory]
    const lead = async (db: AnyDatabase) => work(await OutboxSource.open({ db, namespace, pageRows, directory }))
    return leadRelay(this.#db, namespace, lead, this.#clock)
  }
}
