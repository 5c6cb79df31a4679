import type { Chance } from '../core/clock.js'
import { CacheUnavailableError } from '../core/errors.js'
import type { CacheKey } from '../core/key.js'
import type { KeyPage, StoreShards } from '../core/ports.js'
import { askPatiently, type Patience } from './patience.js'

/** How far a walk over all keys has come. */
export interface WalkPosition {
  /** Shards that are behind it. */
  readonly done: readonly string[]
  /** The one it is on: where it goes on there, and only on this server. */
  readonly at: { readonly shard: string; readonly server: string; readonly cursor: string } | undefined
}

export interface WalkedPage {
  readonly keys: readonly CacheKey[]
  /** Where a walk goes on that has dealt with this page. */
  readonly position: WalkPosition
}

export interface KeyWalk extends Patience {
  readonly shards: StoreShards
  /** About how many keys are gone through at a time. */
  readonly pageSize: number
}

export const WALK_START: WalkPosition = { done: [], at: undefined }

/** How often one shard is walked anew because it was on another server in the end. */
const MAX_WALKS = 3

/**
 * All keys of the cache, shard by shard. Keys that are there all the while come at least once, with one exception: those that move from
 * a shard that is ahead to one that is behind the walk.
 *
 * A shard that turns out to be on another server than when its walk began is walked anew, because a cursor means nothing there. So is
 * one that a new primary answers for under another name.
 *
 * @throws CacheUnavailableError when a shard stays away, `signal.reason`.
 */
export async function* walkKeys(walk: KeyWalk, from: WalkPosition): AsyncGenerator<WalkedPage> {
  const done = [...from.done]
  let resumed = from.at
  for (let walks = 0; ; ) {
    const names = await askPatiently(walk, 'list shards', async () => [...walk.shards.list()].sort())
    const shard = names.find((name) => !done.includes(name))
    if (shard === undefined) return
    const before = await askPatiently(walk, 'look', () => walk.shards.look(shard))
    const isSame = resumed?.shard === shard && before.isKnown && resumed.server === before.server
    let cursor: string | null = isSame && resumed ? resumed.cursor : null
    resumed = undefined
    do {
      const page: KeyPage = await askPatiently(walk, 'scan', () => walk.shards.scan(shard, cursor, walk.pageSize))
      cursor = page.next
      // The last page is not dealt with before it is known that the walk was one.
      const at = cursor === null ? undefined : { shard, server: before.server, cursor }
      const isEnd =
        cursor === null && (await askPatiently(walk, 'look', () => walk.shards.look(shard))).server === before.server
      if (isEnd) done.push(shard)
      yield { keys: page.keys, position: { done: [...done], at } }
    } while (cursor !== null)
    walks = done.includes(shard) ? 0 : walks + 1
    if (walks === MAX_WALKS) throw new CacheUnavailableError('scan', `${shard} does not stay on one server`)
  }
}

/** Keys from one place of each shard on, chosen by lot; neighbours there have nothing in common. At most `most`, unless a page holds more. */
export async function* sampleKeys(
  walk: KeyWalk & { readonly chance: Chance },
  most: number,
): AsyncGenerator<WalkedPage> {
  const names = await askPatiently(walk, 'list shards', async () => walk.shards.list())
  let left = most
  for (const [at, shard] of names.entries()) {
    let share = Math.ceil(left / (names.length - at))
    // Once to the end, and from the beginning on: where it began cannot be told.
    let cursor: string | null = String(Math.floor(walk.chance.number() * 2 ** 32))
    for (let rounds = 0; share > 0 && rounds < 2; ) {
      const page: KeyPage = await askPatiently(walk, 'scan', () => walk.shards.scan(shard, cursor, walk.pageSize))
      cursor = page.next
      if (cursor === null) rounds++
      const start = Math.floor(walk.chance.number() * Math.max(0, page.keys.length - share))
      const keys = page.keys.slice(start, start + share)
      share -= keys.length
      left -= keys.length
      yield { keys, position: WALK_START }
    }
  }
}

/** Pages of at most `size` keys. A position only moves when all keys before it are dealt with. */
export async function* inParts(
  pages: AsyncIterable<WalkedPage>,
  from: WalkPosition,
  size: number,
): AsyncGenerator<WalkedPage> {
  let before = from
  for await (const { keys, position } of pages) {
    for (let at = 0; at < keys.length - size; at += size) {
      yield { keys: keys.slice(at, at + size), position: before }
    }
    const rest = keys.length === 0 ? 0 : keys.length - (keys.length % size || size)
    yield { keys: keys.slice(rest), position }
    before = position
  }
}
