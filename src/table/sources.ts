import { createIdCodec } from '../adapters/codec/id-codec.js'
import type { IntervalClass } from '../adapters/codec/interval-class.js'
import { freezeRow, handOut } from '../adapters/codec/read-only.js'
import { createRowCodec, type RowCodec } from '../adapters/codec/row-codec.js'
import type { TableFacts } from '../adapters/postgres/catalog.js'
import { identityOf, idFromRow, type KeyColumn } from '../adapters/postgres/key-column.js'
import { PostgresRowSource } from '../adapters/postgres/row-source.js'
import type { AnyDatabase } from '../adapters/postgres/row-writer.js'
import type { Clock } from '../core/clock.js'
import type { EmitEvent } from '../core/events.js'
import type { CanonicalId, LoadedRow } from '../core/ports.js'
import type { Version } from '../core/version.js'
import type { LoadedValue, ReadSource } from '../engine/filler.js'
import type { LoadGate } from '../engine/load-gate.js'
import { LoadQueue } from '../engine/load-queue.js'
import { rowLifetime } from '../policy/row-lifetime.js'

/** A table as its catalog shows it now, with the codecs that belong to that. Replaced as a whole when the table is altered. */
export interface TablePlan {
  readonly facts: TableFacts
  readonly rows: RowCodec
}

/** A looked-up row's id, and the row itself when it has just been loaded. */
export interface Found {
  readonly id: CanonicalId
  readonly loaded: LoadedRow | undefined
}

export interface SourceParts {
  readonly db: AnyDatabase
  readonly clock: Clock
  readonly gate: LoadGate
  readonly emit: EmitEvent
  readonly intervals: IntervalClass
  readonly schemaVersion: string
  readonly freshMs: number | ((row: object) => number)
  /** For a row about which that function says nothing of use. */
  readonly fixedFreshMs: number
  readonly absentMs: number
  readonly loadFrom: 'primary' | 'replica'
  /** The way to the replica, if there is one. */
  readonly replicaLoads?: { readonly db: AnyDatabase; readonly gate: LoadGate } | undefined
  /** The plan to load, encode and decode by now. */
  readonly plan: () => TablePlan
  readonly doubtShape: () => void
}

type Loads = LoadQueue<CanonicalId, LoadedValue<object>>

/** Ids in one SELECT at most. */
const MAX_IDS = 1_000

export function planOf(facts: TableFacts, options: Pick<SourceParts, 'intervals' | 'schemaVersion'>): TablePlan {
  const { intervals } = options
  intervals.learn(facts.interval)
  // Processes in different zones do not share such entries.
  const zone = facts.isLocal ? Intl.DateTimeFormat().resolvedOptions().timeZone : ''
  // What an entry's place and its stamp mean. Two services that differ in these would take each other's rows for something else.
  const [key, stamp] = [facts.key.map(({ column }) => column), facts.version?.column ?? null]
  const schemaVersion = JSON.stringify([options.schemaVersion, zone, key, stamp])
  return { facts, rows: createRowCodec({ columns: facts.columns, schemaVersion, intervals }) }
}

/** Rows of the table by its key. */
export function rowSource(parts: SourceParts): ReadSource<CanonicalId, object> {
  const load = loads(parts, ({ key }) => key)
  const { replicaLoads } = parts
  const lagging =
    replicaLoads && parts.loadFrom === 'replica'
      ? loads({ ...parts, ...replicaLoads }, ({ key }) => key, { from: 'replica' })
      : undefined
  return {
    entity: parts.plan().facts.entity,
    kind: 'row',
    shape: () => parts.plan().rows.shape,
    load: (id) => load.ask(id),
    loadFromReplica: lagging && ((id) => lagging.ask(id)),
    encode: (row) => parts.plan().rows.encode(row),
    decode: (payload) => parts.plan().rows.decode(payload),
    // The bytes inside a frozen row could still be changed.
    share: handOut,
    freshMs: (row) => freshMs(parts, row),
    doubtShape: parts.doubtShape,
  }
}

/** Ids of rows by the `at`-th list of unique columns. */
export function lookupSource(parts: SourceParts, at: number): ReadSource<CanonicalId, Found> {
  const load = loads(parts, ({ unique }) => unique[at] as readonly KeyColumn[])
  const { key, entity } = parts.plan().facts
  const columns = key.map(({ property, type }) => ({ property, type: type.name }))
  const ids = createIdCodec({ columns, schemaVersion: parts.schemaVersion })
  return {
    entity,
    kind: 'lookup',
    shape: () => ids.shape,
    load: async (value) => {
      const { value: row, ...loaded } = await load.ask(value)
      if (row === undefined) return { ...loaded, value: undefined }
      const id = idFromRow(parts.plan().facts.key, row) as CanonicalId
      return { ...loaded, value: { id, loaded: { row, version: loaded.version } } }
    },
    encode: ({ id }) => ids.encode(id),
    decode: (payload) => {
      const id = ids.decode(payload)
      return id && { id, loaded: undefined }
    },
    // A pointer that was fenced is read anew, and so must be the row it leads to: that has fences of its own.
    share: (found, isLate) => (isLate ? { id: found.id, loaded: undefined } : found),
    freshMs: (found) => freshMs(parts, found?.loaded?.row),
    doubtShape: parts.doubtShape,
  }
}

/** The stamps that rows have now, without the rows; probes of one tick as one statement, under the bulkhead. */
export function versionProbe(parts: SourceParts): LoadQueue<CanonicalId, Version | undefined> {
  const { clock, gate, db } = parts
  const { entity } = parts.plan().facts
  const load = (ids: readonly CanonicalId[]) => new PostgresRowSource({ db, facts: parts.plan().facts }).versions(ids)
  return new LoadQueue({ entity, clock, gate, maxIds: MAX_IDS, load })
}

/** Loads of one tick as one statement, under the bulkhead. Rows come frozen, because those who share a load share the row. */
function loads(
  parts: SourceParts,
  columns: (facts: TableFacts) => readonly KeyColumn[],
  origin: { readonly from?: 'replica' } = {},
): Loads {
  const { clock, gate, emit, db } = parts
  const { entity } = parts.plan().facts
  const load = async (ids: readonly CanonicalId[]) => {
    const { facts } = parts.plan()
    const startedMs = clock.monotonicMs()
    const report = (failure: { readonly error?: unknown }) =>
      emit({
        type: 'load',
        entity,
        ids: ids.length,
        durationMs: clock.monotonicMs() - startedMs,
        ...origin,
        ...failure,
      })
    try {
      const { rows, snapshot, loadedFrom } = await new PostgresRowSource({ db, facts, by: columns(facts) }).load(ids)
      report({})
      return rows.map(({ row, version }) => ({ value: row && freezeRow(row), version, snapshot, loadedFrom }))
    } catch (error) {
      report({ error })
      throw error
    }
  }
  return new LoadQueue({ entity, clock, gate, maxIds: MAX_IDS, nameOf: identityOf, load })
}

function freshMs(parts: SourceParts, row: object | undefined): number {
  if (row === undefined) return parts.absentMs
  if (typeof parts.freshMs === 'number') return parts.freshMs
  const { freshMs, refused } = rowLifetime(row, parts.freshMs, parts.fixedFreshMs)
  if (refused) parts.emit({ type: 'ttl.refused', entity: parts.plan().facts.entity, reason: refused, freshMs })
  return freshMs
}
