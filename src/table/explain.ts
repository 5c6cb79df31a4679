import { isDeepStrictEqual } from 'node:util'
import type { Entry } from '../core/entry.js'
import type { CacheKey } from '../core/key.js'
import type { CanonicalId, LoadedRow, StoredState } from '../core/ports.js'
import type { EngineParts } from '../engine/filler.js'
import { type Demands, judge } from '../policy/verdict.js'

/** What is known of one row in every place that may hold a copy of it. Values are compared, never shown. */
export interface Explanation {
  readonly key: string
  readonly database: { readonly exists: boolean; readonly version: string | undefined }
  readonly l1: {
    /** Whether this process trusts its own memory now: it hears the bus. */
    readonly trusted: boolean
    readonly held: boolean
    /** Of the row that is held. */
    readonly version: string | undefined
    /** Until it is asked for elsewhere again. */
    readonly freshForMs: number | undefined
    /** What is held differs from the row in the database. */
    readonly drift: boolean
  }
  readonly l2: ExplainedEntry
  /** Versions below this one are refused. */
  readonly fence: string | null
  /** Somebody is filling. */
  readonly lease: { readonly remainingMs: number } | null
  /** Code of the last failed load that somebody may still be told of. */
  readonly failure: string | null
  /** The lowest version this process may show. */
  readonly floor: { readonly version: string; readonly absent: boolean } | null
  /** The cache has not acknowledged a fence of this process yet: it is not asked for this key. */
  readonly pending: boolean
  /** The copies it may have if it is hot, in their order; none for a repository without. */
  readonly copies: readonly ExplainedCopy[]
}

export interface ExplainedCopy {
  readonly key: string
  readonly entry: ExplainedEntry
  readonly fence: string | null
  readonly pending: boolean
}

export type ExplainedEntry =
  | { readonly state: 'nothing' | 'unavailable' }
  /** A reader takes it for a miss. `payload`: its contents cannot be decoded here. */
  | { readonly state: 'unreadable'; readonly reason: string }
  | {
      readonly state: 'held'
      readonly kind: Entry['kind']
      readonly version: string | undefined
      /** What a read would make of it. */
      readonly verdict: string
      readonly ageMs: number
      /** Until it counts as expired; negative within the grace window. */
      readonly freshForMs: number
      /** Until the cache itself forgets it. */
      readonly storedForMs: number
      /** It differs from the row in the database; of an entry of another shape, its version does. */
      readonly drift: boolean
    }

export interface ExplainParts {
  readonly engine: EngineParts
  readonly demands: Demands
  readonly decode: (payload: Uint8Array) => object | undefined
  /** Keys of the copies that this key may have. */
  readonly copies: readonly CacheKey[]
  readonly load: (id: CanonicalId) => Promise<LoadedRow>
  readonly inspect: (key: CacheKey) => Promise<StoredState>
  readonly near: () => NearState
  readonly versionOf: (row: object) => string | undefined
}

/** What this process' memory holds. */
export interface NearState {
  readonly trusted: boolean
  readonly held: boolean
  readonly value: object | undefined
  readonly freshForMs: number | undefined
}

/** Looks everywhere a copy of the row may be and at the row itself, which is read last: what was older before it is drift. */
export async function explain(parts: ExplainParts, key: CacheKey, id: CanonicalId): Promise<Explanation> {
  const { engine } = parts
  const { trusted, held, value, freshForMs } = parts.near()
  const inspect = (at: CacheKey) => parts.inspect(at).catch(() => undefined)
  const [stored, ...copies] = await Promise.all([key, ...parts.copies].map(inspect))
  const loaded = await parts.load(id)
  const { row, version } = loaded
  const floor = engine.floors.get(key)
  return {
    key,
    database: { exists: row !== undefined, version },
    l1: {
      trusted,
      held,
      version: value && parts.versionOf(value),
      freshForMs: freshForMs && Math.round(freshForMs),
      drift: held && !isDeepStrictEqual(value, row),
    },
    l2: explainEntry(parts, key, stored, loaded, floor),
    fence: stored?.fence ?? null,
    lease: stored?.lease ? { remainingMs: stored.lease.remainingMs } : null,
    failure: stored?.failure ?? null,
    floor: floor ? { version: floor.version, absent: floor.absent } : null,
    pending: engine.isPending(key),
    copies: parts.copies.map((copy, at) => ({
      key: copy,
      entry: explainEntry(parts, copy, copies[at], loaded, floor),
      fence: copies[at]?.fence ?? null,
      pending: engine.isPending(copy),
    })),
  }
}

function explainEntry(
  parts: ExplainParts,
  key: CacheKey,
  stored: StoredState | undefined,
  loaded: LoadedRow,
  floor: Parameters<typeof judge>[2],
): ExplainedEntry {
  if (stored === undefined) return { state: 'unavailable' }
  if (stored.bytes === null) return { state: 'nothing' }
  const entry = parts.engine.codec.open(stored.bytes, key)
  if ('unreadable' in entry) return { state: 'unreadable', reason: entry.unreadable }
  const nowMs = parts.engine.store.nowMs()
  const isDecoded = entry.kind !== 'absent' && entry.shape === parts.demands.shape
  const held = isDecoded ? parts.decode(entry.payload) : undefined
  if (isDecoded && held === undefined) return { state: 'unreadable', reason: 'payload' }
  return {
    state: 'held',
    kind: entry.kind,
    version: entry.version,
    verdict: judge(entry, nowMs, floor, parts.demands, parts.engine.chance),
    ageMs: Math.round(nowMs - entry.filledAtMs),
    freshForMs: Math.round(entry.filledAtMs + entry.freshMs - nowMs),
    storedForMs: stored.remainingMs ?? 0,
    drift: isDecoded ? !isDeepStrictEqual(held, loaded.row) : differsUnread(entry, loaded),
  }
}

/** Of an absence, or an entry of another shape, whose contents do not count. */
function differsUnread({ kind, version }: Entry, loaded: LoadedRow): boolean {
  if (kind === 'absent' || loaded.row === undefined) return (kind === 'absent') !== (loaded.row === undefined)
  return version !== undefined && loaded.version !== undefined && version !== loaded.version
}
