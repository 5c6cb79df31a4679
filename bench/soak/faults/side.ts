import type { RestRecord } from '../../../src/testing.js'
import type { Product } from './shop.js'

/** How a write ended, for the records. */
export type Fence = 'fenced' | 'pending'

export interface Wrote {
  readonly row: Product
  readonly version: string | undefined
  readonly fence: Fence
}

/** What a read or write is made under. `session` is the side's own. */
export interface ReadChoice {
  readonly session?: object
  readonly consistency?: 'verified' | 'primary' | { readonly maxStaleMs: number }
}

/** One way to read and write products through a cache: Corral, or what it is compared with. */
export interface Side {
  readonly products: {
    find(id: number, choice?: ReadChoice): Promise<Product | undefined>
    findMany(ids: readonly number[], choice?: ReadChoice): Promise<(Product | undefined)[]>
    update(id: number, patch: { stock: number }, choice?: { session?: object }): Promise<Wrote | undefined>
    mutate(id: number, decide: (row: Product) => { stock: number }): Promise<Wrote | undefined>
    upsert(values: object): Promise<Wrote>
    delete(id: number): Promise<Wrote | undefined>
  }
  findBySlug(slug: string): Promise<{ readonly row: Product | undefined; readonly fromMemory: boolean }>
  onShelf(shelf: number, choice?: ReadChoice): Promise<readonly Product[]>
  /** Writes all of them in one transaction, in order of their ids. `undo`: and rolls it back. Answers with the stamps, null for rows that were not there. */
  together(
    ids: readonly number[],
    stock: number,
    undo: boolean,
  ): Promise<{ readonly versions: readonly (string | null)[]; readonly fence: Fence | 'rolled-back' }>
  session(token?: string): { readonly token: string }
  cacheAtRest(): Promise<readonly RestRecord[]>
  memoryAtRest(): Promise<readonly RestRecord[]>
  role(): 'leader' | 'standby' | 'off'
  close(): Promise<void>
}
