import { handOut } from './adapters/codec/read-only.js'
import type { KeyColumn } from './adapters/postgres/key-column.js'
import type { CacheKey } from './core/key.js'
import type { CanonicalId } from './core/ports.js'
import type { Version } from './core/version.js'
import type { NearTier } from './engine/filler.js'
import type { Holder } from './engine/invalidation.js'
import type { FreshValue, L1, L1Slot } from './engine/l1.js'

/** Between the parts of a composite id in a slot: the one character no Postgres text can contain. */
const SEPARATOR = '\u0000'

/**
 * L1 of one table: translates between ids, cache keys and slots.
 *
 * A slot is what callers usually hold: for an integer key the number, for a text or uuid key the canonical string. Only
 * other spellings of an id, and composite ids, have to be brought into that form first.
 */
export class RowTier implements NearTier<CanonicalId, object>, Holder {
  readonly prefix: string
  readonly #l1: L1<object>
  readonly #isNumeric: boolean

  constructor(options: { l1: L1<object>; prefix: string; key: readonly KeyColumn[] }) {
    this.#l1 = options.l1
    this.prefix = options.prefix
    const [only, ...others] = options.key
    this.#isNumeric = others.length === 0 && ['smallint', 'integer', 'bigint'].includes(only?.type.name ?? '')
  }

  slotOf(id: CanonicalId): L1Slot {
    return this.#slot(id.length === 1 ? (id[0] as string) : id.join(SEPARATOR))
  }

  /** The inverse of `slotOf`. */
  idOf(slot: L1Slot): CanonicalId {
    return typeof slot === 'number' ? [String(slot)] : slot.split(SEPARATOR)
  }

  recall(slot: L1Slot, nowMs: number): Promise<object | undefined> | undefined {
    return this.#l1.recall(slot, nowMs)
  }

  peek(slot: L1Slot, nowMs: number): { readonly held: boolean; readonly value: object | undefined } {
    return this.#l1.peek(slot, nowMs)
  }

  generation(id: CanonicalId): number {
    return this.#l1.generation(this.slotOf(id))
  }

  remember(id: CanonicalId, fresh: FreshValue<object>, generation: number): void {
    // Each reader of a row with bytes needs bytes of its own, and one shared answer cannot give them.
    if (fresh.value !== undefined && handOut(fresh.value) !== fresh.value) return
    this.#l1.remember(this.slotOf(id), fresh, generation)
  }

  forget(key: CacheKey, { version }: { readonly version: Version | null }): void {
    const slot = this.#slotOfKey(key)
    // The id of an overlong key cannot be read back from it; such ids are rare enough to pay with everything.
    if (slot === undefined) this.#l1.clear()
    else this.#l1.forget(slot, version)
  }

  clear(): void {
    this.#l1.clear()
  }

  #slot(text: string): L1Slot {
    if (!this.#isNumeric) return text
    const number = Number(text)
    return Number.isSafeInteger(number) ? number : text
  }

  /** Reads the id back out of a key: the inverse of `cacheKey` for everything but digests. */
  #slotOfKey(key: CacheKey): L1Slot | undefined {
    const encoded = key.slice(this.prefix.length, -1)
    if (encoded.includes('~')) return undefined
    if (!encoded.includes('%') && !encoded.includes(',')) return this.#slot(encoded)
    try {
      return this.#slot(encoded.split(',').map(decodeURIComponent).join(SEPARATOR))
    } catch {
      return undefined
    }
  }
}
