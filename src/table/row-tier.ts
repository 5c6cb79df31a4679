import { handOut } from '../adapters/codec/read-only.js'
import type { KeyColumn } from '../adapters/postgres/key-column.js'
import type { Clock } from '../core/clock.js'
import { type CacheKey, cacheKey } from '../core/key.js'
import type { CanonicalId, StoredBytes } from '../core/ports.js'
import type { NearFigures } from '../core/telemetry.js'
import type { Version } from '../core/version.js'
import type { ProvenTier } from '../engine/bounded-reader.js'
import type { AnnouncedChange } from '../engine/bus-message.js'
import type { EngineParts } from '../engine/filler.js'
import type { Floors, HeldRows } from '../engine/floors.js'
import type { Holder } from '../engine/invalidation.js'
import { type FreshValue, L1, type L1Options, type L1Slot, NOT_HELD } from '../engine/l1.js'

/** Between the parts of a composite id in a slot: the one character no Postgres text can contain. */
const SEPARATOR = '\u0000'

type TakeOver = (key: CacheKey, id: CanonicalId, entry: StoredBytes, version: Version | null) => void

/** Begins the digest of an overlong part in a key, and occurs nowhere else in one. */
const DIGEST = '~'
/** Characters that even at nine each, `%XX%XX%XX`, do not make a part overlong. */
const SURELY_SHORT = 22

/**
 * L1 of one table: translates between ids, cache keys and slots.
 *
 * A slot is what callers usually hold: for an integer key the number, for a text or uuid key the canonical string. Only
 * other spellings of an id, and composite ids, have to be brought into that form first.
 */
export class RowTier implements ProvenTier<CanonicalId, object>, Holder, HeldRows, NearFigures {
  readonly prefix: string
  readonly #l1: L1<object>
  readonly #clock: Pick<Clock, 'monotonicMs'>
  readonly #floors: Floors | undefined
  readonly #isLive: (nowMs: number) => boolean
  readonly #takeOver: TakeOver | undefined
  readonly #onHit: ((id: CanonicalId) => void) | undefined
  readonly #isNumeric: boolean
  /** The key is one column: then what callers give may be a slot as it is. A text for several is no id, whatever it looks like. */
  readonly #isSingle: boolean
  /** All who hold rows of the table, this one among them. */
  readonly #ofTable: readonly HeldRows[]
  /** Of the row, where the key is one column. */
  readonly #property: string
  #hits = 0

  constructor(options: {
    l1: Omit<L1Options<object>, 'onLetGo' | 'clock'>
    prefix: string
    key: readonly KeyColumn[]
    /** Its rows stand in for theirs. Left out: the table has no stamp. */
    floors?: Floors | undefined
    clock: Pick<Clock, 'monotonicMs'>
    /** Whether what this process holds may be trusted at this monotonic time. */
    isLive: (nowMs: number) => boolean
    /** Keeps a row that its writer has published, if it can be served here. Left out: published rows are only dropped. */
    takeOver?: TakeOver
    /** Told of each read that is answered here, but for bounded ones. */
    onHit?: ((id: CanonicalId) => void) | undefined
  }) {
    const { floors, clock } = options
    const onLetGo: L1Options<object>['onLetGo'] = (slot, version) =>
      floors?.isLetGo(cacheKey(this.prefix, this.idOf(slot)), version)
    this.#l1 = new L1({ ...options.l1, clock, ...(floors && { onLetGo }) })
    this.#floors = floors
    this.prefix = options.prefix
    this.#ofTable = floors?.standIn(options.prefix, this) ?? []
    this.#clock = options.clock
    this.#isLive = options.isLive
    this.#takeOver = options.takeOver
    this.#onHit = options.onHit
    const [only, ...others] = options.key
    this.#isSingle = others.length === 0
    this.#property = only?.property ?? ''
    this.#isNumeric = others.length === 0 && ['smallint', 'integer', 'bigint'].includes(only?.type.name ?? '')
  }

  slotOf(id: CanonicalId): L1Slot {
    return this.#slot(id.length === 1 ? (id[0] as string) : id.join(SEPARATOR))
  }

  /** The inverse of `slotOf`. */
  idOf(slot: L1Slot): CanonicalId {
    return typeof slot === 'number' ? [String(slot)] : slot.split(SEPARATOR)
  }

  /** `recall` for an id as a caller spells it, which is nearly always the canonical form. */
  recallGiven(id: unknown): Promise<object | undefined> | undefined {
    return this.#isSlot(id) ? this.recall(id) : undefined
  }

  /** `recallValue` for the same. */
  recallGivenValue(id: unknown): object | undefined | typeof NOT_HELD {
    return this.#isSlot(id) ? this.recallValue(id) : NOT_HELD
  }

  /** The answer that is held, if it may be trusted now: asked at every read, because a process may have been stopped since the last. */
  recall(slot: L1Slot): Promise<object | undefined> | undefined {
    const nowMs = this.#clock.monotonicMs()
    if (!this.#isLive(nowMs)) return undefined
    const answer = this.#l1.recall(slot, nowMs)
    if (answer !== undefined) this.#hit(slot)
    return answer
  }

  /** The same without a promise. */
  recallValue(slot: L1Slot): object | undefined | typeof NOT_HELD {
    const nowMs = this.#clock.monotonicMs()
    if (!this.#isLive(nowMs)) return NOT_HELD
    const value = this.#l1.recallValue(slot, nowMs)
    if (value !== NOT_HELD) this.#hit(slot)
    return value
  }

  recallProven(id: CanonicalId, leastMs: number): { readonly value: object | undefined } | undefined {
    const nowMs = this.#clock.monotonicMs()
    if (!this.#isLive(nowMs)) return undefined
    const answer = this.#l1.recallProven(this.slotOf(id), nowMs, leastMs)
    if (answer !== undefined) this.#hits++
    return answer
  }

  /** What is held, and whether it may be trusted now; without a promise. */
  look(slot: L1Slot): { readonly trusted: boolean; readonly held: boolean; readonly value: object | undefined } {
    const nowMs = this.#clock.monotonicMs()
    return { trusted: this.#isLive(nowMs), ...this.#l1.peek(slot, nowMs) }
  }

  /** What is held and would answer now, one by one. */
  *held(): Generator<{ readonly id: CanonicalId; readonly value: object | undefined }> {
    const nowMs = () => this.#clock.monotonicMs()
    for (const { slot, value } of this.#l1.held(nowMs)) {
      if (!this.#isLive(nowMs())) return
      yield { id: this.idOf(slot), value }
    }
  }

  /** The same of an id, and how long it counts as fresh. */
  lookFor(id: CanonicalId) {
    const slot = this.slotOf(id)
    return { ...this.look(slot), freshForMs: this.freshForMs(slot) }
  }

  freshForMs(slot: L1Slot): number | undefined {
    return this.#l1.freshForMs(slot, this.#clock.monotonicMs())
  }

  /** Reads that were answered here. A plain number, because counting must not cost more than answering. */
  get hits(): number {
    return this.#hits
  }

  get entries(): number {
    return this.#l1.entries
  }

  get bytes(): number {
    return this.#l1.bytes
  }

  generation(id: CanonicalId): number {
    return this.#l1.generation(this.slotOf(id))
  }

  remember(id: CanonicalId, fresh: FreshValue<object>, generation: number): void {
    // Each reader of a row with bytes needs bytes of its own, and one shared answer cannot give them.
    if (fresh.value !== undefined && handOut(fresh.value) !== fresh.value) return
    if (!this.#canBeFound(id)) return
    const slot = this.#ownSlot(id, fresh.value)
    if (!this.#l1.remember(slot, fresh, generation) || this.#floors === undefined) return
    const version = this.#l1.versionOf(slot)
    if (version !== undefined) this.#floors.isHeld(cacheKey(this.prefix, id), version)
  }

  /** See `HeldRows`. */
  versionOf(key: CacheKey): Version | undefined {
    const slot = this.#slotOfKey(key)
    return slot === undefined ? undefined : this.#l1.versionOf(slot)
  }

  /** See `HeldRows`. */
  letGo(key: CacheKey): void {
    const slot = this.#slotOfKey(key)
    if (slot !== undefined) this.#l1.letGo(slot)
  }

  forget(key: CacheKey, { version, entry }: Pick<AnnouncedChange, 'version' | 'entry'>): void {
    const slot = this.#slotOfKey(key)
    if (slot === undefined || !this.#l1.forget(slot, version)) return
    // In place only: what nobody reads here is not taken in.
    if (entry !== undefined) this.#takeOver?.(key, this.idOf(slot), entry, version)
  }

  outdate(id: CanonicalId, version: Version | null): void {
    this.#l1.outdate(this.slotOf(id), version)
    if (this.#ofTable.length > 1) this.#floors?.dropOlder(cacheKey(this.prefix, id), version)
  }

  /** See `HeldRows`. */
  dropOlder(key: CacheKey, version: Version | null): void {
    const slot = this.#slotOfKey(key)
    if (slot !== undefined) this.#l1.outdate(slot, version)
  }

  clear(): void {
    this.#l1.clear()
  }

  #isSlot(id: unknown): id is L1Slot {
    return this.#isSingle && (typeof id === 'number' || typeof id === 'string')
  }

  #hit(slot: L1Slot): void {
    this.#hits++
    this.#onHit?.(this.idOf(slot))
  }

  /**
   * A slot that may be kept. A caller's id can be a slice of something large, a URL or a body, and would keep all of that. The row has
   * mostly the same text, which is kept anyway; joined parts are a text of their own.
   */
  #ownSlot(id: CanonicalId, row: object | undefined): L1Slot {
    const slot = this.slotOf(id)
    if (typeof slot === 'number' || !this.#isSingle) return slot
    const own = (row as Readonly<Record<string, unknown>> | undefined)?.[this.#property]
    return own === slot ? own : slot.split('').join('')
  }

  #slot(text: string): L1Slot {
    if (!this.#isNumeric) return text
    const number = Number(text)
    return Number.isSafeInteger(number) ? number : text
  }

  /** A change carries only the key, and from the digest of an overlong id that cannot be read back: such rows are not held. */
  #canBeFound(id: CanonicalId): boolean {
    if (this.#isNumeric || id.every((part) => part.length <= SURELY_SHORT)) return true
    return !this.#idIn(cacheKey(this.prefix, id)).includes(DIGEST)
  }

  /** Reads the id back out of a key: the inverse of `cacheKey` for everything but digests. */
  #slotOfKey(key: CacheKey): L1Slot | undefined {
    const encoded = this.#idIn(key)
    if (encoded.includes(DIGEST)) return undefined
    if (!encoded.includes('%') && !encoded.includes(',')) return this.#slot(encoded)
    try {
      return this.#slot(encoded.split(',').map(decodeURIComponent).join(SEPARATOR))
    } catch {
      return undefined
    }
  }

  #idIn(key: CacheKey): string {
    return key.slice(this.prefix.length, -1)
  }
}

/** Tells of reads that memory answers; undefined where nobody wants to know, so that a hit need not even name its id. */
export function nearHits(
  { onHit }: Pick<EngineParts, 'onHit'>,
  { hotKeys }: { readonly hotKeys: unknown },
  entity: string,
  record: (id: CanonicalId) => void,
): ((id: CanonicalId) => void) | undefined {
  if (onHit === undefined && hotKeys === undefined) return undefined
  return (id) => {
    onHit?.({ type: 'hit', entity, tier: 'l1', verdict: 'fresh' })
    record(id)
  }
}
