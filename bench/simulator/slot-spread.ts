import { type CacheKey, cacheKey, copyKey, keyPrefix } from '../../src/core/key.js'
import { copySuffixes, keySlot } from '../../src/policy/slot-copies.js'

const SLOTS = 16_384

/** Where a hot key's copies end up, on average over keys. */
export interface Spread {
  /** Shards that hold at least one copy. */
  readonly shards: number
  /** Share of the key's reads that the busiest shard answers, if each copy is read equally often. */
  readonly busiest: number
}

export const chosenSuffixes = copySuffixes

/** What one would write without choosing: `:slot0`, `:slot1` and so on. */
export function plainSuffixes(_: CacheKey, copies: number): readonly string[] {
  return Array.from({ length: copies }, (_, copy) => `:slot${copy}`)
}

/** Over `keys` keys, on `shards` shards that own contiguous slots as `redis-cli --cluster create` hands them out. */
export function measureSpread(
  suffixes: (key: CacheKey, copies: number) => readonly string[],
  copies: number,
  shards: number,
  keys: number,
): Spread {
  let reached = 0
  let busiest = 0
  for (const key of sampleKeys(keys)) {
    const perShard = new Array<number>(shards).fill(0)
    for (const suffix of suffixes(key, copies)) {
      perShard[Math.floor((keySlot(copyKey(key, suffix)) * shards) / SLOTS)]!++
    }
    reached += perShard.filter((held) => held > 0).length
    busiest += Math.max(...perShard) / copies
  }
  return { shards: reached / keys, busiest: busiest / keys }
}

/** Tries until a suffix falls into its range, on average for one copy. */
export function meanTries(copies: number, keys: number): number {
  let tries = 0
  for (const key of sampleKeys(keys)) {
    for (const suffix of copySuffixes(key, copies)) tries += 1 + Number(suffix.slice(suffix.indexOf('.') + 1))
  }
  return tries / (keys * copies)
}

function sampleKeys(keys: number): CacheKey[] {
  const prefix = keyPrefix('shop', 'row', 'public.products')
  return Array.from({ length: keys }, (_, id) => cacheKey(prefix, [String(id)]))
}
