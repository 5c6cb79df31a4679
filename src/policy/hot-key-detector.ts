import type { CacheKey } from '../core/key.js'

/** When a key counts as hot. All of it is about the reads of one process. The defaults are those of the option group `hotKeys`. */
export interface HotKeyRules {
  /** Keys counted at a time, and the bound on memory. */
  readonly counters: number
  /** Hot above this share of the process' reads, 0 to 1. */
  readonly share: number
  /** And above this many reads a second. */
  readonly perSecond: number
  /** No longer hot after this long below half of either. */
  readonly cooldownMs: number
}

export interface HotKeyReport {
  readonly key: CacheKey
  /** Estimated reads a second, a moving average in which each second weighs twice the one before. Never too low. */
  readonly perSecond: number
  /** By how much `perSecond` may be too high. */
  readonly errorPerSecond: number
  /** `perSecond` as a share of all reads of this process. */
  readonly share: number
  /** When it became hot, on the clock the detector is given; undefined when it is not. */
  readonly hotSinceMs: number | undefined
}

const WINDOW_MS = 1_000
/** After this many windows without a read every count has been halved to nothing, and all is forgotten. */
const FORGET_WINDOWS = 64

/**
 * Finds the keys that take most of a process' reads, in memory that does not grow with the number of keys.
 *
 * Space-Saving with `counters` counters: a key without a counter takes over the smallest one and its count. So a count is
 * never too low, too high by at most (all reads) / `counters`, and a key with more reads than that always has one. Counts are
 * halved each second. A key is hot by what is certain of its count, so that taking over a counter makes none hot.
 *
 * `record` is on the path of each read: for a counted key it looks up, adds one and allocates nothing. Taking over a counter
 * costs O(log counters), amortised: the heap of counters holds counts as they were and catches up only with the smallest.
 *
 * @see Metwally, Agrawal and El Abbadi, "Efficient Computation of Frequent and Top-k Elements in Data Streams", ICDT 2005
 */
export class HotKeyDetector {
  readonly #rules: HotKeyRules
  readonly #counterOf = new Map<CacheKey, number>()
  readonly #keys: CacheKey[] = []
  readonly #counts: Float64Array
  /** What each counter held when it was taken over: nobody knows whose reads those were. */
  readonly #errors: Float64Array
  /** Counts as of the end of the last window: reads a second. */
  readonly #rates: Float64Array
  readonly #smallest: SmallestCounter
  /** Hot keys, also those that lost their counter while they cool. */
  readonly #hot = new Map<CacheKey, { readonly sinceMs: number; calmSinceMs: number | undefined }>()
  #reads = 0
  #readRate = 0
  #windowEndsMs = Number.NEGATIVE_INFINITY

  constructor(rules: HotKeyRules) {
    this.#rules = rules
    this.#counts = new Float64Array(this.#rules.counters)
    this.#errors = new Float64Array(this.#rules.counters)
    this.#rates = new Float64Array(this.#rules.counters)
    this.#smallest = new SmallestCounter(this.#counts)
  }

  /** Counts one read. `nowMs` is a clock that never steps back, the same in all calls. */
  record(key: CacheKey, nowMs: number): void {
    if (nowMs >= this.#windowEndsMs) this.#closeWindows(nowMs)
    this.#reads++
    const counter = this.#counterOf.get(key)
    if (counter === undefined) this.#take(key)
    else (this.#counts[counter] as number)++
  }

  /** As of the last full second in which this process has read anything. */
  isHot(key: CacheKey): boolean {
    return this.#hot.size > 0 && this.#hot.has(key)
  }

  /** The `limit` keys read most as of the last full second, and those beyond them that are hot; most read first. */
  report(nowMs: number, limit = 10): HotKeyReport[] {
    if (nowMs >= this.#windowEndsMs) this.#closeWindows(nowMs)
    const counted = this.#keys.map((key, counter) => this.#describe(key, counter)).filter((it) => it.perSecond > 0)
    counted.sort((a, b) => b.perSecond - a.perSecond)
    return counted.filter((it, rank) => rank < limit || it.hotSinceMs !== undefined)
  }

  #describe(key: CacheKey, counter: number): HotKeyReport {
    const perSecond = this.#rates[counter] as number
    return {
      key,
      perSecond,
      errorPerSecond: Math.min(perSecond, this.#errors[counter] as number),
      share: this.#readRate === 0 ? 0 : perSecond / this.#readRate,
      hotSinceMs: this.#hot.get(key)?.sinceMs,
    }
  }

  #take(key: CacheKey): void {
    let counter = this.#keys.length
    if (counter === this.#rules.counters) {
      counter = this.#smallest.find()
      this.#counterOf.delete(this.#keys[counter] as CacheKey)
      this.#errors[counter] = this.#counts[counter] as number
      this.#rates[counter] = 0
    }
    this.#keys[counter] = key
    this.#counterOf.set(key, counter)
    ;(this.#counts[counter] as number)++
  }

  #closeWindows(nowMs: number): void {
    // Windows start with the first read, and again after a silence in which everything would have been forgotten.
    if (nowMs >= this.#windowEndsMs + FORGET_WINDOWS * WINDOW_MS) {
      this.#forget()
      this.#windowEndsMs = nowMs + WINDOW_MS
    }
    for (; nowMs >= this.#windowEndsMs; this.#windowEndsMs += WINDOW_MS) this.#closeWindow(this.#windowEndsMs)
  }

  #closeWindow(endMs: number): void {
    this.#reads /= 2
    this.#readRate = this.#reads
    for (let counter = 0; counter < this.#keys.length; counter++) {
      ;(this.#counts[counter] as number) /= 2
      ;(this.#errors[counter] as number) /= 2
      this.#rates[counter] = this.#counts[counter] as number
      const key = this.#keys[counter] as CacheKey
      if (this.#exceeds(counter, 1) && !this.#hot.has(key)) {
        this.#hot.set(key, { sinceMs: endMs, calmSinceMs: undefined })
      }
    }
    this.#smallest.halve()
    for (const [key, heat] of this.#hot) {
      const counter = this.#counterOf.get(key)
      if (counter !== undefined && this.#exceeds(counter, 0.5)) heat.calmSinceMs = undefined
      else heat.calmSinceMs ??= endMs
      if (heat.calmSinceMs !== undefined && endMs - heat.calmSinceMs >= this.#rules.cooldownMs) this.#hot.delete(key)
    }
  }

  /** Whether a counter's key certainly had more than `part` of what makes a key hot. */
  #exceeds(counter: number, part: number): boolean {
    const certain = (this.#counts[counter] as number) - (this.#errors[counter] as number)
    return certain > part * this.#rules.perSecond && certain > part * this.#rules.share * this.#readRate
  }

  #forget(): void {
    this.#reads = 0
    this.#readRate = 0
    this.#keys.length = 0
    this.#counterOf.clear()
    this.#hot.clear()
    this.#counts.fill(0)
    this.#errors.fill(0)
    this.#smallest.reset()
  }
}

/**
 * Finds the smallest of counts that only grow, without being told when they do: a heap ordered by what it last knew,
 * which is a lower bound. A counter at the top that has grown sinks to its place; one that has not is the smallest.
 * It sinks at most once for each time it grew.
 */
class SmallestCounter {
  readonly #counts: Float64Array
  readonly #known: Float64Array
  readonly #heap: Int32Array

  constructor(counts: Float64Array) {
    this.#counts = counts
    this.#known = new Float64Array(counts.length)
    this.#heap = Int32Array.from(counts, (_, counter) => counter)
  }

  find(): number {
    for (;;) {
      const counter = this.#heap[0] as number
      const count = this.#counts[counter] as number
      if (this.#known[counter] === count) return counter
      this.#known[counter] = count
      this.#sink()
    }
  }

  /** All counts were halved. Order stays as it was, so does the heap. */
  halve(): void {
    for (let i = 0; i < this.#known.length; i++) (this.#known[i] as number) /= 2
  }

  /** All counts are 0 again. */
  reset(): void {
    this.#known.fill(0)
  }

  #sink(): void {
    const heap = this.#heap
    const known = this.#known
    const sinking = heap[0] as number
    const count = known[sinking] as number
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      if (child >= heap.length) break
      if (
        child + 1 < heap.length &&
        (known[heap[child + 1] as number] as number) < (known[heap[child] as number] as number)
      )
        child++
      if ((known[heap[child] as number] as number) >= count) break
      heap[at] = heap[child] as number
      at = child
    }
    heap[at] = sinking
  }
}
