import { Cluster, Redis } from 'ioredis'
import { type Generated, Kysely, type KyselyPlugin, PostgresDialect, sql } from 'kysely'
import Cursor from 'pg-cursor'
import { onTestFinished } from 'vitest'
import { MemoryStore } from '../../src/adapters/memory/memory-store.js'
import { RedisStore } from '../../src/adapters/redis/redis-store.js'
import { type Corral, type CorralOptions, createWithSeams } from '../../src/client.js'
import { type Clock, systemClock } from '../../src/core/clock.js'
import type { CacheStore } from '../../src/core/ports.js'
import { stampTable } from '../../src/migrations.js'
import { PausableStore } from './pausable-store.js'
import { Recorder } from './recorder.js'
import { execute } from './servers/database.js'
import { KeptPool } from './servers/kept-pool.js'
import { freshDatabase, freshNamespace, redisClusterNodes, redisUrl } from './services.js'

export interface QueryDatabase {
  makers: { id: number; name: string }
  products: { id: number; maker_id: number | null; name: string; price: number; corral_version: Generated<string> }
  reviews: {
    id: Generated<number>
    product_id: number
    author: string
    stars: number
    corral_version: Generated<string>
  }
  /** No repository. */
  votes: { id: Generated<number>; review_id: number; up: boolean }
  /** A tree that cascades into itself. No repository. */
  categories: { id: number; parent_id: number | null }
  /** Partitioned. No repository. */
  visits: { id: number; day: string; product_id: number }
  visits_2026: { id: number; day: string; product_id: number }
  'sales.orders': { id: number; product_id: number; quantity: number }
  /** A table nothing refers to. */
  notes: { id: Generated<number>; text: string }
  cheap_products: { id: number; name: string; price: number }
}

export type StoreKind = 'in process' | 'Redis' | 'Redis Cluster'

export interface QueryProcess {
  readonly corral: Corral<QueryDatabase>
  readonly db: Kysely<QueryDatabase>
  readonly events: Recorder
  readonly store: PausableStore
  readonly products: ReturnType<typeof openProducts>
  readonly reviews: ReturnType<typeof openReviews>
}

export interface QueryProcessOptions extends Partial<Omit<CorralOptions<QueryDatabase>, 'db' | 'redis' | 'onEvent'>> {
  readonly queryBy?: readonly ('product_id' | 'author')[]
  readonly plugins?: KyselyPlugin[]
  readonly poolSize?: number
  /** Without messages the others learn of a write from Redis alone. */
  readonly isMute?: boolean
  readonly clock?: Clock
}

/** A database of tables that hang together in every way that matters to queries, and processes over it that share one store. */
export class QueryLab {
  readonly databaseUrl: string
  readonly #kind: StoreKind
  #namespace = freshNamespace()
  readonly #shared = new MemoryStore({ clock: systemClock, maxBytes: 2 ** 26 })

  private constructor(databaseUrl: string, kind: StoreKind) {
    this.databaseUrl = databaseUrl
    this.#kind = kind
  }

  static async open(kind: StoreKind = 'Redis'): Promise<QueryLab> {
    const url = await freshDatabase()
    const db = openDatabase(url, 1, [])
    await createTables(db)
    await db.destroy()
    return new QueryLab(url, kind)
  }

  /** Processes that start from here on find an empty cache. */
  emptyCache(): void {
    this.#namespace = freshNamespace()
  }

  start(options: QueryProcessOptions = {}): QueryProcess {
    const { queryBy = ['product_id', 'author'], plugins = [], poolSize = 8, isMute = true, clock, ...rest } = options
    const namespace = rest.namespace ?? this.#namespace
    const db = openDatabase(this.databaseUrl, poolSize, plugins)
    const client = this.#client()
    const inner = client ? new RedisStore({ client, namespace, clock: systemClock }) : keptOpen(this.#shared)
    const store = new PausableStore(inner, systemClock)
    const events = new Recorder()
    const settings = {
      ttl: { freshMs: 3_600_000, jitter: 0 },
      refresh: { beta: 0 },
      l1: { maxEntries: 0 },
      cache: { deadlineMs: 5_000 },
    }
    const corral = createWithSeams<QueryDatabase>(
      { db, ...(client ? { redis: client } : {}), onEvent: events.emit, ...settings, ...rest, namespace },
      { store, ...(clock ? { clock } : {}), ...(isMute ? { channel: null } : {}) },
    )
    onTestFinished(async () => {
      await corral.close()
      client?.disconnect()
      await db.destroy()
    })
    return { corral, db, events, store, products: openProducts(corral), reviews: openReviews(corral, queryBy) }
  }

  /** SQL that Corral knows nothing of. */
  async run(statement: string): Promise<void> {
    await execute(this.databaseUrl, statement)
  }

  /** Gives a table of the test's own its stamps. */
  async stamp(table: string): Promise<void> {
    const db = openDatabase(this.databaseUrl, 1, [])
    await stampTable({ table, key: 'id' }).up(db)
    await db.destroy()
  }

  /** Deletes what Redis holds under keys with this in them. */
  async forget(part: string): Promise<void> {
    await this.#atKeys(part, async (redis, key) => void (await redis.del(key)))
  }

  /** Puts text under all keys that Redis holds with this in them. */
  async plant(part: string, text: string): Promise<void> {
    await this.#atKeys(part, async (redis, key) => void (await redis.set(key, text, 'KEEPTTL')))
  }

  async #atKeys(part: string, act: (redis: Redis, key: string) => Promise<void>): Promise<void> {
    const redis = new Redis(redisUrl())
    const keys = (await redis.keys(`${this.#namespace}:*`)).filter((key) => key.includes(part))
    if (keys.length === 0) throw new Error(`no key with ${part}`)
    for (const key of keys) await act(redis, key)
    redis.disconnect()
  }

  #client(): Redis | Cluster | undefined {
    if (this.#kind === 'in process') return undefined
    const client =
      this.#kind === 'Redis'
        ? new Redis(redisUrl(), { lazyConnect: true })
        : new Cluster(redisClusterNodes(), { lazyConnect: true })
    client.on('error', () => {})
    return client
  }
}

/** Processes of one test share the store, which none of them may empty when it closes. */
function keptOpen(store: MemoryStore): CacheStore {
  return new Proxy<CacheStore>(store, {
    get: (target, name) => {
      if (name === 'close') return async () => {}
      const member = Reflect.get(target, name)
      return typeof member === 'function' ? member.bind(target) : member
    },
  })
}

function openDatabase(connectionString: string, max: number, plugins: KyselyPlugin[]): Kysely<QueryDatabase> {
  const pool = new KeptPool(connectionString, max)
  return new Kysely<QueryDatabase>({ dialect: new PostgresDialect({ pool, cursor: Cursor }), plugins })
}

function openProducts(corral: Corral<QueryDatabase>) {
  return corral.repository('products', { key: 'id', unique: ['name'] })
}

function openReviews(corral: Corral<QueryDatabase>, queryBy: readonly ('product_id' | 'author')[]) {
  return corral.repository('reviews', { key: 'id', queryBy })
}

async function createTables(db: Kysely<QueryDatabase>): Promise<void> {
  await sql`
    create table makers (id int primary key, name text not null);
    create table products (
      id int primary key, maker_id int references makers on update cascade, name text not null unique, price int not null
    );
    create table reviews (
      id int generated by default as identity primary key,
      product_id int not null references products on delete cascade,
      author text not null, stars int not null
    );
    create table votes (
      id int generated by default as identity primary key,
      review_id int not null references reviews on delete cascade, up boolean not null
    );
    create table categories (id int primary key, parent_id int references categories on delete cascade);
    create table visits (id int not null, day date not null, product_id int not null) partition by range (day);
    create table visits_2026 partition of visits for values from ('2026-01-01') to ('2027-01-01');
    create schema sales;
    create table sales.orders (id int primary key, product_id int not null, quantity int not null);
    create table notes (id int generated by default as identity primary key, text text not null);
    create view cheap_products as select id, name, price from products where price < 5;
    insert into makers values (1, 'Ada'), (2, 'Bo');
    insert into products values (1, 1, 'tea', 3), (2, 1, 'cup', 7), (3, 2, 'pot', 12), (4, null, 'box', 1);
    insert into reviews (product_id, author, stars) values
      (1, 'ann', 5), (1, 'bob', 4), (2, 'ann', 3), (2, 'cat', 2), (3, 'bob', 1);
    insert into votes (review_id, up) values (1, true), (1, false), (3, true);
    insert into categories values (1, null), (2, 1), (3, 1), (4, 2);
    insert into visits values (1, '2026-01-05', 1), (2, '2026-02-05', 2);
    insert into sales.orders values (1, 1, 10), (2, 2, 20);
    insert into notes (text) values ('one');
  `.execute(db)
  for (const table of ['products', 'reviews']) await stampTable({ table, key: 'id' }).up(db)
}
