import { type CacheKey, cacheKey, copyKey, keyPrefix } from '../../../src/core/key.js'
import { copySuffixes } from '../../../src/policy/slot-copies.js'

const COPIES = 2

/** What the calls are about. */
export interface Keys {
  /** A row's, two copies of it, and a lookup's. */
  readonly entries: readonly CacheKey[]
  readonly mark: CacheKey
}

export function keysIn(namespace: string): Keys {
  const row = cacheKey(keyPrefix(namespace, 'row', 'public.products'), ['1'])
  const copies = copySuffixes(row, COPIES).map((suffix) => copyKey(row, suffix))
  const lookup = cacheKey(keyPrefix(namespace, 'lookup', 'public.products', 'sku'), ['sku-1'])
  return { entries: [row, ...copies, lookup], mark: cacheKey(keyPrefix(namespace, 'mark', 'public.products'), ['']) }
}
