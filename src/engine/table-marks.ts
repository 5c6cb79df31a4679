import { createHash } from 'node:crypto'
import type { Change } from '../core/change.js'
import { type CacheKey, cacheKey, keyPrefix } from '../core/key.js'

/** A table as marks see it: what a write to it shows in. */
export interface MarkedTable {
  /** Entities under which it is known to queries: the roots of its partition or inheritance tree. */
  readonly roots: readonly string[]
  /** Of a view: the tables that a write to it changes. */
  readonly bases: readonly string[]
  /** An update may change columns that it does not name. */
  readonly rewrites: boolean
  /** What the database changes along, by foreign keys. */
  readonly cascades: readonly {
    readonly by: 'delete' | 'update'
    readonly columns: readonly string[]
    readonly reaches: readonly string[]
  }[]
}

/** A column that queries are bounded by (`queryBy`). Real name. */
export interface MarkedColumn {
  readonly column: string
  readonly type: { readonly name: string }
  /** Computed by the database from other columns, so any update may change it. */
  readonly generated: boolean
}

/** What is known of a write. Columns by their real names. */
export interface MarkedWrite {
  /** `replace`: an insert that may have changed a row instead. `unknown`: anything may have happened. */
  readonly kind: 'insert' | 'update' | 'replace' | 'delete' | 'unknown'
  /** The columns that were set; undefined: any may have been. */
  readonly touched: readonly string[] | undefined
  /** What the row has in a column after the write, or had before it was deleted; undefined: null, or not known. */
  readonly valueIn: (column: MarkedColumn) => string | undefined
}

/** Written in front of the mark of a table's values, so that writers see which columns its readers rely on. */
const FORMAT = 1

/**
 * The marks of one table. A mark stands for a state: its value is replaced whenever what it is about changes.
 *
 * - `table`: every write changes it. Queries that may see any row depend on it.
 * - `column=value`: for declared columns; writes change it whose row has this value, before or after. Queries that are bounded
 *   to rows with this value depend on it.
 * - `values`: changed by every write of which not all such values are known, before and after: by updates that set a declared
 *   column, by processes that have declared other columns or none, by whoever does not look at rows. Those same
 *   queries depend on it too, and it says in its value which columns their process has declared.
 *
 * See docs/design/decisions/0004-query-dependencies.md.
 */
export class TableMarks {
  readonly table: readonly CacheKey[]
  readonly values: readonly CacheKey[]
  /** The beginning of the `values` mark where the same columns are declared. */
  readonly declared: string
  readonly #namespace: string
  readonly #marked: MarkedTable
  readonly #columns: readonly MarkedColumn[]
  /** What any write changes, where nothing depends on what kind of write it is. */
  readonly #always: readonly Change[] | undefined

  constructor(options: { namespace: string; marked: MarkedTable; columns: readonly MarkedColumn[] }) {
    this.#namespace = options.namespace
    this.#marked = options.marked
    this.#columns = options.columns
    this.table = tableKeys(options.namespace, options.marked.roots)
    this.values = valuesKeys(options.namespace, options.marked.roots)
    const columns = options.columns.map(({ column, type }) => `${column} ${type.name}`).sort()
    const digest = createHash('sha256').update(JSON.stringify([FORMAT, columns]))
    this.declared = `${digest.digest('hex').slice(0, 8)}.`
    const isAlike = options.columns.length === 0 && options.marked.cascades.length === 0
    this.#always = isAlike ? this.ofUnknownWrite() : undefined
  }

  /** The marks of rows that have this value in a declared column. */
  valueKeys(column: string, value: string): readonly CacheKey[] {
    return this.#marked.roots.map((root) => cacheKey(keyPrefix(this.#namespace, 'mark', root, column), [value]))
  }

  /** The marks a write changes. */
  ofWrite(write: MarkedWrite): readonly Change[] {
    if (this.#always !== undefined) return this.#always
    const { kind, touched, valueIn } = write
    const values = this.#columns.flatMap((column) => {
      const value = valueIn(column)
      return value === undefined ? [] : this.valueKeys(column.column, value)
    })
    // After an insert or a delete the row's values are all there is; after an update only if it left them as they were.
    const keepsValues = !this.#columns.some(({ column, generated }) => generated || this.#isSet(touched, column))
    const isKnown = kind === 'insert' || kind === 'delete' || (kind === 'update' && keepsValues)
    const unless = isKnown && this.#columns.length > 0 ? this.declared : undefined
    return [
      ...[...this.table, ...values].map((key) => changeOf(key)),
      ...this.values.map((key) => changeOf(key, unless)),
      ...this.#alongWith(write),
    ]
  }

  /** The same for a write of which nothing is known. */
  ofUnknownWrite(): readonly Change[] {
    return this.ofWrite({ kind: 'unknown', touched: undefined, valueIn: () => undefined })
  }

  /** Whether the database may change rows of other tables along with some write. */
  get mayReach(): boolean {
    return this.#marked.cascades.length > 0
  }

  /** The tables whose rows the database may change along with such a write, by foreign keys: roots of their trees. */
  reachedBy({ kind, touched }: Pick<MarkedWrite, 'kind' | 'touched'>): readonly string[] {
    if (!this.mayReach) return NONE
    const mayDelete = kind === 'delete' || kind === 'unknown'
    const mayUpdate = kind === 'update' || kind === 'replace' || kind === 'unknown'
    const isSet = (column: string) => this.#isSet(touched, column)
    const reached = this.#marked.cascades
      .filter(({ by, columns }) => (by === 'delete' ? mayDelete : mayUpdate && columns.some(isSet)))
      .flatMap(({ reaches }) => reaches)
    return [...new Set(reached)]
  }

  #isSet(touched: readonly string[] | undefined, column: string): boolean {
    return this.#marked.rewrites || touched === undefined || touched.includes(column)
  }

  #alongWith(write: MarkedWrite): Change[] {
    const others = [...new Set([...this.#marked.bases, ...this.reachedBy(write)])]
    return [...tableKeys(this.#namespace, others), ...valuesKeys(this.#namespace, others)].map((key) => changeOf(key))
  }
}

const NONE: readonly string[] = []

function tableKeys(namespace: string, entities: readonly string[]): CacheKey[] {
  return entities.map((entity) => cacheKey(keyPrefix(namespace, 'mark', entity), ['table']))
}

function valuesKeys(namespace: string, entities: readonly string[]): CacheKey[] {
  return entities.map((entity) => cacheKey(keyPrefix(namespace, 'mark', entity), ['values']))
}

function changeOf(key: CacheKey, unless?: string): Change {
  const change = { key, version: null, xid: null, absent: false, hasFloor: false }
  return unless === undefined ? change : { ...change, unless }
}
