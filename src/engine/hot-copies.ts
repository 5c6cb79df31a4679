import type { CacheKey } from '../core/key.js'
import type { StoredBytes } from '../core/ports.js'
import { ANSWERED, type ReadSpan, UNTOLD } from '../core/telemetry.js'
import { jittered } from '../policy/jitter.js'
import type { EngineParts, NearTier, Seen } from './filler.js'
import type { HotKeys } from './hot-keys.js'
import { keepLast } from './keep-last.js'
import { type Look, Looks } from './looks.js'
import type { Reply } from './read-batch.js'
import { type Reader, remainingOf } from './reader.js'

export interface CopySettings {
  /** Copies of each hot key; 0: keys are counted and never spread. */
  readonly copies: number
  readonly copyTtlMs: number
  /** Share of `copyTtlMs` by which a copy may expire earlier. */
  readonly jitter: number
  /** How long a process that makes a copy is given before another may take over. */
  readonly leaseMs: number
}

/** A copy that may be served; or what there is to replace, unless the cache did not say. */
type Found<Value> = { readonly value: Value } | { readonly seen: Seen | undefined }

/** Of which a copy is read. */
interface Row<Id> {
  readonly key: CacheKey
  readonly id: Id
}

/** Keys found absent that are remembered. More than are ever hot at a time. */
const MAX_ABSENT = 512

/**
 * Reads of one repository, of which those of a hot key go to a copy of its entry on another shard.
 *
 * Each process keeps to one of the copies. A copy is judged like the entry it was made of: shape, epoch, the key's own floor,
 * age; what is not fresh is of no use. Its readers then read the entry itself as if there were no copies, and one
 * process in the fleet makes the copy anew behind them: with the entry's version and what is left of its life, capped. No copy is
 * ever loaded from the database, so it is asked once per expiry of the entry, however many copies there are.
 *
 * Why a copy is never older than an acknowledged write: the copy's lease is taken *before* the entry is read, and writers fence
 * the entry *before* its copies. So if the entry was read before its fence, the lease is older than the fence of the copy, which
 * revokes it. Readers of one key never go back in time because all its copies are held against one floor; that needs stamps, so
 * tables without them have no copies, and neither have absences.
 */
export class HotCopies<Id, Value> {
  readonly #parts: EngineParts
  readonly #reader: Reader<Id, Value>
  readonly #hotKeys: HotKeys
  readonly #settings: CopySettings
  readonly #tier: NearTier<Id, Value> | undefined
  readonly #entity: string
  readonly #looks: Looks<Row<Id>, Found<Value>>
  /** Copies that this process is making. */
  readonly #making = new Set<CacheKey>()
  /** Until when keys whose row was just seen to be absent are not read from copies, which may still hold the row. */
  readonly #absentUntilMs = new Map<CacheKey, number>()

  constructor(options: {
    parts: EngineParts
    entity: string
    reader: Reader<Id, Value>
    hotKeys: HotKeys
    settings: CopySettings
    tier: NearTier<Id, Value> | undefined
  }) {
    this.#parts = options.parts
    this.#entity = options.entity
    this.#reader = options.reader
    this.#hotKeys = options.hotKeys
    this.#settings = options.settings
    this.#tier = options.tier
    // A copy is answered by a look alone, which no load joins: when its readers began matters to nobody.
    this.#looks = new Looks({
      parts: options.parts,
      now: () => 0,
      generation: ({ id }) => this.#tier?.generation(id),
      answer: (look, reply) => this.#answer(look, reply),
    })
  }

  /** `Reader.read`, by way of a copy if the key is hot. */
  async read(key: CacheKey, id: Id, span: ReadSpan = UNTOLD): Promise<Value | undefined> {
    const copy = this.#hotKeys.copyFor(key, this.#settings.copies)
    const isSpread = copy !== undefined && this.#mayUse(copy, key)
    const value = await (isSpread ? this.#readCopy(copy, key, id, span) : this.#reader.read(key, id, span))
    if (value === undefined && this.#settings.copies > 0) this.#noteAbsence(key)
    return value
  }

  /** `Reader.readMany`. */
  readMany(keys: readonly CacheKey[], ids: readonly Id[], span: ReadSpan = UNTOLD): Promise<(Value | undefined)[]> {
    return Promise.all(keys.map((key, at) => this.read(key, ids[at] as Id, span)))
  }

  /** Counts a read that this process' memory has answered. */
  recordNear(key: CacheKey): void {
    this.#hotKeys.record(key)
  }

  /** A copy whose fence this process could not deliver may hold what it has overwritten; so may that of an entry with such a fence, on another shard. */
  #mayUse(copy: CacheKey, key: CacheKey): boolean {
    if (this.#parts.isPending(copy) || this.#parts.isPending(key)) return false
    return (this.#absentUntilMs.get(key) ?? 0) <= this.#parts.clock.monotonicMs()
  }

  async #readCopy(copy: CacheKey, key: CacheKey, id: Id, span: ReadSpan): Promise<Value | undefined> {
    const look = this.#looks.join(copy, { key, id })
    const found = await this.#looks.answer(look, await look.replies)
    if ('value' in found) {
      span.answered(ANSWERED.copied)
      return look.count > 1 ? this.#reader.share(found.value) : found.value
    }
    const read = this.#reader.read(key, id, span)
    if (found.seen !== undefined) this.#makeBehind(copy, key, found.seen, read)
    return read
  }

  #answer(look: Look<Row<Id>, Found<Value>>, reply: Reply): Found<Value> {
    if (reply instanceof Error) return { seen: undefined }
    const { onHit, store } = this.#parts
    const { key, id } = look.id
    const held = this.#reader.inspect(key, reply, look.key)
    if (!held.usable) return { seen: held.seen }
    const { verdict, value, entry } = held
    if (verdict === 'stale' || value === undefined) return { seen: { bytes: reply, useless: false } }
    const hit = { type: 'hit', entity: this.#entity, tier: 'copy', verdict } as const
    if (onHit) for (let reader = 0; reader < look.count; reader++) onHit(hit)
    if (look.generation !== undefined) this.#reader.remember(id, held, look.generation)
    // The copy ends with the entry: whoever draws the lot refreshes that.
    if (verdict === 'early') this.#reader.refreshBehind(key, id, remainingOf(entry, store.nowMs()))
    return { value }
  }

  /** Makes a copy when its reader has been served, so that nobody waits for it. */
  #makeBehind(copy: CacheKey, key: CacheKey, seen: Seen, answer: Promise<Value | undefined>): void {
    if (this.#making.has(copy)) return
    this.#making.add(copy)
    this.#parts.background.run('copy', async () => {
      try {
        const value = await answer.catch(() => undefined)
        if (value !== undefined) await this.#make(copy, key, seen)
      } finally {
        this.#making.delete(copy)
      }
    })
  }

  async #make(copy: CacheKey, key: CacheKey, seen: Seen): Promise<void> {
    const { chance, store, emit } = this.#parts
    const token = chance.token()
    const { leaseMs } = this.#settings
    // Before the entry is read: a write that comes in between must find a lease to revoke.
    const lease = { key: copy, token, leaseMs, seen: seen.bytes, waitedFor: null }
    const reply = await store.lease(lease).catch(() => undefined)
    if (reply?.outcome !== 'leased') return
    const made = this.#copyOf(copy, key, await store.read(key).catch(() => null))
    if (made === undefined) return store.release({ key: copy, token, failure: null }).catch(() => {})
    const request = { ...made, key: copy, token, loadedFrom: 'primary', replacesNewer: seen.useless } as const
    const outcome = await store.fill(request).catch(() => 'unavailable' as const)
    emit({ type: 'fill', entity: this.#entity, key: copy, reason: 'copy', outcome })
  }

  /** What to store as a copy of the entry in these bytes; undefined when there is nothing in them to copy. */
  #copyOf(copy: CacheKey, key: CacheKey, bytes: StoredBytes | null) {
    const held = this.#reader.inspect(key, bytes)
    if (!held.usable || held.value === undefined || held.entry.version === undefined) return undefined
    const { entry } = held
    const { copyTtlMs, jitter } = this.#settings
    const remainingMs = Math.floor(remainingOf(entry, this.#parts.store.nowMs()))
    const freshMs = Math.min(remainingMs, jittered(copyTtlMs, jitter, this.#parts.chance))
    if (freshMs <= 0) return undefined
    // A copy that ends before its entry is made anew of that, by whoever misses it: its end is no reason to look at the entry, let alone to load.
    const loadMs = freshMs < remainingMs ? 0 : entry.loadMs
    const sealed = this.#parts.codec.seal({ ...entry, freshMs, loadMs }, copy)
    // The fences that a snapshot would be held against were held against the entry when it was filled.
    return { sealed, version: entry.version, snapshot: '', keepMs: freshMs }
  }

  #noteAbsence(key: CacheKey): void {
    keepLast(this.#absentUntilMs, key, this.#parts.clock.monotonicMs() + this.#settings.copyTtlMs, MAX_ABSENT)
  }
}
