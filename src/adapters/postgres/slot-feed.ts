import { createHash } from 'node:crypto'
import { sql } from 'kysely'
import type { Clock } from '../../core/clock.js'
import { SourceError } from '../../core/errors.js'
import type { EmitEvent } from '../../core/events.js'
import type { ChangeFeed, ChangeSource } from '../../core/ports.js'
import type { AnyDatabase } from './catalog-query.js'
import { RelationDirectory } from './relation-directory.js'
import { leadRelay } from './relay-lead.js'
import { SlotSource } from './slot-source.js'
import type { ConnectionOptions } from './slot-stream.js'

const PAGE_ROWS = 500

/** `ChangeFeed` over a logical-replication slot. The lead is the outbox's: an advisory lock; the slot itself lets one read at a time, too. */
export class SlotFeed implements ChangeFeed {
  readonly #options: SlotFeedOptions
  readonly #directory: RelationDirectory

  constructor(options: SlotFeedOptions) {
    this.#options = options
    this.#directory = new RelationDirectory({ db: options.db, clock: options.clock, behind: () => {} })
  }

  lead(work: (source: ChangeSource) => Promise<void>): Promise<boolean> {
    const { namespace, name, pageRows = PAGE_ROWS, ...options } = this.#options
    const lead = async (db: AnyDatabase) => {
      const slot = name ?? (await slotName(db, namespace))
      const directory = this.#directory
      const source = await SlotSource.open({ ...options, db, namespace, slot, pageRows, directory })
      try {
        await work(source)
      } finally {
        await source.close()
      }
    }
    return leadRelay(this.#options.db, namespace, lead, this.#options.clock)
  }
}

export interface SlotFeedOptions {
  readonly db: AnyDatabase
  readonly namespace: string
  readonly connection: ConnectionOptions
  /** Of the slot. Default: made of the namespace and the database. */
  readonly name?: string | undefined
  readonly maxRows: number
  readonly maxChanges: number
  /** Default 500. */
  readonly pageRows?: number
  readonly clock: Clock
  readonly emit: EmitEvent
}

/** Names of slots are shared by all databases of a server, and made of few characters. */
export async function slotName(db: AnyDatabase, namespace: string): Promise<string> {
  try {
    const { rows } = await sql<{ name: string }>`select current_database()::text as name`.execute(db)
    const digest = createHash('sha256').update(`${rows[0]?.name}/${namespace}`).digest('hex').slice(0, 8)
    const readable = namespace
      .toLowerCase()
      .replace(/[^a-z0-9]+/g, '_')
      .slice(0, 40)
    return `corral_${readable}_${digest}`
  } catch (error) {
    throw new SourceError('asking for the name of the database', error)
  }
}
