import type { Product, Stock } from './shop.js'

/** The two ways of caching that the demonstration compares. */
export const SIDES = ['hand-written', 'corral'] as const
export type SideName = (typeof SIDES)[number]

/** A shop behind a cache: what both sides can do, so that the same traffic runs on either. */
export interface Side {
  product(id: number): Promise<Product | undefined>
  stock(id: number): Promise<Stock | undefined>
  /** Resolves when the write has been committed and the side has done what it does to its cache. */
  changePrice(id: number, priceCents: number): Promise<Acknowledged>
  sellOne(productId: number): Promise<Acknowledged>
  /** Reads answered from the cache so far, by the side's own word. */
  readonly hits: number
  /** Ends what the side itself started; the connections it was given stay open. */
  close(): Promise<void>
}

/** What a writer is told when its write is done. */
export interface Acknowledged {
  /** The row's revision after the write, as the database returned it. */
  readonly revision: number
  /** False when the writer is told that the cache could not be reached and may show the older row for a while. */
  readonly fenced: boolean
}
