import { setTimeout as sleep } from 'node:timers/promises'
import { PrometheusExporter } from '@opentelemetry/exporter-prometheus'
import { MeterProvider } from '@opentelemetry/sdk-metrics'
import { Redis } from 'ioredis'
import { type Kysely, sql } from 'kysely'
import { connectShop } from '../../bench/demo/connect.js'
import { createShop, type Shop, stampShop } from '../../bench/demo/shop.js'
import { type Happening, type Planned, planOf } from '../../bench/demo/traffic.js'
import { createCorral } from '../../src/index.js'
import { fencedLocks, outboxTable, outboxTables, slotTable, slotTables } from '../../src/migrations.js'
import type { RelayOptions } from '../../src/relay-options.js'
import type { RedisServer } from '../../test/support/servers/redis.js'

/** How long the traffic of the demonstration is played. */
const PLAYED_MS = 15_000

export async function prepareShop(postgresUrl: string): Promise<void> {
  const db = connectShop(postgresUrl)
  try {
    await createShop(db)
    await stampShop(db)
    await sql`
      create function slow_text(ms int) returns text language plpgsql stable as $$
      begin
        perform pg_sleep(ms / 1000.0);
        return 'slow';
      end $$`.execute(db)
    const migrations = [
      outboxTables(),
      outboxTable({ table: 'products', key: 'id' }),
      outboxTable({ table: 'inventory', key: 'product_id' }),
      fencedLocks(),
      slotTables(),
      slotTable({ table: 'products', key: 'id' }),
      slotTable({ table: 'inventory', key: 'product_id' }),
    ]
    await db.transaction().execute(async (tx) => {
      for (const { up } of migrations) await up(tx)
    })
  } finally {
    await db.destroy()
  }
}

export interface ShopProcessOptions {
  readonly postgresUrl: string
  readonly redisUrl: string
  /** Where Prometheus finds the metrics. */
  readonly port: number
  /** Default: `shop`. */
  readonly namespace?: string
  /** Default: true. */
  readonly relay?: RelayOptions
  /** A standby that rows are to be loaded from. Default: none. */
  readonly replicaUrl?: string
}

/** How long a lock is held in turn by each process: Prometheus is to see it. */
const LOCKED_MS = 3_000

/** One process of the shop, as its operator has set it up: metrics at `port`, relay and hot keys on. */
export class ShopProcess {
  readonly #db: Kysely<Shop>
  readonly #replica: Kysely<Shop> | undefined
  readonly #redis: Redis
  readonly #exporter: PrometheusExporter
  readonly #meters: MeterProvider
  readonly #corral
  readonly #products
  readonly #inventory

  constructor(options: ShopProcessOptions) {
    const { namespace = 'shop', relay = true, replicaUrl } = options
    this.#db = connectShop(options.postgresUrl)
    this.#replica = replicaUrl === undefined ? undefined : connectShop(replicaUrl)
    this.#redis = new Redis(options.redisUrl)
    this.#exporter = new PrometheusExporter({ port: options.port, host: '127.0.0.1' })
    this.#meters = new MeterProvider({ readers: [this.#exporter] })
    this.#corral = createCorral<Shop>({
      db: this.#db,
      redis: this.#redis,
      namespace,
      relay,
      ...(this.#replica ? { replica: { db: this.#replica } } : {}),
      // So that entries expire and are refreshed within the time there is.
      ttl: { freshMs: 3_000 },
      // On a busy machine an answer must not come too late: what Redis has stored by then would count as not stored.
      cache: { deadlineMs: 400 },
      load: { concurrency: 2, queue: 2, softTimeoutMs: 50 },
      hotKeys: { perSecond: 5 },
      telemetry: { meterProvider: this.#meters },
    })
    this.#products = this.#corral.repository('products', {
      ...{ key: 'id', hotKeys: {} },
      ...(this.#replica ? { loadFrom: 'replica' as const } : {}),
    })
    this.#inventory = this.#corral.repository('inventory', { key: 'product_id', hotKeys: {}, l1: false })
  }

  /** The demonstration's traffic, each person's in turn. What fails is part of it: it is measured. */
  async play(process: number): Promise<void> {
    const startMs = performance.now()
    const stocktaking = this.#corral.withFencedLock('stocktaking', () => sleep(LOCKED_MS)).catch(() => {})
    await Promise.all([stocktaking, ...planOf(process).map((plan) => this.#follow(plan, startMs))])
  }

  /** Rows that nobody else has asked for in this namespace, and some that this process has written and the standby does not have yet. */
  async visit(): Promise<void> {
    for (let id = 1; id <= 20; id++) await this.#products.find(id)
    if (this.#replica === undefined) return
    await sql`select pg_wal_replay_pause()`.execute(this.#replica)
    for (let id = 1; id <= 5; id++) {
      await this.#products.update(id, { price_cents: 1 })
      await this.#products.find(id)
    }
    await sql`select pg_wal_replay_resume()`.execute(this.#replica)
  }

  /** What the demonstration's traffic does not do, but an operator's shop does some day. */
  async meetEverything(redis: RedisServer): Promise<void> {
    const slow = this.#corral.query(
      'slow',
      (db, ms: number) =>
        db
          .selectFrom('products')
          .select(['id', sql<string>`slow_text(${ms})`.as('text')])
          .where('id', '=', 1),
      { ttl: { freshMs: 300, graceMs: 60_000 }, dependsOn: [] },
    )
    const broken = this.#corral.query('broken', (db) =>
      db
        .selectFrom('products')
        .select(['id', sql<number>`1 / (id - id)`.as('never')])
        .where('id', '=', 1),
    )
    for (let round = 0; round < 3; round++) {
      await Promise.allSettled([1, 2, 3].map((id) => this.#products.find(id, { consistency: 'verified' })))
      await this.#products.find(4, { consistency: 'primary' })
      await Promise.allSettled([broken(), this.#corral.transaction(async () => {})])
      // Filled, expired, and asked for again while it still may help out.
      await slow(200).catch(() => {})
      await sleep(400)
      await slow(200).catch(() => {})
      // More than may wait.
      await Promise.allSettled([301, 302, 303, 304, 305, 306, 307, 308].map((ms) => slow(ms)))
      // SQL from outside, for the relay.
      await sql`update products set price_cents = price_cents + 1 where id in (5, 6, 7)`.execute(this.#db)
    }
    // A fill that is under way when Redis freezes cannot be stored.
    const caught = slow(250).catch(() => {})
    await sleep(60)
    redis.freeze()
    await Promise.allSettled([this.#products.update(8, { price_cents: 1 }), caught])
    await sleep(1_000)
    redis.thaw()
  }

  async close(): Promise<void> {
    await this.#corral.close()
    this.#redis.disconnect()
    await Promise.all([this.#db.destroy(), this.#replica?.destroy()])
    await this.#meters.shutdown()
  }

  async #follow(plan: readonly Planned[], startMs: number): Promise<void> {
    for (const { dueMs, happening } of plan) {
      if (dueMs > PLAYED_MS) return
      const waitMs = startMs + dueMs - performance.now()
      if (waitMs > 0) await sleep(waitMs)
      await this.#perform(happening).catch(() => {})
    }
  }

  async #perform(happening: Happening): Promise<void> {
    const { id } = happening
    if (happening.what === 'price') await this.#products.update(id, { price_cents: happening.priceCents })
    if (happening.what === 'sale') await this.#inventory.mutate(id, ({ remaining }) => ({ remaining: remaining - 1 }))
    await Promise.all([this.#products.find(id), this.#inventory.find(id)])
    await this.#products.findMany([id + 1, id + 2])
  }
}
