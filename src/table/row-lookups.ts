import { handOut } from '../adapters/codec/read-only.js'
import { canonicalId, IMPOSSIBLE, idFromRow, type KeyColumn } from '../adapters/postgres/key-column.js'
import type { CacheKey } from '../core/key.js'
import type { CanonicalId } from '../core/ports.js'
import { ANSWERED, type ReadSpan } from '../core/telemetry.js'
import { compareVersions, type Version } from '../core/version.js'
import type { BoundedReader } from '../engine/bounded-reader.js'
import type { Reader } from '../engine/reader.js'
import type { Floor } from '../policy/verdict.js'
import { readUnder, type SessionLog } from '../session.js'
import { asksCache } from './consistency.js'
import type { Consistency } from './repository-types.js'
import type { Found } from './sources.js'

/** What there is to know of a table's rows to look them up. */
export interface LookedUpRows {
  keyOf(id: CanonicalId): CacheKey
  read(
    id: CanonicalId,
    consistency: Consistency,
    session: SessionLog | undefined,
    span: ReadSpan,
  ): Promise<object | undefined>
  versionOf(row: object): Version | undefined
  floorOf(key: CacheKey): Floor | undefined
  /** This process may show nothing older from now on, wherever it holds it. */
  heed(key: CacheKey, floor: Floor): void
}

/** One `findBy` under way. */
interface Search {
  readonly key: CacheKey
  readonly value: CanonicalId
  readonly session: SessionLog | undefined
  readonly span: ReadSpan
  /** See `SessionLog.moment`. */
  readonly begun: number
}

const OUT_OF_DATE = Symbol('the pointer is out of date')

/**
 * Rows by one declared list of unique columns.
 *
 * What is cached is only a pointer, from the value to the key of a row. The row it leads to is read like any other and checked for the
 * value that was asked for, so a pointer that has gone out of date is found out, whoever changed the row.
 */
export class RowLookups {
  readonly #columns: () => readonly KeyColumn[]
  readonly #reader: Reader<CanonicalId, Found>
  readonly #bounded: BoundedReader<CanonicalId, Found>
  readonly #keyOf: (value: CanonicalId) => CacheKey
  readonly #rows: LookedUpRows

  constructor(options: {
    /** As the catalog shows them now. */
    columns: () => readonly KeyColumn[]
    /** Reads pointers. */
    reader: Reader<CanonicalId, Found>
    bounded: BoundedReader<CanonicalId, Found>
    /** The key of the pointer for a value. */
    keyOf: (value: CanonicalId) => CacheKey
    rows: LookedUpRows
  }) {
    this.#columns = options.columns
    this.#reader = options.reader
    this.#bounded = options.bounded
    this.#keyOf = options.keyOf
    this.#rows = options.rows
  }

  get columns(): readonly KeyColumn[] {
    return this.#columns()
  }

  /** @throws KeyError for values that no row could have in these columns, whatever the table holds. */
  async find(
    values: unknown,
    consistency: Consistency,
    session: SessionLog | undefined,
    span: ReadSpan,
  ): Promise<object | undefined> {
    const value = canonicalId(this.columns, values)
    if (value === IMPOSSIBLE) return undefined
    const search = { key: this.#keyOf(value), value, session, span, begun: session?.moment ?? 0 }
    const read = () => this.#find(search, consistency)
    if (session === undefined) return read()
    // What the session knows of a value it knows as of a row: the stamp of the one it was led to, or that there is none any more.
    return readUnder(session, {
      key: search.key,
      heed: () => {},
      read,
      primary: asksCache(consistency) ? () => this.#load(search) : read,
      versionOf: (row) => this.#rows.versionOf(row),
    })
  }

  async #find(search: Search, consistency: Consistency): Promise<object | undefined> {
    const { key, value, span } = search
    if (consistency === 'primary') return this.#load(search)
    if (consistency !== 'refresh') {
      const found = await this.#pointer(search, consistency)
      const row = await this.#follow(found, search, consistency)
      // That there is no such row, only the database can verify.
      if (row !== OUT_OF_DATE && (row !== undefined || asksCache(consistency))) return row
    }
    span.answered(ANSWERED.bypassed)
    const row = await this.#follow(await this.#reader.reload(key, value), search, consistency)
    // The row changed hands between two statements just now. One statement says who has it.
    return row === OUT_OF_DATE ? this.#load(search) : row
  }

  #pointer({ key, value, span }: Search, consistency: Consistency): Promise<Found | undefined> {
    if (typeof consistency === 'object') return this.#bounded.read(key, value, consistency.maxStaleMs, span)
    return this.#reader.read(key, value, span)
  }

  /** The row by one statement of the database's, which leaves the cache alone. */
  async #load({ key, value, session, span, begun }: Search): Promise<object | undefined> {
    span.answered(ANSWERED.bypassed)
    const found = await this.#reader.loadOnly(key, value)
    return this.#show(found, session, begun)
  }

  async #follow(found: Found | undefined, search: Search, consistency: Consistency) {
    if (found === undefined) return undefined
    const { session, value, span, begun } = search
    if (asksCache(consistency) && this.#isAsNewAsKnown(found, session)) {
      return this.#show(found, session, begun)
    }
    const row = await this.#rows.read(found.id, consistency, session, span)
    return row && this.#has(row, value) ? row : OUT_OF_DATE
  }

  /** False also where a type parser of the application's has made something of the value that does not tell: then one statement says who has it. */
  #has(row: object, value: CanonicalId): boolean {
    try {
      return idFromRow(this.columns, row)?.every((part, at) => part === value[at]) ?? false
    } catch {
      return false
    }
  }

  /** A row that came with its pointer was read after this reader began. It will do unless more is known: written here, or by the session. */
  #isAsNewAsKnown({ id, loaded }: Found, session: SessionLog | undefined): boolean {
    if (loaded?.version === undefined) return false
    const key = this.#rows.keyOf(id)
    const demand = session?.demandOf(key)
    return (
      demand !== 'primary' && isAtLeast(loaded.version, demand) && isAtLeast(loaded.version, this.#rows.floorOf(key))
    )
  }

  /** Hands out the row that came with a pointer. No later read of it in this process, or under the session, may be older. */
  #show(found: Found | undefined, session: SessionLog | undefined, begun: number): object | undefined {
    if (found?.loaded?.row === undefined) return undefined
    const { row, version } = found.loaded
    const key = this.#rows.keyOf(found.id)
    if (version !== undefined) this.#rows.heed(key, { version, absent: false })
    session?.wasShown(key, { version }, begun)
    // Bytes inside a frozen row could still be changed.
    return handOut(row)
  }
}

function isAtLeast(version: Version, floor: Floor | undefined): boolean {
  // Behind an absence without a version anything may be old: then the row is read by its key, which asks the database.
  return floor === undefined || (!floor.isUnordered && compareVersions(version, floor.version) >= 0)
}
