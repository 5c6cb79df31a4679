import type { Redis } from 'ioredis'
import type { Kysely } from 'kysely'
import { type CacheOptions, type CorralEvent, createCorral } from '../../src/index.js'
import type { Shop } from './shop.js'
import type { Acknowledged, Side } from './side.js'

/**
 * The same shop through Corral. Entries are fresh for 300 s by default, as on the other side; the in-process tier is off,
 * because it may lag behind a write of another process by as long as a message takes.
 */
export class CorralSide implements Side {
  hits = 0
  readonly #corral
  readonly #products
  readonly #inventory

  constructor(options: { db: Kysely<Shop>; redis: Redis; namespace: string; cache?: CacheOptions }) {
    const { db, redis, namespace, cache = {} } = options
    const onEvent = (event: CorralEvent) => {
      if (event.type === 'hit') this.hits++
    }
    this.#corral = createCorral({ db, redis, namespace, cache, l1: { maxEntries: 0 }, onEvent })
    this.#products = this.#corral.repository('products', { key: 'id' })
    this.#inventory = this.#corral.repository('inventory', { key: 'product_id' })
  }

  product(id: number) {
    return this.#products.find(id)
  }

  stock(id: number) {
    return this.#inventory.find(id)
  }

  async changePrice(id: number, priceCents: number): Promise<Acknowledged> {
    return acknowledged(await this.#products.update(id, { price_cents: priceCents }))
  }

  async sellOne(productId: number): Promise<Acknowledged> {
    return acknowledged(await this.#inventory.mutate(productId, ({ remaining }) => ({ remaining: remaining - 1 })))
  }

  close(): Promise<void> {
    return this.#corral.close()
  }
}

function acknowledged(result: { row: { revision: number }; fence: string } | undefined): Acknowledged {
  if (result === undefined) throw new Error('the shop has lost a row')
  return { revision: result.row.revision, fenced: result.fence === 'fenced' }
}
