import { Buffer } from 'node:buffer'
import { isDeepStrictEqual } from 'node:util'
import { createIdCodec, type IdCodec } from '../adapters/codec/id-codec.js'
import { idFromRow, type KeyColumn } from '../adapters/postgres/key-column.js'
import { PostgresRowSource } from '../adapters/postgres/row-source.js'
import type { Entry } from '../core/entry.js'
import { SourceError } from '../core/errors.js'
import type { CacheKey, KeyParts } from '../core/key.js'
import type { CanonicalId, LoadedRow, StoredBytes } from '../core/ports.js'
import { compareVersions, toVersion, type Version } from '../core/version.js'
import { SEEN_BYTES } from '../core/wire.js'
import type { Difference, FoundCopy } from '../jobs/audit.js'
import type { CachedTable } from './cached-table.js'

/** A copy of a row, of its absence, or of the way to a row, wherever it lies. */
export interface TableCopy extends FoundCopy {
  readonly table: AuditedTable
  /** The key of what it is a copy of: another than its own if it is a hot key's. */
  readonly of: CacheKey
  readonly id: CanonicalId
  /** Of a lookup: the place of its columns among the table's. */
  readonly lookup: number | undefined
  readonly isAbsence: boolean
  readonly version: Version | undefined
  /** The row or the id it leads to, where that is compared; of one in memory always. */
  readonly value: object | undefined
  /** Tells it from every other copy that ever lay there. */
  readonly seen: unknown
}

/** What bytes under a key are to an audit: a copy, or no concern of its. */
export type Found = TableCopy | Uncompared

/** As `AuditFigures` counts them. */
export type Uncompared = 'unused' | 'skipped' | 'undecoded'

/** One table as an audit sees it. */
export class AuditedTable {
  readonly #table: CachedTable
  /** Whole rows are compared though they have stamps. */
  readonly #comparesRows: boolean

  constructor(table: CachedTable, comparesRows: boolean) {
    this.#table = table
    this.#comparesRows = comparesRows || table.facts.version === undefined
  }

  get entity(): string {
    return this.#table.facts.entity
  }

  /** What the keys of its rows and lookups begin with. */
  get prefixes(): readonly string[] {
    const { changes } = this.#table.inside
    return [changes.rowPrefix, ...this.#table.facts.unique.map((_, at) => changes.lookupPrefix(at))]
  }

  /** @param parts of the key, which begins with one of `prefixes`. */
  read(key: CacheKey, parts: KeyParts, bytes: StoredBytes): Found {
    const { codec, epoch } = this.#table.inside.parts
    const entry = codec.open(bytes, key)
    if ('unreadable' in entry || entry.epoch !== epoch()) return 'unused'
    if (entry.kind !== 'absent' && entry.kind !== parts.kind) return 'unused'
    const copy = {
      table: this,
      entity: this.entity,
      key,
      of: parts.copyOf ?? key,
      place: parts.copyOf === undefined ? 'redis' : 'copy',
      filledAtMs: entry.filledAtMs,
      isAbsence: entry.kind === 'absent',
      version: entry.version,
      seen: seenIn(bytes),
    } as const
    return parts.kind === 'lookup' ? this.#lookup(copy, parts, entry) : this.#row(copy, parts, entry)
  }

  /** What this process' memory holds and would show now. */
  *inMemory(): Generator<TableCopy> {
    const { tier, changes, options, parts } = this.#table.inside
    for (const { id, value } of tier?.held() ?? []) {
      const key = changes.rowKey(id)
      yield {
        ...{ table: this, entity: this.entity, key, of: key, id, place: 'memory', lookup: undefined, value },
        // Not held for longer than that.
        filledAtMs: parts.clock.wallMs() - options.l1.maxAgeMs,
        isAbsence: value === undefined,
        version: this.#versionIn(value),
        seen: value,
      }
    }
  }

  isStillInMemory({ id, value }: TableCopy): boolean {
    const { tier } = this.#table.inside
    const near = tier?.look(tier.slotOf(id))
    return near?.held === true && near.trusted && near.value === value
  }

  /** In the order of the copies, which are all of this table. @throws SourceError, OverloadedError */
  async compare(copies: readonly TableCopy[]): Promise<(Difference | undefined)[]> {
    const groups = new Map<number | undefined, TableCopy[]>()
    for (const copy of copies) groups.set(copy.lookup, [...(groups.get(copy.lookup) ?? []), copy])
    const found = new Map<TableCopy, Difference | undefined>()
    for (const [lookup, group] of groups) {
      const differences = await this.#compareGroup(lookup, group)
      for (const [at, copy] of group.entries()) found.set(copy, differences[at])
    }
    return copies.map((copy) => found.get(copy))
  }

  #row(copy: Omit<TableCopy, 'id' | 'lookup' | 'value'>, parts: KeyParts, entry: Entry): Found {
    const { rows, changes } = this.#table.inside
    // By their rows, only entries of this shape can be compared; by their stamps, those of any.
    const isDecoded = entry.shape === rows.shape && !copy.isAbsence && (this.#comparesRows || parts.id === undefined)
    const value = isDecoded ? rows.decode(entry.payload) : undefined
    if (isDecoded && value === undefined) return 'undecoded'
    if (!copy.isAbsence && value === undefined && (this.#comparesRows || entry.version === undefined)) return 'skipped'
    const id = parts.id ?? (value && idFromRow(this.#table.facts.key, value))
    if (id === undefined || changes.rowKey(id) !== copy.of) return 'skipped'
    return { ...copy, id, lookup: undefined, value: this.#comparesRows ? value : undefined }
  }

  #lookup(copy: Omit<TableCopy, 'id' | 'lookup' | 'value'>, parts: KeyParts, entry: Entry): Found {
    const { changes } = this.#table.inside
    const lookup = this.#table.facts.unique.findIndex((_, at) => changes.lookupPrefix(at) === parts.prefix)
    if (parts.id === undefined || lookup < 0) return 'skipped'
    if (copy.isAbsence) return { ...copy, id: parts.id, lookup, value: undefined }
    if (entry.shape !== this.#ids.shape) return 'skipped'
    const value = this.#ids.decode(entry.payload)
    return value === undefined ? 'undecoded' : { ...copy, id: parts.id, lookup, value }
  }

  /** As entries of lookups hold them. */
  get #ids(): IdCodec {
    const columns = this.#table.facts.key.map(({ property, type }) => ({ property, type: type.name }))
    return createIdCodec({ columns, schemaVersion: this.#table.inside.options.schemaVersion })
  }

  async #compareGroup(
    lookup: number | undefined,
    copies: readonly TableCopy[],
  ): Promise<readonly (Difference | undefined)[]> {
    const { key, unique } = this.#table.facts
    if (lookup !== undefined) {
      const columns = unique[lookup] as readonly KeyColumn[]
      const rows = await this.#load(copies, columns)
      return copies.map((copy, at) => this.#differenceOfLookup(copy, rows[at] as LoadedRow))
    }
    if (this.#comparesRows) {
      const rows = await this.#load(copies, key)
      return copies.map((copy, at) => this.#differenceOfRow(copy, rows[at] as LoadedRow))
    }
    const { versions } = this.#table.inside
    const stamps = await Promise.all(copies.map(({ id }) => versions.ask(id)))
    return copies.map((copy, at) => this.#differenceOfStamp(copy, stamps[at]))
  }

  /** One statement for all, in its turn like the loads of readers. */
  async #load(copies: readonly TableCopy[], by: readonly KeyColumn[]): Promise<readonly LoadedRow[]> {
    const { parts } = this.#table.inside
    const source = new PostgresRowSource({ db: parts.db, facts: this.#table.facts, by })
    const { rows, loadedFrom } = await parts.gate.run(this.entity, () => source.load(copies.map(({ id }) => id)))
    if (loadedFrom !== 'primary')
      throw new SourceError(`audit of ${this.entity}`, new Error('the server is in recovery'))
    return rows
  }

  #differenceOfStamp({ isAbsence, version }: TableCopy, stamp: Version | undefined): Difference | undefined {
    if (isAbsence) return stamp === undefined ? undefined : this.#difference('hidden', stamp)
    if (stamp === undefined) return this.#difference('gone', undefined)
    const order = version === undefined ? 0 : compareVersions(version, stamp)
    return order === 0 ? undefined : this.#difference(order < 0 ? 'behind' : 'ahead', stamp)
  }

  #differenceOfRow(copy: TableCopy, { row, version }: LoadedRow): Difference | undefined {
    if (copy.isAbsence) return row && this.#difference('hidden', version)
    if (row === undefined) return this.#difference('gone', undefined)
    const byStamp = version === undefined ? undefined : this.#differenceOfStamp(copy, version)
    return byStamp ?? (isDeepStrictEqual(copy.value, row) ? undefined : this.#difference('differs', version))
  }

  #differenceOfLookup(copy: TableCopy, { row, version }: LoadedRow): Difference | undefined {
    if (copy.isAbsence) return row && this.#difference('hidden', version)
    const id = row && idFromRow(this.#table.facts.key, row)
    return isDeepStrictEqual(copy.value, id) ? undefined : this.#difference('astray', version)
  }

  /** @param version of the row as it is now. */
  #difference(kind: Difference['kind'], version: Version | undefined): Difference {
    // Only Corral's own stamp is a time: microseconds since the Unix epoch.
    const isTime = version !== undefined && this.#table.facts.stamp === 'installed'
    const orders = kind === 'behind' || kind === 'hidden'
    return {
      kind,
      version: orders ? (version ?? null) : null,
      writtenAtMs: isTime ? Number(version) / 1_000 : undefined,
    }
  }

  #versionIn(value: object | undefined): Version | undefined {
    const { version } = this.#table.facts
    return value && version && toVersion((value as Record<string, unknown>)[version.property])
  }
}

/** What tells two fills of one key apart. */
export function seenIn(bytes: StoredBytes): string {
  return Buffer.from(bytes.subarray(0, SEEN_BYTES)).toString('latin1')
}
