import { Redis } from 'ioredis'
import { Kysely, PostgresDialect } from 'kysely'
import pg from 'pg'
import { CorralSide } from './corral.js'
import { HandWrittenSide } from './naive.js'
import type { Shop } from './shop.js'
import type { Side, SideName } from './side.js'
import { StatementCounter } from './statements.js'

/** Where a side finds its servers, and the first part of its keys in Redis. */
export interface Place {
  readonly postgresUrl: string
  readonly redisUrl: string
  readonly namespace: string
}

/** A side with its connections. Those are made the same way for both sides. */
export interface OpenSide {
  readonly side: Side
  readonly db: Kysely<Shop>
  readonly statements: StatementCounter
  close(): Promise<void>
}

/** Connects to the shop's database. `statements` sees every statement that is sent. */
export function connectShop(postgresUrl: string, statements = new StatementCounter()): Kysely<Shop> {
  const pool = new pg.Pool({ connectionString: postgresUrl, max: 10 })
  return new Kysely<Shop>({
    dialect: new PostgresDialect({ pool }),
    log: ({ query }) => statements.count(query.sql),
  })
}

/**
 * Opens a side on connections of its own.
 *
 * @param patience how long Corral may wait for Redis. Default: Corral's own.
 */
export function openSide(name: SideName, place: Place, patience?: { readonly deadlineMs: number }): OpenSide {
  const statements = new StatementCounter()
  const db = connectShop(place.postgresUrl, statements)
  const redis = new Redis(place.redisUrl)
  const { namespace } = place
  const side =
    name === 'corral'
      ? new CorralSide({ db, redis, namespace, ...(patience && { cache: patience }) })
      : new HandWrittenSide({ db, redis, namespace })
  return {
    side,
    db,
    statements,
    close: async () => {
      await side.close()
      redis.disconnect()
      await db.destroy()
    },
  }
}
