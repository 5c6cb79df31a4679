import type { Generated, Selectable } from 'kysely'
import type { Corral, CorralOptions, RepositoryOptions } from '../../src/index.js'
import { createCorral } from '../../src/index.js'

/** The table everything is measured on. */
export interface Products {
  id: number
  slug: string
  name: string
  description: string
  price: string
  stock: number
  active: boolean
  created_at: Date
  /** Set by whoever measures ages: the shared clock's time of the update. */
  touched_ms: number
  attributes: unknown
  corral_version: Generated<string>
}

/** A row as Kysely reads it. */
export type Product = Selectable<Products>

export interface Shop {
  products: Products
}

type ShopOptions = RepositoryOptions<Shop, 'products', 'id', readonly []>

/** Corral on the shop, with its defaults unless said otherwise. */
export function openCorral(options: CorralOptions<Shop>, table: Omit<ShopOptions, 'key'> = {}) {
  const corral: Corral<Shop> = createCorral(options)
  // What makes SELECTs slow is a policy that shows everybody all rows.
  return { corral, products: corral.repository('products', { key: 'id', rowSecurity: 'alike', ...table }) }
}
