import { type Cluster, Redis } from 'ioredis'
import { type Generated, Kysely, PostgresDialect, sql } from 'kysely'
import pg from 'pg'
import { onTestFinished } from 'vitest'
import { RedisStore } from '../../src/adapters/redis/redis-store.js'
import { type Corral, type CorralOptions, createCorral, createWithSeams } from '../../src/client.js'
import { systemClock } from '../../src/core/clock.js'
import { type CacheKey, cacheKey, keyPrefix } from '../../src/core/key.js'
import { stampTable } from '../../src/migrations.js'
import { PausableStore } from './pausable-store.js'
import { Recorder } from './recorder.js'
import { execute } from './servers/database.js'
import { KeptPool } from './servers/kept-pool.js'
import { waitUntil } from './servers/wait.js'
import { freshDatabase, freshNamespace, redisUrl } from './services.js'

export interface ShopDatabase {
  products: {
    id: Generated<number>
    slug: string | null
    price: Generated<number>
    /** Computed by the database from the slug. */
    slug_key: Generated<string | null>
    details: Generated<unknown>
    corral_version: Generated<string>
  }
}

/** A machine that runs other tests as well must not look like a cache that does not answer. */
const PATIENT = { deadlineMs: 1_000, fenceDeadlineMs: 2_000 }

/** One instance of Corral, as one process of an application has it. */
export interface ShopProcess {
  readonly corral: Corral<ShopDatabase>
  readonly products: ReturnType<typeof openProducts>
  readonly events: Recorder
  /** This instance's own way to Redis, where it can be paused and broken. */
  readonly cache: PausableStore
  readonly db: Kysely<ShopDatabase>
}

export interface ShopProcessOptions extends Partial<Omit<CorralOptions<ShopDatabase>, 'db' | 'redis' | 'onEvent'>> {
  readonly databaseUrl?: string
  readonly redisUrl?: string
  /** True: what this instance writes is not told to the others, as when a message takes its time. */
  readonly isMute?: boolean
}

/** A shop in a database of its own, and as many processes over it as a test needs, all of them closed when it ends. */
export class ShopLab {
  readonly databaseUrl: string
  readonly namespace = freshNamespace()
  readonly #watcher: Kysely<ShopDatabase>

  private constructor(databaseUrl: string) {
    this.databaseUrl = databaseUrl
    this.#watcher = openShopDatabase(databaseUrl, 1)
  }

  /** @param databaseUrl an empty database. Default: a fresh one of the shared server. */
  static async open(databaseUrl?: string): Promise<ShopLab> {
    const lab = new ShopLab(databaseUrl ?? (await freshDatabase()))
    await createProducts(lab.#watcher)
    await lab.#watcher.destroy()
    return lab
  }

  start(options: ShopProcessOptions = {}): ShopProcess {
    const { databaseUrl = this.databaseUrl, redisUrl: url = redisUrl(), isMute = false, ...rest } = options
    const namespace = rest.namespace ?? this.namespace
    const db = openShopDatabase(databaseUrl)
    const redis = new Redis(url, { lazyConnect: true })
    redis.on('error', () => {})
    const events = new Recorder()
    const cache = new PausableStore(new RedisStore({ client: redis, namespace, clock: systemClock }), systemClock)
    const corral = createWithSeams(
      { db, redis, onEvent: events.emit, l1: { maxEntries: 0 }, cache: PATIENT, ...rest, namespace },
      { store: cache, ...(isMute ? { channel: null } : {}) },
    )
    onTestFinished(async () => {
      await corral.close()
      redis.disconnect()
      await db.destroy().catch(() => {})
    })
    return { corral, products: openProducts(corral), events, cache, db }
  }

  /** A process over a client as its application has made it, with nothing in between. */
  startOver(redis: Redis | Cluster, cache: ShopProcessOptions['cache'] = PATIENT) {
    const db = openShopDatabase(this.databaseUrl)
    redis.on('error', () => {})
    const events = new Recorder()
    const { namespace } = this
    const corral = createCorral({ db, redis, namespace, cache, onEvent: events.emit, l1: { maxEntries: 0 } })
    onTestFinished(async () => {
      await corral.close()
      redis.disconnect()
      await db.destroy()
    })
    return { corral, products: openProducts(corral), events }
  }

  /** SQL that Corral knows nothing of. */
  run(statement: string): Promise<Record<string, unknown>[]> {
    return execute(this.databaseUrl, statement)
  }

  /** Nobody gets at the products until the answer is called, or the test ends. */
  async lockProducts(): Promise<() => Promise<void>> {
    const client = new pg.Client({ connectionString: this.databaseUrl })
    await client.connect()
    await client.query('begin; lock table products in access exclusive mode')
    let ending: Promise<void> | undefined
    const unlock = () => (ending ??= client.end())
    onTestFinished(unlock)
    return unlock
  }
}

export function openShopDatabase(connectionString: string, max = 10): Kysely<ShopDatabase> {
  return new Kysely<ShopDatabase>({ dialect: new PostgresDialect({ pool: new KeptPool(connectionString, max) }) })
}

/** What tests of the shop vary. */
export interface ProductsOptions {
  readonly onWrite?: 'drop' | 'publish'
  readonly loadFrom?: 'primary' | 'replica'
}

export function openProducts(corral: Corral<ShopDatabase>, options: ProductsOptions = {}) {
  return corral.repository('products', { key: 'id', unique: ['slug', 'slug_key'], ...options })
}

export async function createProducts(db: Kysely<ShopDatabase>): Promise<void> {
  await sql`create table products (
    id int generated by default as identity primary key,
    slug text unique,
    price int not null default 0,
    slug_key text generated always as (lower(slug)) stored unique,
    details jsonb not null default '{"tags": ["new"]}'
  )`.execute(db)
  await stampTable({ table: 'products', key: 'id' }).up(db)
}

/** Under which key the cache has a product. */
export function productKey(namespace: string, id: number): CacheKey {
  return cacheKey(keyPrefix(namespace, 'row', 'public.products'), [String(id)])
}

/** Waits until fills and refreshes of this process have ended, one way or the other. */
export async function untilFilled({ events }: Pick<ShopProcess, 'events'>, fills = 1): Promise<void> {
  await waitUntil(`${fills} fills have ended`, 5_000, async () => events.count('fill') >= fills)
}

/** Waits until this process is answered by a copy of the row. */
export async function untilCached(
  { products, events }: Pick<ShopProcess, 'products' | 'events'>,
  id: number,
): Promise<void> {
  await waitUntil('the row is cached', 10_000, async () => {
    const before = events.count('hit')
    await products.find(id)
    return events.count('hit') > before
  })
}
