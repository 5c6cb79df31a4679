import { newer } from '../core/change.js'
import type { CacheKey } from '../core/key.js'
import type { FenceOutcome, FenceRequest, FenceSink } from '../core/ports.js'

/** A fence on its way. */
export interface OrderedFence extends FenceRequest {
  /** The hot key whose copy this is. */
  readonly copyOf?: CacheKey
}

/** One fence of a key that ends whatever either would. The later one's row takes the place of an older only where nothing newer is asked for. */
export function merged(earlier: OrderedFence, later: OrderedFence): OrderedFence {
  const asked = newer(earlier, later)
  return {
    ...later,
    ...asked,
    keepMs: Math.max(earlier.keepMs, later.keepMs),
    rememberAlways: earlier.rememberAlways || later.rememberAlways,
    replacement: asked.version === later.version ? later.replacement : null,
  }
}

/** One fence of each key, which asks for as much as all that were given for it. */
export function oneOfEach(fences: Iterable<OrderedFence>): OrderedFence[] {
  const asked = new Map<CacheKey, OrderedFence>()
  for (const fence of fences) {
    const known = asked.get(fence.key)
    asked.set(fence.key, known ? merged(known, fence) : fence)
  }
  return [...asked.values()]
}

/** Scripts sent together at most: a batch has one deadline. */
const BATCH = 256

/**
 * Fences in batches, each of which may leave when the one before it has arrived: entries first, then copies.
 *
 * A copy is made of what its entry holds. Fenced before its entry, it could be made once more of the old one, and nothing
 * would come after it.
 */
function inOrder(fences: readonly OrderedFence[]): OrderedFence[][] {
  const entries = fences.filter(({ copyOf }) => copyOf === undefined)
  const copies = fences.filter(({ copyOf }) => copyOf !== undefined)
  return [...cut(entries), ...cut(copies)]
}

/** Whether they leave together, the moment they are sent. */
export function isOneBatch(fences: readonly OrderedFence[]): boolean {
  return fences.length <= BATCH && fences.every(({ copyOf }) => copyOf === undefined)
}

function cut(fences: OrderedFence[]): OrderedFence[][] {
  const batches: OrderedFence[][] = []
  for (let at = 0; at < fences.length; at += BATCH) batches.push(fences.slice(at, at + BATCH))
  return batches
}

/**
 * Sends fences in order, and resolves with those that are late: that did not arrive, or had to wait for one that did not. Whatever has
 * failed once is not tried again, so that a shard that does not answer is waited for once and not with each batch.
 *
 * @param shardOf default: all keys are on one shard.
 * @param onArrived is told what has arrived, in order.
 */
export async function deliver(
  fences: readonly OrderedFence[],
  store: FenceSink,
  shardOf: (key: CacheKey) => string = () => '',
  onArrived: (fences: readonly OrderedFence[], outcomes: readonly FenceOutcome[]) => void = () => {},
): Promise<OrderedFence[]> {
  const late: OrderedFence[] = []
  const lateEntries = new Set<CacheKey>()
  const lateShards = new Set<string>()
  const hold = (fence: OrderedFence) => {
    late.push(fence)
    if (fence.copyOf === undefined) lateEntries.add(fence.key)
  }
  const mustWait = ({ key, copyOf }: OrderedFence) =>
    lateShards.has(shardOf(key)) || (copyOf !== undefined && lateEntries.has(copyOf))
  for (const batch of inOrder(fences)) {
    const due: OrderedFence[] = []
    for (const fence of batch) {
      if (late.length > 0 && mustWait(fence)) hold(fence)
      else due.push(fence)
    }
    if (due.length === 0) continue
    const replies = await store.fence(due).catch(() => undefined)
    const arrived: OrderedFence[] = []
    const outcomes: FenceOutcome[] = []
    due.forEach((fence, at) => {
      const reply = replies?.[at]
      if (reply === undefined || reply instanceof Error) {
        hold(fence)
        lateShards.add(shardOf(fence.key))
      } else {
        arrived.push(fence)
        outcomes.push(reply)
      }
    })
    if (arrived.length > 0) onArrived(arrived, outcomes)
  }
  return late
}
