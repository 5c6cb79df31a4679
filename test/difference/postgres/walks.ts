import pg from 'pg'
import { readTable, type TableFacts } from '../../../src/adapters/postgres/catalog.js'
import type { Story } from '../story.js'
import { kyselyOn } from './kysely-on.js'
import { emptied, REQUEST } from './shop.js'
import { TwinSession } from './twin-session.js'
import { newWorld, Walk } from './walk.js'

const SESSIONS = 3
/** Less than the least time by which settled positions are told apart, as the walk lets it pass. */
const SLOW_MS = 1_400
const MAX_TRIES = 3

/** Random transactions of several sessions on a real Postgres and on the simulator's, each decided by its seed. */
export class PostgresWalks {
  readonly #watcher: pg.Client
  readonly #facts: TableFacts
  readonly #sessions: readonly TwinSession[]
  readonly #relay: TwinSession

  private constructor(watcher: pg.Client, facts: TableFacts, sessions: readonly TwinSession[], relay: TwinSession) {
    this.#watcher = watcher
    this.#facts = facts
    this.#sessions = sessions
    this.#relay = relay
  }

  /** @param url a database that `makeShop` has been run on, and nobody else uses. */
  static async open(url: string): Promise<PostgresWalks> {
    const watcher = new pg.Client({ connectionString: url })
    await watcher.connect()
    const db = kyselyOn(async (text, parameters) => (await watcher.query(text, [...parameters])).rows)
    const facts = await readTable(db, REQUEST)
    const world = newWorld(() => 0)
    const open = (name: string) => TwinSession.open(url, watcher, name, world)
    const sessions = await Promise.all(Array.from({ length: SESSIONS }, (_, nth) => open(`p${nth + 1}`)))
    return new PostgresWalks(watcher, facts, sessions, await open('relay'))
  }

  /** Runs one seed from an empty table to its end. One that took so long that the real server's own time counted is run again. */
  async run(seed: number): Promise<Story> {
    for (let tries = 1; ; tries++) {
      const startedMs = performance.now()
      await emptied(this.#watcher)
      const story = await new Walk(seed, this.#watcher, this.#facts, this.#sessions, this.#relay).run()
      const isSlow = performance.now() - startedMs > SLOW_MS
      if (story.difference === undefined || !isSlow || tries === MAX_TRIES) return story
    }
  }

  async close(): Promise<void> {
    await Promise.all([...this.#sessions, this.#relay].map((session) => session.close()))
    await this.#watcher.end()
  }
}
