import type { CacheKey } from '../core/key.js'
import { ANSWERED, type ReadSpan, UNTOLD } from '../core/telemetry.js'
import type { LoadCost } from '../policy/load-cost.js'
import type { BatchedStore } from './batched-store.js'
import { BoundedReader } from './bounded-reader.js'
import { type EngineParts, Filler, type FillSettings, type LoadedValue, type ReadSource } from './filler.js'
import type { Invalidation } from './invalidation.js'
import type { LoadGate } from './load-gate.js'
import { MarkedEntries, type TableDependency } from './marked-entries.js'
import { type Marks, withMarks, withoutMarks } from './marked-payload.js'
import { Reader, type ReadSettings } from './reader.js'
import type { Singleflight } from './singleflight.js'
import type { Watermark } from './watermark.js'

/** One call of a query: with its parameters, and what its result depends on. */
export interface QueryCall {
  /** Stands for the statement, its parameters and the marks below. */
  readonly key: CacheKey
  readonly dependencies: readonly TableDependency[]
  /** The marks that decide whether a result is current; undefined where not every change removes them. */
  readonly provenBy: readonly CacheKey[] | undefined
  /** Runs the query. The snapshot is at least as old as what it saw; rows come frozen. */
  readonly run: () => Promise<LoadedRows>
}

export interface LoadedRows {
  readonly rows: readonly object[]
  readonly snapshot: string
  readonly loadedFrom: 'primary' | 'standby'
}

export type QueryConsistency = 'cached' | 'primary' | 'refresh' | number

interface Result extends Pick<LoadedRows, 'rows'> {
  /** Undefined: not to be stored. */
  readonly marks: Marks | undefined
}

/** Rows to bytes and back. Implementation: `adapters/codec/list-codec`. */
export interface RowsCodec {
  readonly shape: string
  encode(rows: readonly object[]): Uint8Array | { readonly uncacheable: string; readonly found: string }
  decode(payload: Uint8Array): readonly object[] | undefined
  /** What one of several readers of the same rows may have of them. */
  share(rows: readonly object[]): readonly object[]
}

export interface QueryReaderOptions {
  readonly parts: EngineParts & {
    readonly store: BatchedStore
    readonly flights: Singleflight<unknown>
    readonly gate: LoadGate
    readonly invalidation: Invalidation
    readonly watermark: Pick<Watermark, 'prove'>
  }
  readonly name: string
  /** All keys of the query begin with it. */
  readonly prefix: string
  readonly codec: RowsCodec
  readonly read: ReadSettings
  readonly fill: FillSettings
  readonly cost: LoadCost
  readonly freshMs: number
  /** Longer results are returned and not stored. */
  readonly maxRows: number
}

/**
 * Results of one named query through the cache: read, leased, filled, refreshed and shed as rows are, by the same `Reader` and
 * `Filler`, over entries that are current as long as the marks they carry are (`MarkedEntries`).
 */
export class QueryReader {
  readonly #options: QueryReaderOptions
  readonly #entries: MarkedEntries
  readonly #reader: Reader<QueryCall, Result>
  readonly #bounded: BoundedReader<QueryCall, Result>

  constructor(options: QueryReaderOptions) {
    const { parts, read, fill, cost, freshMs, prefix } = options
    this.#options = options
    this.#entries = new MarkedEntries({ parts, entryMs: freshMs + fill.graceMs })
    const source = this.#source()
    const emit: EngineParts['emit'] = (event) => {
      // What a query's entries carry is in their key, but for the marks: those are what has changed.
      const isOutdated = event.type === 'miss' && event.reason === 'other-shape'
      parts.emit(isOutdated ? { ...event, reason: 'outdated' } : event)
    }
    const entries = this.#entries
    const own = { ...parts, emit, store: entries, codec: entries, isPending: entries.isPending }
    const filler = new Filler({ parts: own, source, settings: fill, cost })
    this.#reader = new Reader({ parts: own, source, filler, flights: parts.flights, settings: read })
    const { invalidation, watermark } = parts
    const { entity } = source
    this.#bounded = new BoundedReader({
      ...{ parts: own, invalidation, prefix, entity, reader: this.#reader, filler, tier: undefined },
      hardTimeoutMs: read.hardTimeoutMs,
      // A result is as new as the marks that it is held against: those are what writers remove.
      prove: (_key, { provenBy }, boundMs) => provenBy && watermark.prove(provenBy, boundMs),
    })
  }

  /**
   * @param consistency `primary` passes the cache by, `refresh` brings it up to the database. A number: the longest that a committed
   * change may be missing, in milliseconds.
   * @throws SourceError, FillTimeoutError or OverloadedError if a needed load fails.
   */
  async read(call: QueryCall, consistency: QueryConsistency, span: ReadSpan = UNTOLD): Promise<readonly object[]> {
    this.#entries.expect(call.key, call.dependencies)
    if (consistency !== 'cached') span.answered(ANSWERED.bypassed)
    const result = await this.#ask(call, consistency, span)
    return (result as Result).rows
  }

  #ask(call: QueryCall, consistency: QueryConsistency, span: ReadSpan): Promise<Result | undefined> {
    if (typeof consistency === 'number') return this.#bounded.read(call.key, call, consistency, span)
    switch (consistency) {
      case 'cached':
        return this.#reader.read(call.key, call, span)
      case 'primary':
        return this.#reader.loadOnly(call.key, call)
      case 'refresh':
        return this.#reader.reload(call.key, call)
    }
  }

  #source(): ReadSource<QueryCall, Result> {
    const { name, codec, freshMs } = this.#options
    return {
      entity: name,
      kind: 'query',
      shape: () => codec.shape,
      load: (call) => this.#load(call),
      encode: (result) => this.#encode(result),
      decode: (payload) => {
        const rows = codec.decode(withoutMarks(payload))
        return rows && { rows, marks: undefined }
      },
      share: (result) => ({ ...result, rows: codec.share(result.rows) }),
      freshMs: () => freshMs,
      doubtShape: () => {},
    }
  }

  async #load(call: QueryCall): Promise<LoadedValue<Result>> {
    const { parts, name } = this.#options
    const startedMs = parts.clock.monotonicMs()
    const report = (error?: unknown) => {
      const durationMs = parts.clock.monotonicMs() - startedMs
      parts.emit({ type: 'load', entity: name, ids: 1, durationMs, ...(error === undefined ? {} : { error }) })
    }
    const marks = this.#entries.takenFor(call.key)
    try {
      const { rows, snapshot, loadedFrom } = await parts.gate.run(name, call.run)
      report()
      return { value: { rows, marks }, version: undefined, snapshot, loadedFrom }
    } catch (error) {
      report(error)
      throw error
    }
  }

  #encode({ rows, marks }: Result): Uint8Array | { uncacheable: string; found: string } {
    const { codec, maxRows } = this.#options
    if (marks === undefined) return { uncacheable: 'marks', found: 'no answer from the cache' }
    if (rows.length > maxRows) return { uncacheable: 'rows', found: `${rows.length} rows; maxRows is ${maxRows}` }
    const payload = codec.encode(rows)
    return 'uncacheable' in payload ? payload : withMarks(marks, payload)
  }
}
