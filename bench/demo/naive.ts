import type { Redis } from 'ioredis'
import type { Kysely } from 'kysely'
import type { Shop } from './shop.js'
import type { Acknowledged, Side } from './side.js'

const TTL_SECONDS = 300

/**
 * Cache-aside as most services write it by hand: read Redis, on a miss read the database and SET with a TTL; after a
 * write has committed, DEL. Nothing in here is a mistake on purpose. Concurrent misses in one process are not joined
 * into one load, as they are not in most services; joining them would save loads, and change nothing about staleness.
 */
export class HandWrittenSide implements Side {
  hits = 0
  readonly #db: Kysely<Shop>
  readonly #redis: Redis
  readonly #prefix: string

  constructor(options: { db: Kysely<Shop>; redis: Redis; namespace: string }) {
    this.#db = options.db
    this.#redis = options.redis
    this.#prefix = options.namespace
  }

  product(id: number) {
    return this.#cached(`products:${id}`, () =>
      this.#db.selectFrom('products').selectAll().where('id', '=', id).executeTakeFirst(),
    )
  }

  stock(id: number) {
    return this.#cached(`inventory:${id}`, () =>
      this.#db.selectFrom('inventory').selectAll().where('product_id', '=', id).executeTakeFirst(),
    )
  }

  async changePrice(id: number, priceCents: number): Promise<Acknowledged> {
    const { revision } = await this.#db
      .updateTable('products')
      .set({ price_cents: priceCents })
      .where('id', '=', id)
      .returningAll()
      .executeTakeFirstOrThrow()
    await this.#redis.del(`${this.#prefix}:products:${id}`)
    return { revision, fenced: true }
  }

  async sellOne(productId: number): Promise<Acknowledged> {
    const { revision } = await this.#db.transaction().execute(async (tx) => {
      const stock = tx.selectFrom('inventory').selectAll().where('product_id', '=', productId)
      const { remaining } = await stock.forUpdate().executeTakeFirstOrThrow()
      return tx
        .updateTable('inventory')
        .set({ remaining: remaining - 1 })
        .where('product_id', '=', productId)
        .returningAll()
        .executeTakeFirstOrThrow()
    })
    await this.#redis.del(`${this.#prefix}:inventory:${productId}`)
    return { revision, fenced: true }
  }

  async close(): Promise<void> {}

  async #cached<Row>(name: string, load: () => Promise<Row | undefined>): Promise<Row | undefined> {
    const key = `${this.#prefix}:${name}`
    const cached = await this.#redis.get(key)
    if (cached !== null) {
      this.hits++
      return JSON.parse(cached) as Row
    }
    const row = await load()
    if (row !== undefined) await this.#redis.set(key, JSON.stringify(row), 'EX', TTL_SECONDS)
    return row
  }
}
