import { randomBytes } from 'node:crypto'
import { Redis } from 'ioredis'
import { type Generated, type GeneratedAlways, Kysely, PostgresDialect } from 'kysely'
import pg from 'pg'
import { type Corral, type CorralOptions, createCorral } from '../../src/index.js'

/** Everything the stories are about. Each replay makes the tables it needs. */
export interface Tables {
  slots: { id: number; remaining: number; corral_version: GeneratedAlways<string> }
  sales: { id: Generated<number>; slot_id: number }
  logins: { id: number; user_id: number; corral_version: GeneratedAlways<string> }
  accounts: { id: number; balance: number; revision: GeneratedAlways<number>; corral_version: GeneratedAlways<string> }
  products: { id: number; name: string; corral_version: GeneratedAlways<string> }
  orders: { id: number; state: string }
  parcels: { order_id: number }
  ledger: { order_id: number }
}

/** What one process of an application has: its own pool and its own Redis client. */
export interface Service {
  readonly db: Kysely<Tables>
  readonly redis: Redis
  close(): Promise<void>
}

export interface CorralService extends Service {
  readonly corral: Corral<Tables>
}

export function openDatabase(postgresUrl: string): Kysely<Tables> {
  const pool = new pg.Pool({ connectionString: postgresUrl, max: 10 })
  return new Kysely<Tables>({ dialect: new PostgresDialect({ pool }) })
}

export function openService(postgresUrl: string, redisUrl: string): Service {
  const db = openDatabase(postgresUrl)
  const redis = new Redis(redisUrl)
  redis.on('error', () => {})
  return {
    db,
    redis,
    close: async () => {
      redis.disconnect()
      await db.destroy()
    },
  }
}

/** On a busy machine a slow answer is no outage: without this the cache would simply be passed by, which proves nothing. */
const PATIENT = { deadlineMs: 1_000, fenceDeadlineMs: 1_000 }

export function openCorralService(
  postgresUrl: string,
  redisUrl: string,
  options: Omit<CorralOptions<Tables>, 'db' | 'redis'>,
): CorralService {
  const service = openService(postgresUrl, redisUrl)
  const { db, redis } = service
  const corral = createCorral<Tables>({ db, redis, cache: PATIENT, ...options })
  return {
    ...service,
    corral,
    close: async () => {
      await corral.close()
      await service.close()
    },
  }
}

/** Unlike any other on a Redis that may be shared. */
export function freshName(start: string): string {
  return `${start}-${randomBytes(4).toString('hex')}`
}

export async function closeAll(services: readonly { close(): Promise<unknown> }[]): Promise<void> {
  await Promise.all(services.map((service) => service.close()))
}
