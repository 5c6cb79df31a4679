/**
 * What the blocks of code in the documentation take for granted: a shop's database, its Corral, and what a service has at
 * hand. A block that declares a name itself means its own. Compiled, never run.
 */
export const DOCS_WORLD = `
import type { Corral, Session } from 'corral'
import type { Redis } from 'ioredis'
import type { Generated, GeneratedAlways, Kysely, sql as kyselySql } from 'kysely'

interface Shop {
  products: { id: Generated<number>; shop_id: number; slug: string; price: number; sold: number; featured: boolean; corral_version: GeneratedAlways<string> }
  reviews: { id: Generated<number>; product_id: number; stars: number; corral_version: GeneratedAlways<string> }
  accounts: { id: string; balance: string }
  sessions: { id: string; user_id: number }
  prices: { id: number; price: string }
  inventory: { id: number; left: number }
  profiles: { id: number; name: string }
  orders: { id: string; state: string }
  parcels: { order_id: string }
}
const shop = undefined as unknown as Corral<Shop>
const repositories = {
  products: shop.repository('products', { key: 'id', unique: ['slug'] }),
  reviews: shop.repository('reviews', { key: 'id' }),
  accounts: shop.repository('accounts', { key: 'id' }),
  sessions: shop.repository('sessions', { key: 'id' }),
  prices: shop.repository('prices', { key: 'id' }),
  inventory: shop.repository('inventory', { key: 'id' }),
  profiles: shop.repository('profiles', { key: 'id' }),
  orders: shop.repository('orders', { key: 'id' }),
}
const queries = {
  bestsellers: shop.query('bestsellers', (db, p: { limit: number }) => db.selectFrom('products').selectAll().limit(p.limit)),
}

declare global {
  type Database = Shop
  const createCorral: typeof import('corral').createCorral
  const db: Kysely<Shop>
  const redis: Redis
  const sql: typeof kyselySql
  const corral: Corral<Shop>
  const products: typeof repositories.products
  const reviews: typeof repositories.reviews
  const accounts: typeof repositories.accounts
  const sessions: typeof repositories.sessions
  const prices: typeof repositories.prices
  const inventory: typeof repositories.inventory
  const profiles: typeof repositories.profiles
  const orders: typeof repositories.orders
  const bestsellers: typeof queries.bestsellers
  const session: Session
  const tx: Parameters<typeof repositories.products.in>[0]
  const signal: AbortSignal
  const id: string
  function tokenIn(request: Request): string | undefined
  function respond(body: unknown, cookie: { token: string | undefined }): Response
  function save(cursor: string | undefined): void
}
`
