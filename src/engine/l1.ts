import type { Clock } from '../core/clock.js'
import { compareVersions, type Version } from '../core/version.js'
import { lengthened, UseOrder } from './use-order.js'

/** How L1 finds an id without building a string: the number or string the caller already holds. */
export type L1Slot = number | string

/** What is told where an undefined would be an absence that is held. */
export const NOT_HELD = Symbol('not held')

export interface L1Options<Value> {
  readonly clock: Pick<Clock, 'monotonicMs'>
  readonly maxEntries: number
  readonly maxBytes: number
  /** Longest time a copy answers without looking at the cache again, whatever its lifetime. At most a day. */
  readonly maxAgeMs: number
  readonly versionOf: (value: Value) => Version | undefined
  /** How long before its expiry a value may be refreshed early. */
  readonly earlinessMs: (freshMs: number) => number
  /** A copy was hit that is old enough for an early refresh. */
  readonly onLate: (slot: L1Slot, remainingMs: number) => void
  /** A value of this version is held no longer, for whatever reason. */
  readonly onLetGo?: (slot: L1Slot, version: Version) => void
}

/** A value as the cache or the database has just given it. */
export interface FreshValue<Value> {
  readonly value: Value | undefined
  /** What is left of its fresh time. */
  readonly remainingMs: number
  /** Its whole fresh time. */
  readonly freshMs: number
  /** Size of its encoded form. */
  readonly sizeBytes: number
  /** The moment on the monotonic clock before which no committed change is missing from it. Default: not known. */
  readonly provenAtMs?: number | undefined
}

const STRIPES = 1024
/**
 * How finely the order of last use is kept: moving an entry to the front of the list at every hit costs more than the look-up
 * itself, and of two rows that were both used within the last tenth of a second either may go.
 */
const RECENCY_MS = 100
/** Times are kept as milliseconds since this long before the start, so that a proof from before it can be kept as well. */
const BEFORE_MS = 3_600_000
/** So far the 32 bits of a time reach, and no lifetime (at most a day) beyond them. Then all is let go and time begins anew. */
const ERA_MS = 2 ** 31
/** In place of when a row was proven. */
const UNPROVEN = 0

/**
 * The in-process tier of one source: frozen, decoded values by id. It knows nothing about the bus; whoever asks makes sure
 * that it may be trusted now (`Bus.isLive`).
 *
 * Generations close the race between a reply and an invalidation: a value is only kept if nothing that could concern it was
 * invalidated since before it was asked for. They are striped, so an unrelated id may rarely cost a keeping, never more.
 */
export class L1<Value> {
  readonly #options: L1Options<Value>
  /** Where in the columns below an id's row lies. */
  readonly #places = new Map<L1Slot, number>()
  readonly #order: UseOrder
  #slots: L1Slot[] = []
  #values: (Value | undefined)[] = []
  /**
   * The promise every hit returns: one for all of them, so that a hit allocates nothing. The first hit gets one of its own, and leaves null:
   * many rows are read once before they are let go, and a promise is as large as everything else that is kept about a row.
   */
  #answers: (Promise<Value | undefined> | null | undefined)[] = []
  // A column of numbers is cheaper than a record a row: that has a header as large as all of these together.
  /** Until then a hit has nothing to do but to answer. Like all times here in whole milliseconds since `#startMs`. */
  #quietUntilMs = new Uint32Array(0)
  /** From here on a hit may draw an early refresh. */
  #mayRefreshFromMs = new Uint32Array(0)
  /** When it stops being fresh; never later than the entry in the cache. */
  #untilMs = new Uint32Array(0)
  /** No change that was committed before this moment is missing; `UNPROVEN`: not known. */
  #provenAtMs = new Uint32Array(0)
  #sizes = new Uint32Array(0)
  #bytes = 0
  #startMs: number
  readonly #stripes = new Uint32Array(STRIPES)
  #era = 0

  constructor(options: L1Options<Value>) {
    this.#options = options
    this.#order = new UseOrder(options.maxEntries)
    this.#startMs = Math.floor(options.clock.monotonicMs()) - BEFORE_MS
  }

  /** The answer to a read of `slot` at `nowMs`; undefined when there is none that is still fresh. */
  recall(slot: L1Slot, nowMs: number): Promise<Value | undefined> | undefined {
    const place = this.#places.get(slot)
    if (place === undefined) return undefined
    const atMs = nowMs - this.#startMs
    if (atMs >= (this.#quietUntilMs[place] as number) && !this.#use(place, atMs)) return undefined
    return this.#answers[place] ?? this.#answer(place)
  }

  /** The same for a read of many, which need no promise each. */
  recallValue(slot: L1Slot, nowMs: number): Value | undefined | typeof NOT_HELD {
    const place = this.#places.get(slot)
    if (place === undefined) return NOT_HELD
    const atMs = nowMs - this.#startMs
    if (atMs >= (this.#quietUntilMs[place] as number) && !this.#use(place, atMs)) return NOT_HELD
    return this.#values[place]
  }

  #answer(place: number): Promise<Value | undefined> {
    const answer = Promise.resolve(this.#values[place])
    this.#answers[place] = this.#answers[place] === undefined ? null : answer
    return answer
  }

  #use(place: number, atMs: number): boolean {
    const untilMs = this.#untilMs[place] as number
    if (atMs >= untilMs) {
      this.#drop(place)
      return false
    }
    this.#order.touch(place)
    const mayRefreshFromMs = this.#mayRefreshFromMs[place] as number
    this.#quietUntilMs[place] = Math.min(mayRefreshFromMs, Math.floor(atMs) + RECENCY_MS)
    if (atMs >= mayRefreshFromMs) this.#options.onLate(this.#slots[place] as L1Slot, untilMs - atMs)
    return true
  }

  /** What is held, if it is still fresh and lacks nothing that was committed before `leastMs`. */
  recallProven(slot: L1Slot, nowMs: number, leastMs: number): { readonly value: Value | undefined } | undefined {
    const place = this.#places.get(slot)
    if (place === undefined) return undefined
    this.#order.touch(place)
    const provenAtMs = this.#provenAtMs[place] as number
    if (provenAtMs === UNPROVEN || provenAtMs < leastMs - this.#startMs) return undefined
    return this.#isFresh(place, nowMs) ? { value: this.#values[place] } : undefined
  }

  /** The value itself, without a promise: `peek`. `held: false` when there is none that is still fresh. */
  peek(slot: L1Slot, nowMs: number): { readonly held: boolean; readonly value: Value | undefined } {
    const place = this.#places.get(slot)
    if (place === undefined) return { held: false, value: undefined }
    this.#order.touch(place)
    if (!this.#isFresh(place, nowMs)) return { held: false, value: undefined }
    return { held: true, value: this.#values[place] }
  }

  /** Everything that is held and still fresh. Leaves the order of last use alone, and may be gone through slowly: what goes meanwhile is left out. */
  *held(nowMs: () => number): Generator<{ readonly slot: L1Slot; readonly value: Value | undefined }> {
    for (const slot of [...this.#places.keys()]) {
      const place = this.#places.get(slot)
      if (place !== undefined && this.#isFresh(place, nowMs())) yield { slot, value: this.#values[place] }
    }
  }

  generation(slot: L1Slot): number {
    return this.#era * 2 ** 32 + (this.#stripes[stripeOf(slot)] as number)
  }

  /** Keeps a value, unless it was invalidated since `generation` was taken. True: it is held. */
  remember(slot: L1Slot, fresh: FreshValue<Value>, generation: number): boolean {
    if (this.generation(slot) !== generation) return false
    const lifeMs = Math.min(fresh.remainingMs, this.#options.maxAgeMs)
    if (lifeMs <= 0) return false
    this.letGo(slot)
    // An absence has no bytes, and takes room all the same.
    const size = Math.max(1, fresh.sizeBytes)
    if (size > this.#options.maxBytes) return false
    const nowMs = this.#options.clock.monotonicMs()
    if (nowMs - this.#startMs > ERA_MS) this.#beginAnew(nowMs)
    const untilMs = Math.floor(nowMs + lifeMs - this.#startMs)
    // A copy that is cut short looks at the cache again in good time; what it finds there decides about a refresh.
    const isCut = lifeMs < fresh.remainingMs
    const mayRefreshFromMs = isCut ? untilMs : Math.floor(untilMs - this.#options.earlinessMs(fresh.freshMs))
    this.#makeRoom(size)
    const place = this.#takePlace()
    this.#places.set(slot, place)
    this.#slots[place] = slot
    this.#values[place] = fresh.value
    this.#quietUntilMs[place] = 0
    this.#mayRefreshFromMs[place] = Math.max(0, mayRefreshFromMs)
    this.#untilMs[place] = untilMs
    this.#provenAtMs[place] =
      fresh.provenAtMs === undefined ? UNPROVEN : Math.max(UNPROVEN, Math.floor(fresh.provenAtMs - this.#startMs))
    this.#sizes[place] = size
    this.#bytes += size
    return true
  }

  /** The row under `slot` changed. A copy that is at least as new as `version` stays; with null nothing does. True: there was an older one. */
  forget(slot: L1Slot, version: Version | null): boolean {
    const stripe = stripeOf(slot)
    this.#stripes[stripe] = (this.#stripes[stripe] as number) + 1
    return this.outdate(slot, version)
  }

  /**
   * A reader was shown `version` (null: that there is no row, or one without a stamp): a copy that is not as new may not answer
   * another one. Unlike `forget` it leaves answers that are on their way alone: they are held against the floor when they come.
   */
  outdate(slot: L1Slot, version: Version | null): boolean {
    const place = this.#places.get(slot)
    if (place === undefined) return false
    const own = this.#versionAt(place)
    if (version !== null && own !== undefined && compareVersions(own, version) >= 0) return false
    this.#drop(place)
    return true
  }

  /** The version of what is held, fresh or not. */
  versionOf(slot: L1Slot): Version | undefined {
    const place = this.#places.get(slot)
    return place === undefined ? undefined : this.#versionAt(place)
  }

  /** The row under `slot` is held no longer. */
  letGo(slot: L1Slot): void {
    const place = this.#places.get(slot)
    if (place !== undefined) this.#drop(place)
  }

  /** Forgets everything: something may have been missed. */
  clear(): void {
    this.#era++
    this.#dropAll()
  }

  /** What is left of a value's time here; undefined when there is none. */
  freshForMs(slot: L1Slot, nowMs: number): number | undefined {
    const place = this.#places.get(slot)
    if (place === undefined || !this.#isFresh(place, nowMs)) return undefined
    return (this.#untilMs[place] as number) + this.#startMs - nowMs
  }

  get entries(): number {
    return this.#places.size
  }

  get bytes(): number {
    return this.#bytes
  }

  #isFresh(place: number, nowMs: number): boolean {
    return nowMs - this.#startMs < (this.#untilMs[place] as number)
  }

  #versionAt(place: number): Version | undefined {
    const value = this.#values[place]
    return value === undefined ? undefined : this.#options.versionOf(value)
  }

  #makeRoom(size: number): void {
    const { maxEntries, maxBytes } = this.#options
    while (this.#places.size >= maxEntries || this.#bytes + size > maxBytes) {
      const oldest = this.#order.oldest
      if (oldest === undefined) return
      this.#drop(oldest)
    }
  }

  #takePlace(): number {
    const place = this.#order.take()
    const { capacity } = this.#order
    if (this.#sizes.length < capacity) {
      this.#slots = extended(this.#slots, capacity, 0)
      this.#values = extended(this.#values, capacity, undefined)
      this.#answers = extended(this.#answers, capacity, undefined)
      this.#quietUntilMs = lengthened(this.#quietUntilMs, capacity)
      this.#mayRefreshFromMs = lengthened(this.#mayRefreshFromMs, capacity)
      this.#untilMs = lengthened(this.#untilMs, capacity)
      this.#provenAtMs = lengthened(this.#provenAtMs, capacity)
      this.#sizes = lengthened(this.#sizes, capacity)
    }
    return place
  }

  #drop(place: number): void {
    const slot = this.#slots[place] as L1Slot
    const version = this.#versionAt(place)
    this.#places.delete(slot)
    this.#order.free(place)
    this.#bytes -= this.#sizes[place] as number
    // Nothing of it may be kept alive by a place that is free.
    this.#slots[place] = 0
    this.#values[place] = undefined
    this.#answers[place] = undefined
    if (version !== undefined) this.#options.onLetGo?.(slot, version)
  }

  #dropAll(): void {
    for (const place of [...this.#places.values()]) this.#drop(place)
  }

  #beginAnew(nowMs: number): void {
    this.#dropAll()
    this.#startMs = Math.floor(nowMs) - BEFORE_MS
  }
}

/** A copy of exactly this length: an array that grows by itself keeps half as much again in reserve. */
function extended<Item>(items: readonly Item[], length: number, filler: Item): Item[] {
  const longer = new Array<Item>(length).fill(filler, items.length)
  for (let at = 0; at < items.length; at++) longer[at] = items[at] as Item
  return longer
}

function stripeOf(slot: L1Slot): number {
  if (typeof slot === 'number') return slot & (STRIPES - 1)
  const { length } = slot
  // The end of an id differs more than its start; four characters spread well enough over the stripes.
  let hash = length
  for (let at = Math.max(0, length - 4); at < length; at++) hash = (hash * 31 + slot.charCodeAt(at)) | 0
  return hash & (STRIPES - 1)
}
