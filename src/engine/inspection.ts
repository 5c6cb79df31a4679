import type { Entry } from '../core/entry.js'
import type { MissReason } from '../core/events.js'
import type { CacheKey } from '../core/key.js'
import type { StoredBytes, UnreadableReason } from '../core/ports.js'
import { type Demands, type Floor, judge, type Verdict } from '../policy/verdict.js'
import type { Judge, Seen } from './filler.js'
import { KnownEntries } from './known-entries.js'
import type { EngineParts, ReadSource } from './read-source.js'

/** What a reader holds in its hands after the look. */
export type Held<Value> =
  | {
      readonly usable: true
      readonly verdict: 'fresh' | 'early' | 'stale'
      readonly entry: Entry
      readonly value: Value | undefined
    }
  | { readonly usable: false; readonly reason: MissReason; readonly seen: Seen }

export interface InspectionSettings {
  readonly graceMs: number
  /** XFetch's beta; 0 turns early refresh off. */
  readonly beta: number
  /** Largest share of the TTL by which a refresh may come early. */
  readonly maxEarliness: number
  /** Longest head start of a refresh, in load times. Undefined: as long as the draw gives. */
  readonly maxLoads?: number
}

/** Whether somebody who waits for a fill may be shown what another process has stored. Not what has expired: that only helps out. */
export function admitted<Value>(held: Held<Value>, bytes: StoredBytes | null): ReturnType<Judge<Value>> {
  if (!held.usable) return held.seen
  if (held.verdict === 'stale') return { bytes, useless: false }
  return { value: held.value, version: held.entry.version ?? null }
}

/** Opens what the cache holds, which nobody vouches for, and says whether a reader of this source may have it. */
export class Inspection<Id, Value> {
  readonly #parts: EngineParts
  readonly #source: ReadSource<Id, Value>
  readonly #settings: InspectionSettings
  readonly #known: KnownEntries<Value> | undefined
  #held: Demands | undefined

  /** @param options.knownBytes how much may be kept to recognize entries by. 0: nothing, so each is decoded at every read. */
  constructor(options: {
    parts: EngineParts
    source: ReadSource<Id, Value>
    settings: InspectionSettings
    knownBytes: number
  }) {
    this.#parts = options.parts
    this.#source = options.source
    this.#settings = options.settings
    this.#known = options.knownBytes > 0 ? new KnownEntries(options.knownBytes) : undefined
  }

  /** @param at where the bytes were found, if that is a copy of the key's entry. */
  inspect(key: CacheKey, bytes: StoredBytes | null, at: CacheKey = key): Held<Value> {
    if (bytes === null) return { usable: false, reason: 'nothing', seen: { bytes, useless: false } }
    const known = this.#known?.recognize(at, bytes)
    const entry = known?.entry ?? this.#parts.codec.open(bytes, at)
    if ('unreadable' in entry) return this.#unreadable(at, bytes, entry.unreadable)
    const { floors } = this.#parts
    const floor = floors.get(key)
    const verdict = this.#mayLackOwnWrite(key, entry) ? 'below-floor' : this.judge(entry, floor)
    if (verdict === 'other-shape') this.#source.doubtShape()
    if (verdict !== 'fresh' && verdict !== 'early' && verdict !== 'stale') {
      return { usable: false, reason: verdict, seen: { bytes, useless: verdict.startsWith('other') } }
    }
    if (entry.kind === 'absent') return { usable: true, verdict, entry, value: undefined }
    const value = known ? known.value : this.#decode(at, bytes, entry)
    if (value === undefined) return this.#unreadable(at, bytes, 'payload')
    if (entry.version !== undefined && entry.kind === 'row') floors.raise(key, entry.version, false, floor)
    return { usable: true, verdict, entry, value }
  }

  judge(entry: Entry, floor: Floor | undefined): Verdict {
    return judge(entry, this.#parts.store.nowMs(), floor, this.demands(), this.#parts.chance)
  }

  /** Of what no version orders: a cache that has forgotten this process' fence shows again what was there before it. */
  #mayLackOwnWrite(key: CacheKey, { kind, version, filledAtMs }: Entry): boolean {
    if (kind === 'row' && version !== undefined) return false
    return this.#parts.floors.wasFencedSince(key, filledAtMs, this.#parts.store.nowMs())
  }

  /** What entries must be to be served. One object for all reads, made anew only when the table's shape or the epoch has changed. */
  demands(): Demands {
    const shape = this.#source.shape()
    const epoch = this.#parts.epoch()
    if (this.#held?.shape === shape && this.#held.epoch === epoch) return this.#held
    const { graceMs, beta, maxEarliness, maxLoads } = this.#settings
    const early = { beta, maxEarliness, ...(maxLoads === undefined ? {} : { maxLoads }) }
    this.#held = { shape, epoch, graceMs, early }
    // Entries of another shape or epoch are not served any more: there is no use in recognizing them.
    this.#known?.clear()
    return this.#held
  }

  #decode(at: CacheKey, bytes: StoredBytes, entry: Entry): Value | undefined {
    if (entry.kind !== this.#source.kind) return undefined
    const value = this.#source.decode(entry.payload)
    // What each reader gets a copy of is not handed out twice.
    if (this.#known !== undefined && value !== undefined && this.#source.share(value, false) === value) {
      this.#known.keep(at, bytes, entry, value)
    }
    return value
  }

  #unreadable(at: CacheKey, bytes: StoredBytes, reason: UnreadableReason | 'payload'): Held<Value> {
    this.#parts.emit({ type: 'entry.unreadable', entity: this.#source.entity, key: at, reason })
    return { usable: false, reason: 'unreadable', seen: { bytes, useless: true } }
  }
}
