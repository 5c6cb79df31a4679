import type { Clock } from '../core/clock.js'
import { type CacheKey, copyKey } from '../core/key.js'
import { HotKeyDetector, type HotKeyRules } from '../policy/hot-key-detector.js'
import { copySuffix, copySuffixes, keySlot } from '../policy/slot-copies.js'

/** One key as this process sees it. Rates are moving averages in which each second weighs twice the one before. */
export interface HotKey {
  readonly key: string
  readonly entity: string
  /** Estimated reads a second, whoever answered them. Never too low. */
  readonly perSecond: number
  /** By how much `perSecond` may be too high. */
  readonly errorPerSecond: number
  /** `perSecond` as a share of all reads of repositories with `hotKeys`. */
  readonly share: number
  /** Since when it counts as hot, in milliseconds since the Unix epoch; undefined when it does not. */
  readonly hotSinceMs: number | undefined
  /** Those of `perSecond` that asked Redis; this process' memory answered the others. */
  readonly cachePerSecond: number
  /** Over how many copies its reads are spread now; 0: every process reads the one entry. */
  readonly copies: number
}

/** A repository that opted in. */
export interface HotRepository {
  /** What all keys of its rows start with. */
  readonly prefix: string
  readonly entity: string
  /** How many copies each of its rows may have; 0: its keys are only counted. */
  readonly copies: number
}

const NO_KEYS: readonly CacheKey[] = []
const NO_REPOSITORIES: readonly HotRepository[] = []
/** Keys whose copy is remembered, so that its suffix is not looked for at each read. */
const MAX_REMEMBERED = 1_024

/**
 * Which keys are hot, for the repositories that asked for it; nothing is counted for others.
 *
 * Reads are counted twice: all of them for people, and those that get as far as Redis for the decision to spread a key. What
 * this process' memory answers burdens no shard, so such a key may be hot and still need no copies.
 *
 * Detection only ever switches readers. Writers fence every copy of every key of a repository that has copies, hot or not:
 * where the number of copies is looked up, it can be lost, and a copy that no fence reaches is stale.
 */
export class HotKeys {
  readonly #clock: Clock
  readonly #rules: HotKeyRules
  /** Which of a key's copies this process reads: always the same one, which spares the others a cold start. */
  readonly #sticky: number
  readonly #repositories = new Map<string, HotRepository[]>()
  readonly #copies = new Map<CacheKey, CacheKey>()
  #reads: HotKeyDetector | undefined
  #looks: HotKeyDetector | undefined

  /** @param token unique to this process; decides which copies it reads. */
  constructor(options: { clock: Clock; rules: HotKeyRules; token: string }) {
    this.#clock = options.clock
    this.#rules = options.rules
    this.#sticky = keySlot(options.token)
  }

  register(repository: HotRepository): void {
    this.#reads ??= new HotKeyDetector(this.#rules)
    this.#looks ??= new HotKeyDetector(this.#rules)
    const known = this.#repositories.get(repository.prefix) ?? []
    if (known.some(({ copies }) => copies === repository.copies)) return
    this.#repositories.set(repository.prefix, [...known, repository])
  }

  /** Counts a read that this process' memory answered. */
  record(key: CacheKey): void {
    this.#reads?.record(key, this.#clock.monotonicMs())
  }

  /** Counts a read that is about to ask Redis. Undefined: it asks for the entry itself; otherwise for this copy of it. */
  copyFor(key: CacheKey, copies: number): CacheKey | undefined {
    const nowMs = this.#clock.monotonicMs()
    this.#reads?.record(key, nowMs)
    this.#looks?.record(key, nowMs)
    if (copies === 0 || !this.#looks?.isHot(key)) return undefined
    const known = this.#copies.get(key)
    if (known !== undefined) return known
    if (this.#copies.size >= MAX_REMEMBERED) this.#copies.clear()
    const copy = copyKey(key, copySuffix(key, copies, this.#sticky % copies))
    this.#copies.set(key, copy)
    return copy
  }

  /** All copies a key may have, hot or not: what a write of it has to fence besides the key itself. Bound, to be handed on. */
  readonly copiesOf = (key: CacheKey): readonly CacheKey[] => {
    if (this.#repositories.size === 0) return NO_KEYS
    const idAt = key.indexOf('/') + 1
    const repositories = this.#repositories.get(key.slice(0, idAt)) ?? NO_REPOSITORIES
    // A copy has none itself.
    if (repositories.length === 0 || key.includes(':', idAt)) return NO_KEYS
    return repositories.flatMap(({ copies }) => copySuffixes(key, copies).map((suffix) => copyKey(key, suffix)))
  }

  /** How many keys are hot now, of each entity that is counted. */
  hotByEntity(): ReadonlyMap<string, number> {
    const counts = new Map([...this.#repositories.values()].flat().map(({ entity }) => [entity, 0]))
    for (const { entity, hotSinceMs } of this.report(0)) {
      if (hotSinceMs !== undefined) counts.set(entity, (counts.get(entity) ?? 0) + 1)
    }
    return counts
  }

  /** The `limit` keys read most as of the last full second, and those beyond them that are hot; most read first. */
  report(limit = 10): HotKey[] {
    if (!this.#reads || !this.#looks) return []
    const nowMs = this.#clock.monotonicMs()
    const looks = new Map(this.#looks.report(nowMs, this.#rules.counters).map((look) => [look.key, look]))
    return this.#reads.report(nowMs, limit).map(({ key, hotSinceMs, ...counted }) => {
      const repositories = this.#repositories.get(key.slice(0, key.indexOf('/') + 1)) ?? []
      const isSpread = looks.get(key)?.hotSinceMs !== undefined
      return {
        key,
        entity: repositories[0]?.entity ?? '',
        ...counted,
        hotSinceMs: hotSinceMs === undefined ? undefined : Math.round(this.#clock.wallMs() - (nowMs - hotSinceMs)),
        cachePerSecond: looks.get(key)?.perSecond ?? 0,
        copies: isSpread ? Math.max(0, ...repositories.map(({ copies }) => copies)) : 0,
      }
    })
  }
}
