import type { CacheKey } from '../core/key.js'
import type { FenceRequest } from '../core/ports.js'

/** A fence on its way. */
export interface OrderedFence extends FenceRequest {
  /** The hot key whose copy this is. */
  readonly copyOf?: CacheKey
}

/** Scripts sent together at most: a batch has one deadline. */
const BATCH = 256

/**
 * Fences in batches, each of which may leave when the one before it has arrived: entries first, then copies.
 *
 * A copy is made of what its entry holds. Fenced before its entry, it could be made once more of the old one, and nothing
 * would come after it.
 */
export function inOrder(fences: readonly OrderedFence[]): OrderedFence[][] {
  const entries = fences.filter(({ copyOf }) => copyOf === undefined)
  const copies = fences.filter(({ copyOf }) => copyOf !== undefined)
  return [...cut(entries), ...cut(copies)]
}

function cut(fences: OrderedFence[]): OrderedFence[][] {
  const batches: OrderedFence[][] = []
  for (let at = 0; at < fences.length; at += BATCH) batches.push(fences.slice(at, at + BATCH))
  return batches
}
