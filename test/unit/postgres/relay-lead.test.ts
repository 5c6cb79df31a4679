import {
  type CompiledQuery,
  type DatabaseConnection,
  Kysely,
  PostgresAdapter,
  PostgresIntrospector,
  PostgresQueryCompiler,
  sql,
} from 'kysely'
import { beforeEach, describe, expect, it } from 'vitest'
import type { AnyDatabase } from '../../../src/adapters/postgres/catalog-query.js'
import { withinLimit } from '../../../src/adapters/postgres/relay-connection.js'
import { leadRelay } from '../../../src/adapters/postgres/relay-lead.js'
import { type Deferred, deferred } from '../../support/deferred.js'
import { ManualClock, settle } from '../../support/manual-clock.js'

/** One connection of a pool whose driver is node-postgres, or another that sends whatever it is given. */
class Connection implements DatabaseConnection {
  readonly asked: string[] = []
  /** Of statements with this text in them, none is answered. */
  deaf = 'nothing'
  late: Deferred<void> | undefined
  isCut = false
  isReleased = false
  readonly #canBeCut: boolean

  constructor(canBeCut: boolean) {
    this.#canBeCut = canBeCut
  }

  async executeQuery<Row>({ sql: text }: CompiledQuery): Promise<{ rows: Row[] }> {
    const asked: unknown = text
    if (this.#canBeCut && isSubmittable(asked)) {
      asked.submit({ stream: { destroy: () => this.#cut() } })
      process.nextTick(() => asked.handleError())
      return { rows: [] }
    }
    if (this.isCut) throw new Error('the connection is cut')
    this.asked.push(String(text))
    if (text.includes(this.deaf)) {
      this.late = deferred()
      await this.late.promise
    }
    const rows = text.includes('pg_try_advisory_lock') ? [{ got: '1' }] : []
    return { rows: rows as Row[] }
  }

  streamQuery(): never {
    throw new Error('nobody streams here')
  }

  #cut(): void {
    this.isCut = true
    this.late?.reject(new Error('the connection was cut'))
  }
}

function isSubmittable(text: unknown): text is {
  submit(connection: { stream: { destroy(): void } }): void
  handleError(): void
} {
  return typeof text === 'object' && text !== null && 'submit' in text
}

function poolOf(connection: Connection): AnyDatabase {
  const driver = {
    init: async () => {},
    acquireConnection: async () => connection,
    releaseConnection: async () => {
      connection.isReleased = true
    },
    beginTransaction: async () => {},
    commitTransaction: async () => {},
    rollbackTransaction: async () => {},
    destroy: async () => {},
  }
  return new Kysely({
    dialect: {
      createAdapter: () => new PostgresAdapter(),
      createDriver: () => driver,
      createQueryCompiler: () => new PostgresQueryCompiler(),
      createIntrospector: (db) => new PostgresIntrospector(db),
    },
  })
}

let clock: ManualClock

beforeEach(() => {
  clock = new ManualClock()
})

/** Leads over it, and says how that has ended. */
function lead(connection: Connection, work: (db: AnyDatabase) => Promise<unknown>) {
  const end = { isLed: undefined as boolean | undefined, error: undefined as unknown }
  const led = async (db: AnyDatabase) => void (await work(db))
  leadRelay(poolOf(connection), 'shop', led, clock).then(
    (isLed) => {
      end.isLed = isLed
    },
    (error) => {
      end.error = error
    },
  )
  return end
}

const look = (db: AnyDatabase) => sql`select looked`.execute(db)

describe('a leader whose connection falls silent', () => {
  it('gives it up after ten seconds, cuts it, and lets the pool have it back', async () => {
    const connection = new Connection(true)
    connection.deaf = 'looked'
    const end = lead(connection, look)
    await clock.advance(9_999)
    expect(end).toEqual({ isLed: undefined, error: undefined })
    await clock.advance(1)
    expect(String(end.error)).toContain('no answer within 10000 ms')
    expect([connection.isCut, connection.isReleased]).toEqual([true, true])
    expect(clock.timers).toBe(0)
  })

  it('asks nothing more over it, and is told at once why', async () => {
    const connection = new Connection(false)
    connection.deaf = 'looked'
    const reasons: string[] = []
    const end = lead(connection, async (db) => {
      for (const _ of [1, 2]) await look(db).catch((error) => reasons.push(String(error)))
    })
    await clock.advance(10_000)
    expect(reasons).toHaveLength(2)
    expect(reasons[1]).toBe(reasons[0])
    expect(end.isLed, 'whatever the work has made of it').toBe(true)
    expect(connection.asked.filter((text) => text.includes('looked'))).toHaveLength(1)
  })

  it('that cannot be cut leaves it behind, and gives up the lock on it before anybody else has it', async () => {
    const connection = new Connection(false)
    connection.deaf = 'looked'
    const end = lead(connection, look)
    await clock.advance(10_000)
    expect(String(end.error)).toContain('no answer')
    expect(connection.isReleased, 'whoever had it next would wait in its place').toBe(false)
    expect(connection.asked.join()).not.toContain('pg_advisory_unlock')
    connection.late?.resolve()
    await settle()
    expect(connection.asked.at(-1)).toContain('pg_advisory_unlock')
    expect(connection.isReleased).toBe(true)
  })

  it('that may have got the lock without hearing of it gives it up, too', async () => {
    const connection = new Connection(false)
    connection.deaf = 'pg_try_advisory_lock'
    lead(connection, look)
    await clock.advance(10_000)
    connection.late?.resolve()
    await settle()
    expect(connection.asked.at(-1)).toContain('pg_advisory_unlock')
  })

  it.each(['pg_try_advisory_lock', 'pg_settings', 'pg_advisory_unlock'])(
    'is none any more, if it was one: %s is not answered',
    async (deaf) => {
      const connection = new Connection(true)
      connection.deaf = deaf
      const end = lead(connection, async () => {})
      await clock.advance(10_000)
      if (deaf === 'pg_advisory_unlock') expect(end.isLed, 'it had been to the end').toBe(true)
      else expect(String(end.error)).toContain('no answer within 10000 ms')
      expect([connection.isCut, connection.isReleased]).toEqual([true, true])
    },
  )
})

it('a statement that says so may take longer', async () => {
  const connection = new Connection(true)
  connection.deaf = 'pruned'
  const end = lead(connection, (db) => withinLimit(60_000, sql`select pruned`).execute(db))
  await clock.advance(59_999)
  expect(connection.isCut).toBe(false)
  connection.late?.resolve()
  await settle()
  expect(end.isLed).toBe(true)
  expect(connection.isReleased).toBe(true)
})
