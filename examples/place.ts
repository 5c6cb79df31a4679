import { Redis } from 'ioredis'
import { Kysely, PostgresDialect } from 'kysely'
import pg from 'pg'

/** Where an example runs. */
export interface Place {
  readonly databaseUrl: string
  readonly redisUrl: string
  /** 0: any free one. */
  readonly port: number
}

/** A service that is running. */
export interface Service {
  readonly url: string
  close(): Promise<void>
}

/** What an application brings along: its own Kysely and its own Redis client. It closes them itself, Corral never does. */
export function connect<Database>({ databaseUrl, redisUrl }: Place) {
  const pool = new pg.Pool({ connectionString: databaseUrl })
  const db = new Kysely<Database>({ dialect: new PostgresDialect({ pool }) })
  const redis = new Redis(redisUrl)
  // Corral goes on without Redis and while Postgres restarts; so should the process. Whoever waits for an answer is told.
  redis.on('error', () => {})
  pool.on('error', () => {})
  pool.on('connect', (client) => client.on('error', () => {}))
  return {
    db,
    redis,
    async close() {
      redis.disconnect()
      await db.destroy()
    },
  }
}
