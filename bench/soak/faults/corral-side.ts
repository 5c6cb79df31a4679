import { AsyncLocalStorage } from 'node:async_hooks'
import { Cluster, Redis } from 'ioredis'
import { Kysely, PostgresDialect } from 'kysely'
import { RedisStore } from '../../../src/adapters/redis/redis-store.js'
import { createWithSeams } from '../../../src/client.js'
import { type Clock, systemClock } from '../../../src/core/clock.js'
import type { CorralEvent } from '../../../src/index.js'
import { compareAtRest, type RestRecord, type ScannableRedis } from '../../../src/testing.js'
import { ablate } from './ablation.js'
import type { ActorChoice, RedisPlace } from './actor-talk.js'
import { type Counts, count } from './counts.js'
import { Failpoint } from './failpoint-store.js'
import { ALL_IDS, type Product, type Shop } from './shop.js'
import type { Side } from './side.js'
import { watchedPool } from './watched-pool.js'

const FRESH_MS = 20_000
/** Short enough for a run to see what comes after them. */
export const BUS = { heartbeatMs: 500, trustMs: 1_500 }
const LEASE = { maxMs: 2_000 }
const FENCE_MS = 6_000
const CONCURRENCY = 8
/** A gate for the primary and one for the standby, and what a transaction reads by itself. */
export const LOADS_AT_ONCE = 2 * CONCURRENCY
/** Low enough that a run has hot rows. */
const HOT = { perSecond: 15, share: 0.05, cooldownMs: 5_000 }

/** Thrown by a transaction that is to be rolled back. */
class Undone extends Error {
  readonly versions: readonly (string | null)[]

  constructor(versions: readonly (string | null)[]) {
    super('undone')
    this.versions = versions
  }
}

export interface OpenCorralSide extends Side {
  readonly failpoint: Failpoint
  shiftClock(ms: number): void
}

export function openRedis(place: RedisPlace): Redis | Cluster {
  const client =
    'url' in place
      ? new Redis(place.url, { lazyConnect: true })
      : new Cluster([...place.nodes], { lazyConnect: true, slotsRefreshInterval: 1_000, redisOptions: {} })
  // Without a listener ioredis prints what the commands report anyway.
  client.on('error', () => {})
  return client
}

/** The shipped SDK, on a clock that can be shifted and a store that can die. */
export function openCorralSide(
  choice: ActorChoice,
  onEvent: (event: CorralEvent) => void,
  counts: () => Counts,
): OpenCorralSide {
  ablate(choice.without)
  const failpoint = new Failpoint()
  failpoint.fencesAreLies = choice.without.includes('fence')
  const clock = new ShiftedClock(choice.clockShiftMs)
  const db = openShop(choice.postgresUrl, counts)
  const replica = choice.replicaUrl === undefined ? {} : { db: openShop(choice.replicaUrl, counts) }
  const redis = openRedis(choice.redis)
  const { namespace } = choice
  const lookups = new AsyncLocalStorage<{ fromMemory: boolean }>()
  const corral = createWithSeams<Shop>(
    {
      ...{ db, redis, namespace, replica, secret: 'of the fault runs' },
      relay: choice.kind === 'relay' && !choice.without.includes('relay'),
      ttl: { freshMs: FRESH_MS, absentMs: 3_000, graceMs: 5_000 },
      hotKeys: HOT,
      bus: BUS,
      lease: LEASE,
      cache: { fenceMs: FENCE_MS },
      load: { concurrency: CONCURRENCY },
      l1: { maxEntries: choice.l1 ? 10_000 : 0 },
      onEvent: (event: CorralEvent) => {
        onEvent(event)
        const lookup = lookups.getStore()
        if (lookup && event.type === 'hit' && event.tier === 'l1') lookup.fromMemory = true
        count(counts().events, labelOf(event))
      },
    },
    { clock, store: failpoint.over(new RedisStore({ client: redis, namespace, clock })) },
  )
  const products = corral.repository('products', {
    key: 'id',
    unique: ['slug'],
    onWrite: choice.onWrite,
    hotKeys: { copies: 2 },
    queryBy: ['shelf'],
    loadFrom: choice.replicaUrl === undefined ? 'primary' : 'replica',
  })
  const shelf = corral.query('on a shelf', (kysely: Kysely<Shop>, { shelf }: { shelf: number }) =>
    kysely.selectFrom('products').selectAll().where('shelf', '=', shelf).orderBy('id'),
  )
  const restTable = { table: 'products', key: 'id', unique: ['slug'] }
  return {
    failpoint,
    products: products as never,
    shiftClock: (ms) => {
      clock.shiftMs = ms
    },
    async findBySlug(slug) {
      const lookup = { fromMemory: false }
      const row = await lookups.run(lookup, () => products.findBy({ slug }) as Promise<Product | undefined>)
      return { row, ...lookup }
    },
    onShelf: (number, readChoice) => shelf({ shelf: number }, readChoice as never) as Promise<readonly Product[]>,
    async together(ids, stock, undo) {
      try {
        const { value, fence } = await corral.transaction(async (tx) => {
          const versions: (string | null)[] = []
          // In one order everywhere, or transactions would wait for each other.
          for (const id of [...ids].sort((a, b) => a - b)) {
            versions.push((await products.in(tx).update(id, { stock }))?.version ?? null)
          }
          if (undo) throw new Undone(versions)
          return versions
        })
        return { versions: value, fence }
      } catch (error) {
        if (error instanceof Undone) return { versions: error.versions, fence: 'rolled-back' }
        throw error
      }
    },
    session: (token) => corral.session(token),
    async cacheAtRest() {
      // A cluster names its nodes once it is connected, and nobody else has use for this client.
      if (redis.status === 'wait') await redis.connect()
      const { records } = await compareAtRest({
        ...{ db, namespace, tables: [restTable] },
        redis: redis as unknown as ScannableRedis,
      })
      return records
    },
    async memoryAtRest(): Promise<readonly RestRecord[]> {
      const memory = { repository: products, ids: ALL_IDS }
      const { records } = await compareAtRest({
        ...{ db, namespace, process: choice.name },
        tables: [{ ...restTable, memory: memory as never }],
      })
      return records
    },
    role: () => corral.stats().relay,
    async close() {
      await corral.close()
      redis.disconnect()
      await db.destroy()
      await replica.db?.destroy()
    },
  }
}

export function openShop(url: string, counts: () => Counts): Kysely<Shop> {
  return new Kysely<Shop>({ dialect: new PostgresDialect({ pool: watchedPool(url, counts) }) })
}

/** What events are counted under. */
function labelOf(event: CorralEvent): string {
  const { type } = event
  if (type === 'hit') return `hit ${event.tier}`
  if (type === 'miss') return `miss ${event.reason}`
  if (type === 'fill' || type === 'fence') return `${type} ${event.outcome}`
  if (type === 'bus.flush' || type === 'bus.refused' || type === 'replica.skipped') return `${type} ${event.reason}`
  if (type === 'background.failed') return `${type} ${event.task}`
  if (type === 'breaker' || type === 'outage') return `${type} ${event.state}`
  return type
}

/** The machine's clock, of which the time of day can be wrong and can jump. */
class ShiftedClock implements Clock {
  shiftMs: number
  readonly monotonicMs = systemClock.monotonicMs
  readonly sleep = systemClock.sleep
  readonly after = systemClock.after
  readonly endOfTick = systemClock.endOfTick
  readonly endOfTurn = systemClock.endOfTurn

  constructor(shiftMs: number) {
    this.shiftMs = shiftMs
  }

  wallMs(): number {
    return systemClock.wallMs() + this.shiftMs
  }
}
