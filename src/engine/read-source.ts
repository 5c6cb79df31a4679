import type { Chance, Clock } from '../core/clock.js'
import type { EmitEvent } from '../core/events.js'
import type { CacheKey } from '../core/key.js'
import type { EntryCodec } from '../core/ports.js'
import type { Telemetry } from '../core/telemetry.js'
import type { Version } from '../core/version.js'
import type { Background } from './background.js'
import type { BatchedStore } from './batched-store.js'
import type { Floors } from './floors.js'
import type { ReplicaTrust } from './replica-trust.js'
import type { Uncacheable } from './sealer.js'

/** What a reader reads: one table by its key, one unique column, or one query. */
export interface ReadSource<Id, Value> {
  readonly entity: string
  readonly kind: 'row' | 'lookup' | 'query'
  /** Fingerprint of what `encode` writes now; entries of another shape are not decoded. */
  shape(): string
  /** Reads the database. Loads of one tick may travel in one statement. */
  load(id: Id): Promise<LoadedValue<Value>>
  /** The same from a replica, which may lag behind. Left out: only the primary is asked. */
  readonly loadFromReplica?: ((id: Id) => Promise<LoadedValue<Value>>) | undefined
  encode(value: Value): Uint8Array | Uncacheable
  /** Undefined when the payload is malformed. Never throws. */
  decode(payload: Uint8Array): Value | undefined
  /**
   * What one of several readers who were given the same value may have of it: the value itself, or a copy.
   *
   * @param isLate the reader began after the database was asked. No fence of this key came in between; of others it knows nothing.
   */
  share(value: Value, isLate: boolean): Value
  /** How long this value may count as fresh, before jitter. Undefined value: an absence. */
  freshMs(value: Value | undefined): number
  /** An entry of another shape was met, or a value did not fit ours: the table may have been altered. */
  doubtShape(): void
}

export interface LoadedValue<Value> {
  readonly value: Value | undefined
  readonly version: Version | undefined
  readonly snapshot: string
  readonly loadedFrom: 'primary' | 'standby'
}

/** What every reader and filler of one instance shares. */
export interface EngineParts {
  readonly store: Pick<BatchedStore, 'departures' | 'ask' | 'read' | 'lease' | 'fill' | 'release' | 'nowMs'>
  readonly codec: EntryCodec
  readonly clock: Clock
  readonly chance: Chance
  readonly floors: Floors
  readonly background: Background
  readonly emit: EmitEvent
  /** Left out: nobody listens. */
  readonly telemetry?: Telemetry
  /** `emit` for hits, or undefined when nobody listens: a hit must not even build an event then. */
  readonly onHit: EmitEvent | undefined
  readonly epoch: () => string
  /** The cache has not acknowledged a fence of this key yet, so what it holds may be what this process has overwritten. */
  readonly isPending: (key: CacheKey) => boolean
  /** Whether the replica may be believed now; undefined: there is none. */
  readonly replica?: ReplicaTrust | undefined
}
