import { Kysely, PostgresDialect } from 'kysely'
import pg from 'pg'
import { afterAll, onTestFinished } from 'vitest'
import { OutboxFeed } from '../../../src/adapters/postgres/outbox-feed.js'
import { SlotFeed, type SlotFeedOptions } from '../../../src/adapters/postgres/slot-feed.js'
import { systemClock } from '../../../src/core/clock.js'
import type { ChangeFeed, ChangePage, ChangeReader, ChangeSource, SourceChange } from '../../../src/core/ports.js'
import { Recorder } from '../../support/recorder.js'
import { execute } from '../../support/servers/database.js'
import { KeptPool } from '../../support/servers/kept-pool.js'
import { type PostgresServer, startPostgres } from '../../support/servers/postgres.js'

// biome-ignore lint/suspicious/noExplicitAny: tables are made up test by test
type AnyDatabase = Kysely<any>

/** A server with logical decoding, and a database for each test. */
export class SlotLab {
  readonly server: PostgresServer
  #url = ''
  #serial = 0

  private constructor(server: PostgresServer) {
    this.server = server
  }

  static async open(settings: Readonly<Record<string, string>> = {}): Promise<SlotLab> {
    const server = await startPostgres({
      own: true,
      settings: { wal_level: 'logical', max_replication_slots: '50', ...settings },
    })
    afterAll(() => server.stop())
    return new SlotLab(server)
  }

  async begin(): Promise<AnyDatabase> {
    this.#url = await this.server.createDatabase(`slots_${++this.#serial}`)
    return this.connect()
  }

  get url(): string {
    return this.#url
  }

  connect(url = this.#url): AnyDatabase {
    const db = new Kysely({ dialect: new PostgresDialect({ pool: new KeptPool(url, 3) }) })
    onTestFinished(() => db.destroy())
    return db
  }

  run(statement: string): Promise<Record<string, unknown>[]> {
    return execute(this.#url, statement)
  }

  /** One session, open until the test ends. */
  async session(): Promise<(statement: string) => Promise<Record<string, unknown>[]>> {
    const client = new pg.Client({ connectionString: this.#url })
    client.on('error', () => {})
    await client.connect()
    onTestFinished(() => client.end().catch(() => {}))
    return async (statement) => (await client.query(statement)).rows
  }

  feed(options: Partial<SlotFeedOptions> = {}): SlotFeed & { readonly events: Recorder } {
    const events = new Recorder()
    const feed = new SlotFeed({
      ...{ db: this.connect(), namespace: 'shop', connection: { connectionString: this.#url } },
      ...{ maxRows: 1_000, maxChanges: 10_000, clock: systemClock, emit: events.emit },
      ...options,
    })
    return Object.assign(feed, { events })
  }

  outboxFeed(): OutboxFeed {
    return new OutboxFeed({ db: this.connect(), clock: systemClock, namespace: 'other' })
  }

  /** The state of the one slot of this database. */
  async slot(): Promise<Record<string, unknown> | undefined> {
    const [slot] = await this.run(
      'select slot_name, confirmed_flush_lsn::text, active_pid, wal_status from pg_replication_slots where database = current_database()',
    )
    return slot
  }
}

/** Leads until `work` has ended, which gets the source after its first page. */
export async function leading(
  feed: ChangeFeed,
  work: (source: ChangeSource, first: ChangePage) => Promise<void>,
): Promise<void> {
  let failure: unknown
  const led = await feed.lead(async (source) => {
    try {
      await work(source, await source.read())
    } catch (error) {
      failure = error
    }
  })
  if (failure !== undefined) throw failure
  if (!led) throw new Error('somebody else leads')
}

/** Everything that has committed by now. */
export async function readAll(reader: ChangeReader): Promise<SourceChange[]> {
  const changes: SourceChange[] = []
  for (;;) {
    const page = await reader.read()
    if (page.isGap) throw new Error('a gap')
    changes.push(...page.changes)
    if (!page.hasMore) return changes
  }
}

/** As a line for each. Without values that are NULL: no query is bounded by one. */
export function told(changes: readonly SourceChange[]): string[] {
  return changes.map((change) => {
    if (change.kind !== 'row') return `${change.kind} ${change.entity}`
    const { entity, id, xid, version, absent, lookups, values } = change
    const leads = lookups.map(({ columns, value }) => `${columns}=${value.join('|')}`).sort()
    const has = values.flatMap(({ column, value }) => (value === null ? [] : [`${column}=${value}`])).sort()
    return [entity, id.join('|'), absent ? 'gone' : 'there', version, xid, ...leads, ...has].join(' ')
  })
}

/** The keys alone, to tell them apart. */
export function ids(changes: readonly SourceChange[]): string[] {
  return changes.map((change) => (change.kind === 'row' ? change.id.join('|') : change.kind))
}
