import type { Chance } from '../core/clock.js'
import type { EntryKind } from '../core/entry.js'
import type { CorralEvent } from '../core/events.js'
import type { CacheKey } from '../core/key.js'
import type { EntryCodec, SealedEntry } from '../core/ports.js'
import type { Version } from '../core/version.js'
import { jittered } from '../policy/jitter.js'
import type { LoadCost } from '../policy/load-cost.js'

/** One of a value's properties would not come back as it was. */
export interface Uncacheable {
  readonly uncacheable: string
  readonly found: string
}

/** Why a value is not stored. */
export type Refused =
  | (Uncacheable & { readonly refused: 'uncacheable' })
  | { readonly refused: 'oversized'; readonly sizeBytes: number; readonly maxBytes: number }

/** What there is to know of a source's values to make entries of them. See `ReadSource`. */
export interface SealedSource<Value> {
  readonly kind: Exclude<EntryKind, 'absent'>
  shape(): string
  encode(value: Value): Uint8Array | Uncacheable
  freshMs(value: Value | undefined): number
}

/** A value as it is going to be stored. */
export interface SealedValue {
  readonly sealed: SealedEntry
  /** What the store holds it against. */
  readonly version: Version | undefined
  readonly freshMs: number
  /** Grace included. */
  readonly keepMs: number
  readonly sizeBytes: number
}

/** Longest snapshot an entry carries, in characters: some 200 open transactions. The wire allows 9 999. */
const LONGEST_SNAPSHOT = 4_000

/** Makes entries of the values of one source, loaded or just written: payload, lifetime, header. */
export class Sealer<Value> {
  readonly #parts: { readonly codec: EntryCodec; readonly chance: Chance; readonly epoch: () => string }
  readonly #source: SealedSource<Value>
  readonly #settings: { readonly jitter: number; readonly graceMs: number }
  readonly #cost: LoadCost

  constructor(options: {
    parts: { readonly codec: EntryCodec; readonly chance: Chance; readonly epoch: () => string }
    source: SealedSource<Value>
    settings: { readonly jitter: number; readonly graceMs: number }
    /** What a load costs, which the entry carries for early refresh. */
    cost: LoadCost
  }) {
    this.#parts = options.parts
    this.#source = options.source
    this.#settings = options.settings
    this.#cost = options.cost
  }

  /**
   * The sealed entry, or why this value cannot be stored.
   *
   * @param made `ageMs`: how long ago the database was asked; the value is no younger than that. `isRefresh`: its time was drawn by
   * lot already, and gets no jitter. `epoch`: of a load, the epoch before it began, because a later one may have ended what was loaded. Default: the current one.
   */
  seal(made: {
    /** Under which it is going to lie. */
    key: CacheKey
    value: Value | undefined
    version: Version | undefined
    snapshot: string
    epoch?: string
    ageMs?: number
    isRefresh?: boolean
  }): SealedValue | Refused {
    const { key, value, version, snapshot, epoch = this.#parts.epoch(), ageMs = 0, isRefresh = false } = made
    const { codec, chance } = this.#parts
    const { kind } = this.#source
    const payload = value === undefined ? new Uint8Array(0) : this.#source.encode(value)
    if ('uncacheable' in payload) return { ...payload, refused: 'uncacheable' }
    const maxBytes = codec.maxEntryBytes
    if (payload.length > maxBytes) return { refused: 'oversized', sizeBytes: payload.length, maxBytes }
    const lifeMs = jittered(this.#source.freshMs(value), isRefresh ? 0 : this.#settings.jitter, chance)
    // Nothing is served longer than its TTL after it was read, however slow the load was.
    const freshMs = Math.max(1, Math.floor(lifeMs - ageMs))
    const entry = {
      kind: value === undefined ? 'absent' : kind,
      shape: this.#source.shape(),
      version,
      snapshot: version === undefined ? shortened(snapshot) : undefined,
      freshMs,
      loadMs: this.#cost.estimateMs,
      epoch,
      payload,
    } as const
    const sealed = codec.seal(entry, key)
    return {
      sealed,
      // The stamps of two rows that a lookup has led to one after the other say nothing about which came later.
      version: kind === 'row' ? version : undefined,
      freshMs,
      keepMs: freshMs + this.#settings.graceMs,
      sizeBytes: payload.length,
    }
  }
}

/** Tells that a value was not stored, and why. */
export function refusalEvent(entity: string, key: CacheKey, refused: Refused): CorralEvent {
  if (refused.refused === 'uncacheable') {
    return { type: 'entry.uncacheable', entity, property: refused.uncacheable, found: refused.found }
  }
  const { sizeBytes, maxBytes } = refused
  return { type: 'entry.oversized', entity, key, sizeBytes, maxBytes }
}

/** A snapshot of very many open transactions, as one that sees less: everything from the oldest of them on counts as unseen. */
function shortened(snapshot: string): string {
  if (snapshot.length <= LONGEST_SNAPSHOT) return snapshot
  const xmin = snapshot.slice(0, snapshot.indexOf(':'))
  return `${xmin}:${xmin}:`
}
