import type { CacheKey } from '../core/key.js'
import type { AnnouncedChange } from './bus-message.js'
import type { Floors } from './floors.js'
import type { Singleflight } from './singleflight.js'

/** Whoever holds copies of entries in this process: a table's rows, its lookups, a query's results. */
export interface Holder {
  /** All keys of this holder start with it. */
  readonly prefix: string
  /** Drops the copy under `key` unless it is at least as new. With the new entry, that may take its place. */
  forget(key: CacheKey, change: Pick<AnnouncedChange, 'version' | 'entry'>): void
  clear(): void
}

const MARKS = /[/@?#]/

/**
 * Brings what this process holds up to a change it has learned of: its own write or a message from another process.
 *
 * Floors rise, fills that began earlier can no longer be joined, copies that are older go. Merged by maximum, so changes
 * may arrive twice, late and in any order.
 */
export class Invalidation {
  readonly #floors: Floors
  readonly #flights: Singleflight<unknown>
  readonly #holders = new Map<string, Holder[]>()

  constructor(options: { floors: Floors; flights: Singleflight<unknown> }) {
    this.#floors = options.floors
    this.#flights = options.flights
  }

  register(holder: Holder): void {
    const start = startOf(holder.prefix)
    const holders = this.#holders.get(start)
    if (holders) holders.push(holder)
    else this.#holders.set(start, [holder])
  }

  apply(change: AnnouncedChange): void {
    if (change.hasFloor && change.version !== null) this.#floors.hear(change.key, change.version, change.absent)
    this.#flights.forget(change.key)
    for (const holder of this.#holders.get(startOf(change.key)) ?? []) {
      if (change.key.startsWith(holder.prefix)) holder.forget(change.key, change)
    }
  }

  /** Something may have been missed: no copy in this process can be trusted. Floors stay, they only ever demand more. */
  flush(): void {
    for (const holders of this.#holders.values()) for (const holder of holders) holder.clear()
  }
}

/** Namespace, entity and kind of a key: what is in front of its id. */
function startOf(key: string): string {
  const at = key.search(MARKS)
  return at < 0 ? key : key.slice(0, at + 1)
}
