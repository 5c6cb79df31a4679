import type { TableFacts } from '../adapters/postgres/catalog.js'
import { idFromRow, type KeyColumn } from '../adapters/postgres/key-column.js'
import type { Written } from '../adapters/postgres/row-writer.js'
import type { Change } from '../core/change.js'
import { type CacheKey, cacheKey, keyPrefix } from '../core/key.js'
import type { CanonicalId } from '../core/ports.js'
import { successor } from '../core/version.js'
import { type MarkedTable, type MarkedWrite, TableMarks } from '../engine/table-marks.js'

/** What is known of a write besides the row it returned. */
export interface ChangeDetails {
  readonly wasDeleted?: boolean
  /** The columns that were set, of an upsert those of a row that was there; undefined: any may have been. */
  readonly touched?: readonly string[]
  /** The id the row had before, if the write may have changed it. */
  readonly formerId?: CanonicalId
  /** An insert that may have changed a row instead. */
  readonly mayReplace?: boolean
}

export interface AlongWith {
  readonly kind: MarkedWrite['kind']
  readonly entities: readonly string[]
}

/** The keys of one table, and which of them a write makes old. */
export class TableChanges {
  readonly rowPrefix: string
  readonly #lookupPrefixes: readonly string[]
  readonly #facts: TableFacts
  /** Columns the database computes from others: any write may set them. */
  readonly #computed: ReadonlySet<string>
  readonly #namespace: string
  readonly #relation: () => MarkedTable | undefined
  #marks: { readonly of: MarkedTable | undefined; readonly marks: TableMarks } | undefined

  /** @param relation what the catalog says of the table now; undefined: it is not there. */
  constructor(namespace: string, facts: TableFacts, relation: () => MarkedTable | undefined) {
    this.#facts = facts
    this.#namespace = namespace
    this.#relation = relation
    this.#computed = new Set(facts.columns.filter(({ generated }) => generated).map(({ property }) => property))
    this.rowPrefix = keyPrefix(namespace, 'row', facts.entity)
    this.#lookupPrefixes = facts.unique.map((columns) =>
      keyPrefix(namespace, 'lookup', facts.entity, columns.map(({ column }) => column).join(',')),
    )
  }

  /** The marks that cached queries of this table depend on. */
  get marks(): TableMarks {
    const relation = this.#relation()
    if (this.#marks === undefined || this.#marks.of !== relation) {
      const marked = relation ?? { roots: [this.#facts.entity], bases: [], rewrites: true, cascades: [] }
      const columns = this.#facts.queryBy.map((column) => ({
        column: column.column,
        type: column.type,
        generated: this.#computed.has(column.property),
      }))
      this.#marks = { of: relation, marks: new TableMarks({ namespace: this.#namespace, marked, columns }) }
    }
    return this.#marks.marks
  }

  rowKey(id: CanonicalId): CacheKey {
    return cacheKey(this.rowPrefix, id)
  }

  /** What all keys of the `at`-th list of unique columns begin with. */
  lookupPrefix(at: number): string {
    return this.#lookupPrefixes[at] as string
  }

  lookupKey(at: number, value: CanonicalId): CacheKey {
    return cacheKey(this.lookupPrefix(at), value)
  }

  /** What a committed write made old: the row's own key, the lookups that may now lead to it, the queries that may see it. */
  ofWrite(written: Written, details: ChangeDetails): Change[] {
    return [...this.#ofRow(written, details), ...this.marks.ofWrite(this.#marked(written.told, details))]
  }

  /** What kind of write it was, and the tables whose rows the database may have changed along with the row, by foreign keys. Undefined: none. */
  alongWith(written: Written, details: ChangeDetails): AlongWith | undefined {
    if (!this.marks.mayReach) return undefined
    const write = this.#marked(written.told, details)
    const entities = this.marks.reachedBy(write)
    return entities.length > 0 ? { kind: write.kind, entities } : undefined
  }

  #ofRow(written: Written, details: ChangeDetails): Change[] {
    const { wasDeleted = false, formerId } = details
    const version = written.version ?? null
    const { xid } = written
    const key = this.rowKey(written.id)
    if (wasDeleted) return [{ key, version: version && successor(version), xid, absent: true, hasFloor: true }]

    const changes: Change[] = [{ key, version, xid, absent: false, hasFloor: true }]
    const formerKey = formerId && this.rowKey(formerId)
    if (formerKey !== undefined && formerKey !== key) {
      changes.push({ key: formerKey, version, xid, absent: true, hasFloor: true })
    }
    return [...changes, ...this.lookupsOfWrite(written, details)]
  }

  /** Of what a committed write made old, the lookups alone. */
  lookupsOfWrite({ told, xid }: Written, { wasDeleted = false, touched, mayReplace = false }: ChangeDetails): Change[] {
    if (wasDeleted) return []
    // An insert sets every column, and a trigger may.
    const mayRewrite = mayReplace || (this.#relation()?.rewrites ?? true)
    return this.#lookups(told, xid, mayRewrite ? undefined : touched)
  }

  /** The same for a write whose outcome is unknown: all that is stored under these keys goes, also an absence under a new key of the row. */
  ofUnknownWrite(id: CanonicalId | undefined, values: object): Change[] {
    const { key } = this.#facts
    const former = id && Object.fromEntries(key.map(({ property }, at) => [property, id[at]]))
    const set = Object.fromEntries(
      Object.entries(values).flatMap(([name, value]) => (value === undefined ? [] : [[name, asSent(value)]])),
    )
    const ids = [id, idAmong(key, { ...former, ...set })].filter((each) => each !== undefined)
    const keys = new Set(ids.map((each) => this.rowKey(each)))
    return [
      ...[...keys].map((each) => ({ key: each, version: null, xid: null, absent: false, hasFloor: true })),
      ...this.#lookups(set, null, undefined),
      ...this.marks.ofUnknownWrite(),
    ]
  }

  #marked(row: object, { wasDeleted, touched, mayReplace }: ChangeDetails): MarkedWrite {
    const { columns, queryBy, key } = this.#facts
    const isKey = (name: string) => key.some(({ property }) => property === name)
    // The row that an upsert runs into has the key it names.
    const set = mayReplace ? touched?.filter((name) => !isKey(name)) : touched
    return {
      kind: wasDeleted ? 'delete' : mayReplace ? 'replace' : touched ? 'update' : 'insert',
      touched: set?.map((name) => columns.find(({ property }) => property === name)?.column ?? name),
      valueIn: ({ column }) =>
        idAmong(
          queryBy.filter((each) => each.column === column),
          row,
        )?.[0],
    }
  }

  #lookups(row: object, xid: string | null, touched: readonly string[] | undefined): Change[] {
    const changes: Change[] = []
    this.#facts.unique.forEach((columns, at) => {
      const maySet = ({ property }: KeyColumn) => touched?.includes(property) ?? true
      if (!columns.some((column) => maySet(column) || this.#computed.has(column.property))) return
      const value = idAmong(columns, row)
      // A lookup leads to an id, whose row has its own fence; what must go is an absence, or another row's id.
      if (value) changes.push({ key: this.lookupKey(at, value), version: null, xid, absent: false, hasFloor: false })
    })
    return changes
  }
}

/** As the driver sends it: a number that is not safe may be none the application meant, but it is the one that the database has. */
function asSent(value: unknown): unknown {
  return typeof value === 'number' ? String(value) : value
}

/** The id among values that may lack a column, or hold an expression only the database can evaluate. */
function idAmong(columns: readonly KeyColumn[], values: object): CanonicalId | undefined {
  if (!columns.every(({ property }) => property in values)) return undefined
  try {
    return idFromRow(columns, values)
  } catch {
    return undefined
  }
}
