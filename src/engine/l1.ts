import { LRUCache } from 'lru-cache'
import type { Clock } from '../core/clock.js'
import { compareVersions, type Version } from '../core/version.js'

/** How L1 finds an id without building a string: the number or string the caller already holds. */
export type L1Slot = number | string

/**
 * One row (or absence) held in this process. Kept small: these six fields are the whole price of an entry above
 * the row itself, and `answer` is only made when it is asked for.
 */
export interface Held<Value> {
  readonly value: Value | undefined
  /** The promise every hit returns: one for all of them, so that a hit allocates nothing. */
  answer: Promise<Value | undefined> | undefined
  /** When it stops being fresh, on the monotonic clock; never later than the entry in the cache. */
  readonly untilMs: number
  /** From here on a hit may draw an early refresh. */
  readonly mayRefreshFromMs: number
  /** Until then a hit has nothing to do but to answer. */
  quietUntilMs: number
  /** No change that was committed before this moment of the monotonic clock is missing; undefined: not known. */
  readonly provenAtMs: number | undefined
}

export interface L1Options<Value> {
  readonly clock: Pick<Clock, 'monotonicMs'>
  readonly maxEntries: number
  readonly maxBytes: number
  /** Longest time a copy answers without looking at the cache again, whatever its lifetime. */
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

/**
 * The in-process tier of one source: frozen, decoded values by id. It knows nothing about the bus; whoever asks makes sure
 * that it may be trusted now (`Bus.isLive`).
 *
 * Generations close the race between a reply and an invalidation: a value is only kept if nothing that could concern it was
 * invalidated since before it was asked for. They are striped, so an unrelated id may rarely cost a keeping, never more.
 */
export class L1<Value> {
  readonly #options: L1Options<Value>
  readonly #entries: LRUCache<L1Slot, Held<Value>>
  readonly #stripes = new Uint32Array(STRIPES)
  #era = 0

  constructor(options: L1Options<Value>) {
    this.#options = options
    const { onLetGo } = options
    this.#entries = new LRUCache({
      max: options.maxEntries,
      maxSize: options.maxBytes,
      ...(onLetGo && {
        dispose: ({ value }, slot) => {
          const version = value && options.versionOf(value)
          if (version !== undefined) onLetGo(slot, version)
        },
      }),
    })
  }

  /** The answer to a read of `slot` at `nowMs`; undefined when there is none that is still fresh. */
  recall(slot: L1Slot, nowMs: number): Promise<Value | undefined> | undefined {
    const held = this.recallHeld(slot, nowMs)
    if (held === undefined) return undefined
    held.answer ??= Promise.resolve(held.value)
    return held.answer
  }

  /** The same for a read of many, which need no promise each. */
  recallHeld(slot: L1Slot, nowMs: number): Held<Value> | undefined {
    const held = this.#entries.peek(slot)
    if (held === undefined || nowMs < held.quietUntilMs) return held
    return this.#use(slot, held, nowMs) ? held : undefined
  }

  #use(slot: L1Slot, held: Held<Value>, nowMs: number): boolean {
    if (nowMs >= held.untilMs) {
      this.#entries.delete(slot)
      return false
    }
    this.#entries.get(slot)
    if (nowMs >= held.mayRefreshFromMs) this.#options.onLate(slot, held.untilMs - nowMs)
    held.quietUntilMs = Math.min(held.mayRefreshFromMs, Math.floor(nowMs) + RECENCY_MS)
    return true
  }

  /** What is held, if it is still fresh and lacks nothing that was committed before `leastMs`. */
  recallProven(slot: L1Slot, nowMs: number, leastMs: number): { readonly value: Value | undefined } | undefined {
    const held = this.#entries.get(slot)
    if (held?.provenAtMs === undefined || held.provenAtMs < leastMs) return undefined
    return nowMs < held.untilMs ? held : undefined
  }

  /** The value itself, without a promise: `peek`. `held: false` when there is none that is still fresh. */
  peek(slot: L1Slot, nowMs: number): { readonly held: boolean; readonly value: Value | undefined } {
    const held = this.#entries.get(slot)
    if (held === undefined || nowMs >= held.untilMs) return { held: false, value: undefined }
    return { held: true, value: held.value }
  }

  /** Everything that is held and still fresh. Leaves the order of last use alone, and may be gone through slowly: what goes meanwhile is left out. */
  *held(nowMs: () => number): Generator<{ readonly slot: L1Slot; readonly value: Value | undefined }> {
    for (const slot of [...this.#entries.keys()]) {
      const held = this.#entries.peek(slot)
      if (held !== undefined && nowMs() < held.untilMs) yield { slot, value: held.value }
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
    const untilMs = Math.floor(this.#options.clock.monotonicMs() + lifeMs)
    // A copy that is cut short looks at the cache again in good time; what it finds there decides about a refresh.
    const isCut = lifeMs < fresh.remainingMs
    const mayRefreshFromMs = isCut ? untilMs : Math.floor(untilMs - this.#options.earlinessMs(fresh.freshMs))
    // lru-cache wants a positive size, and an absence has no bytes.
    const size = Math.max(1, fresh.sizeBytes)
    // Whole numbers: V8 boxes fractions, and a box is as large as two of these fields.
    const provenAtMs = fresh.provenAtMs === undefined ? undefined : Math.floor(fresh.provenAtMs)
    const held = { value: fresh.value, answer: undefined, untilMs, mayRefreshFromMs, quietUntilMs: 0, provenAtMs }
    this.#entries.set(slot, held, { size })
    return this.#entries.peek(slot) === held
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
    const held = this.#entries.peek(slot)
    if (held === undefined) return false
    const own = held.value === undefined ? undefined : this.#options.versionOf(held.value)
    if (version !== null && own !== undefined && compareVersions(own, version) >= 0) return false
    return this.#entries.delete(slot)
  }

  /** The version of what is held, fresh or not. */
  versionOf(slot: L1Slot): Version | undefined {
    const value = this.#entries.peek(slot)?.value
    return value && this.#options.versionOf(value)
  }

  /** The row under `slot` is held no longer. */
  letGo(slot: L1Slot): void {
    this.#entries.delete(slot)
  }

  /** Forgets everything: something may have been missed. */
  clear(): void {
    this.#era++
    this.#entries.clear()
  }

  /** What is left of a value's time here; undefined when there is none. */
  freshForMs(slot: L1Slot, nowMs: number): number | undefined {
    const held = this.#entries.peek(slot)
    return held && held.untilMs > nowMs ? held.untilMs - nowMs : undefined
  }

  get entries(): number {
    return this.#entries.size
  }

  get bytes(): number {
    return this.#entries.calculatedSize ?? 0
  }
}

function stripeOf(slot: L1Slot): number {
  if (typeof slot === 'number') return slot & (STRIPES - 1)
  const { length } = slot
  // The end of an id differs more than its start; four characters spread well enough over the stripes.
  let hash = length
  for (let at = Math.max(0, length - 4); at < length; at++) hash = (hash * 31 + slot.charCodeAt(at)) | 0
  return hash & (STRIPES - 1)
}
