import type { IntervalClass } from '../adapters/codec/interval-class.js'
import type { TableRequest } from '../adapters/postgres/catalog.js'
import type { RelationDirectory } from '../adapters/postgres/relation-directory.js'
import type { AnyDatabase } from '../adapters/postgres/row-writer.js'
import type { Telemetry } from '../core/telemetry.js'
import type { BatchedStore } from '../engine/batched-store.js'
import type { Calls } from '../engine/calls.js'
import type { EngineParts, FillSettings } from '../engine/filler.js'
import type { HotKeys } from '../engine/hot-keys.js'
import type { Invalidation } from '../engine/invalidation.js'
import type { LoadGate } from '../engine/load-gate.js'
import type { ReadSettings } from '../engine/reader.js'
import type { Singleflight } from '../engine/singleflight.js'
import type { Watermark } from '../engine/watermark.js'
import type { HotRowOptions } from './hot-rows.js'

/** A repository's options, resolved. */
export interface TableOptions extends TableRequest {
  readonly schemaVersion: string
  readonly read: ReadSettings
  readonly fill: FillSettings
  readonly absentMs: number
  readonly freshMs: number | ((row: object) => number)
  readonly fixedFreshMs: number
  readonly l1: { readonly maxEntries: number; readonly maxBytes: number; readonly maxAgeMs: number }
  /** Most that is kept to recognize rows by, where memory holds none. */
  readonly knownBytes: number
  readonly hotKeys: HotRowOptions | undefined
  /** Largest payload that a write publishes; 0: writes only drop. */
  readonly publishBytes: number
  readonly loadFrom: 'primary' | 'replica'
}

/** What an instance shares among its tables. */
export interface TableParts extends EngineParts {
  readonly store: BatchedStore
  readonly db: AnyDatabase
  readonly namespace: string
  readonly gate: LoadGate
  /** A standby and the bulkhead before it; undefined: all loads go to `db`. */
  readonly replicaLoads: { readonly db: AnyDatabase; readonly gate: LoadGate } | undefined
  readonly flights: Singleflight<unknown>
  readonly invalidation: Invalidation
  readonly intervals: IntervalClass
  readonly hotKeys: HotKeys
  readonly relations: RelationDirectory
  readonly telemetry: Telemetry
  readonly calls: Calls
  readonly watermark: Pick<Watermark, 'prove'>
  /** Whether every change of a table reaches the cache, whoever makes it; what the watermark says counts for such tables only. */
  readonly isRelayed: (entity: string) => boolean
  /** Whether what this process holds may be trusted at this monotonic time. */
  readonly isLive: (nowMs: number) => boolean
}
