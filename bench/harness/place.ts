import { Kysely, PostgresDialect, sql } from 'kysely'
import pg from 'pg'
import { stampTable } from '../../src/migrations.js'
import { startPostgres } from '../../test/support/servers/postgres.js'
import { type RedisServer, startRedis } from '../../test/support/servers/redis.js'
import { startRedisCluster } from '../../test/support/servers/redis-cluster.js'
import type { Shop } from './shop.js'

/** Where the contenders find their servers. Travels to the worker processes. */
export interface Place {
  readonly postgresUrl: string
  readonly redisUrl: string
  readonly namespace: string
}

/** Real servers of this run's own, and the shop's table in them. */
export interface OpenPlace extends Place {
  /** As the superuser, who owns the table. */
  readonly db: Kysely<Shop>
  close(): Promise<void>
}

/** The same on a Redis Cluster; `redisUrl` is one of its nodes. */
export interface OpenClusterPlace extends OpenPlace {
  readonly shards: readonly RedisServer[]
}

/**
 * Starts Postgres and Redis and fills `products` with `rows` rows of about 1 KB of JSON, ids from 1.
 *
 * @param settings of Postgres, where they are to differ from those of the tests, which do not wait for the disk.
 */
export async function openPlace(options: {
  readonly rows: number
  readonly settings?: Readonly<Record<string, string>>
}): Promise<OpenPlace> {
  const redis = await startRedis({ own: true })
  return openShop(options.rows, redis.url, () => redis.stop(), options.settings)
}

/** A place for as long as `work` takes. */
export async function inPlace<Result>(
  options: Parameters<typeof openPlace>[0],
  work: (place: OpenPlace) => Promise<Result>,
): Promise<Result> {
  const place = await openPlace(options)
  try {
    return await work(place)
  } finally {
    await place.close()
  }
}

/** Starts Postgres and a Redis Cluster of so many masters. */
export async function openClusterPlace(options: {
  readonly rows: number
  readonly shards: number
}): Promise<OpenClusterPlace> {
  const cluster = await startRedisCluster({ masters: options.shards })
  const [first] = cluster.masters
  const place = await openShop(options.rows, first?.url ?? '', () => cluster.stop())
  return { ...place, shards: cluster.masters }
}

async function openShop(
  rows: number,
  redisUrl: string,
  stopRedis: () => Promise<void>,
  settings: Readonly<Record<string, string>> = {},
): Promise<OpenPlace> {
  const postgres = await startPostgres({ own: true, settings })
  const pool = new pg.Pool({ connectionString: postgres.url, max: 4 })
  const db = new Kysely<Shop>({ dialect: new PostgresDialect({ pool }) })
  await fillShop(db, rows)
  return {
    postgresUrl: postgres.url,
    redisUrl,
    namespace: 'bench',
    db,
    close: async () => {
      await db.destroy()
      await Promise.all([postgres.stop(), stopRedis()])
    },
  }
}

async function fillShop(db: Kysely<Shop>, rows: number): Promise<void> {
  await sql`
    create table products (
      id integer primary key,
      slug text not null unique,
      name text not null,
      description text not null,
      price numeric(10, 2) not null,
      stock integer not null,
      active boolean not null,
      created_at timestamptz not null,
      touched_ms double precision not null,
      attributes jsonb not null
    )`.execute(db)
  await stampTable({ table: 'products', key: 'id' }).up(db as never)
  await sql`
    insert into products
    select id, 'product-' || id, 'Product number ' || id,
      rpad('', 600, md5(id::text) || ' ' || md5((id + 1)::text) || '. '), id % 100 + 0.99, id % 50, true,
      now() - id * interval '1 minute', 0,
      jsonb_build_object('colour', 'green', 'weight', id % 900, 'tags', jsonb_build_array('tea', 'loose', 'organic'),
        'origin', jsonb_build_object('country', 'Japan', 'region', 'Shizuoka'))
    from generate_series(1, ${sql.lit(rows)}) as id`.execute(db)
  await sql`vacuum analyze products`.execute(db)
}
