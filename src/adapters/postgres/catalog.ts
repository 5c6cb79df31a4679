import type { OperationNode } from 'kysely'
import { ConfigError, inWords } from '../../core/errors.js'
import { type AnyDatabase, type Relation, type RelationColumn, readRelation } from './catalog-query.js'
import { readInterval } from './interval-sample.js'
import { KEY_TYPES, KeyColumn, type KeyType, keyTypeOf } from './key-column.js'
import { narrowingOf } from './narrowed-select.js'
import { readProperties, realColumn, realTable } from './real-names.js'
import { STAMP_COLUMN, STAMP_TRIGGER } from './stamp-sql.js'

/** Which table to read, in the names the user's Kysely knows (`orderLines` under `CamelCasePlugin`, `sales.orders`). */
export interface TableRequest {
  readonly table: string
  readonly key: string | readonly string[]
  /** Each element is one lookup: a unique column or column list. */
  readonly unique?: readonly (string | readonly string[])[]
  /** Columns that cached queries are bounded by. */
  readonly queryBy?: readonly string[]
  /** The column that orders a row's versions. Default: Corral's stamp. `false`: the table has none. */
  readonly version?: string | false
  /** That policies show every connection the same rows. Default: nothing was said. */
  readonly rowSecurity?: 'alike'
}

export interface ColumnFacts {
  /** Real name in the database. */
  readonly column: string
  /** Name in row objects. */
  readonly property: string
  /** As the database prints it: `character varying(80)`. */
  readonly type: string
  readonly notNull: boolean
  /** Computed by the database; cannot be written. */
  readonly generated: boolean
}

/** What is true of a table, read once at start. Frozen. */
export interface TableFacts {
  /** The user's name for it, for queries on the user's Kysely. */
  readonly table: string
  readonly schema: string
  readonly name: string
  /** `schema.name`, real names. */
  readonly entity: string
  /** In table order. */
  readonly columns: readonly ColumnFacts[]
  readonly key: readonly KeyColumn[]
  /** One for each element of `request.unique`, in order. */
  readonly unique: readonly (readonly KeyColumn[])[]
  /** In the order of `request.queryBy`. */
  readonly queryBy: readonly KeyColumn[]
  /** Undefined when `request.version` is false. */
  readonly version: { readonly property: string; readonly column: string } | undefined
  /** How the version is kept. `missing` and `disabled` are seen only with `version: false`; otherwise they are errors. */
  readonly stamp: 'installed' | 'missing' | 'disabled' | 'own column'
  /** The application says that policies of row-level security show all connections the same rows. */
  readonly isShownAlike: boolean
  /** What the driver makes of its rows depends on the time zone of the process. */
  readonly isLocal: boolean
  /** What rows have for an interval, where a column is of that type, or a list of them. */
  readonly interval?: unknown
}

/**
 * Finds the table a request means, real names and all, and makes sure it can be cached: it is a table, its key is
 * unique, not null and of a type with one spelling for each value, and its version can be relied on.
 *
 * Throws `ConfigError` that names the fix, or `SourceError` when the database does not answer.
 */
export async function readTable(db: AnyDatabase, request: TableRequest): Promise<TableFacts> {
  const inspection = await Inspection.of(db, request)
  const key = inspection.keyColumns('key', toList(request.key))
  const unique = (request.unique ?? []).map((columns) => inspection.keyColumns('unique', toList(columns)))
  const { relation } = inspection
  return Object.freeze({
    table: request.table,
    schema: relation.schema,
    name: relation.name,
    entity: `${relation.schema}.${relation.name}`,
    columns: inspection.columns,
    key,
    unique: Object.freeze(unique),
    queryBy: Object.freeze((request.queryBy ?? []).map((name) => inspection.valueColumn('queryBy', name))),
    ...inspection.version(request.version, key),
    isShownAlike: request.rowSecurity !== undefined,
    isLocal: relation.columns.some(({ base }) => LOCAL_TYPES.has(base.builtin)),
    ...(relation.columns.some(({ base }) => INTERVAL_TYPES.has(base.builtin)) && { interval: await readInterval(db) }),
  })
}

/** One table under examination: what the request calls it, what the catalog says of it, what its rows look like. */
class Inspection {
  readonly relation: Relation
  readonly columns: readonly ColumnFacts[]
  readonly #db: AnyDatabase
  readonly #table: string

  constructor(db: AnyDatabase, table: string, relation: Relation, properties: readonly string[]) {
    this.#db = db
    this.#table = table
    this.relation = relation
    this.columns = Object.freeze(
      relation.columns.map(({ column, type, notNull, generated }, at) =>
        Object.freeze({ column, property: properties[at] as string, type, notNull, generated }),
      ),
    )
  }

  static async of(db: AnyDatabase, { table, rowSecurity }: TableRequest): Promise<Inspection> {
    const real = realTable(db, table)
    const relation = await readRelation(db, real)
    if (relation === undefined) {
      const path = real.schema === undefined ? `${real.name} on the search path` : `${real.schema}.${real.name}`
      throw new ConfigError(`${table}.table`, `a table; the database has no ${path}`, table)
    }
    requireTable(table, relation)
    if (rowSecurity === undefined) requireAllRows(table, relation)
    requireWhole(relation, db.selectFrom(table).selectAll().toOperationNode())
    return new Inspection(db, table, relation, await readProperties(db, table, relation.columns.length))
  }

  /** The columns of a key or a lookup, checked to be unique together and, for the key, present in every row. */
  keyColumns(option: 'key' | 'unique', names: readonly string[]): readonly KeyColumn[] {
    const where = `${this.#table}.${option}`
    if (names.length === 0) throw new ConfigError(where, 'at least one column', names)
    const found = names.map((name) => this.#column(where, name))
    const columns = found.map((column) => this.#keyColumn(where, column))
    const wanted = found.map(({ column }) => column)
    if (!this.relation.uniques.some((index) => isSameSet(index, wanted))) {
      throw new ConfigError(where, this.#uniqueExpected(option, wanted), wanted.join(', '))
    }
    const nullable = found.find((column) => !column.notNull)
    if (option === 'key' && nullable) {
      throw new ConfigError(
        where,
        `columns that are not null; alter column "${nullable.column}" set not null`,
        nullable.column,
      )
    }
    return Object.freeze(columns)
  }

  /** A column whose values have one spelling each. */
  valueColumn(option: 'queryBy', name: string): KeyColumn {
    const where = `${this.#table}.${option}`
    return this.#keyColumn(where, this.#column(where, name))
  }

  version(requested: string | false | undefined, key: readonly KeyColumn[]): Pick<TableFacts, 'version' | 'stamp'> {
    const { stamp } = this.relation
    const status = stamp === undefined ? 'missing' : stamp.repairs.length === 0 ? 'installed' : 'disabled'
    if (requested === false) return { version: undefined, stamp: status }

    const where = `${this.#table}.version`
    // The default is the database's own name, whatever the user's plugins would make of it.
    const found =
      requested === undefined
        ? this.relation.columns.find(({ column }) => column === STAMP_COLUMN)
        : this.#column(where, requested)
    if (found === undefined) {
      throw new ConfigError(
        where,
        `a column ${STAMP_COLUMN}; add it with ${this.#migration(key, STAMP_COLUMN)}`,
        'no such column',
      )
    }
    if (!VERSION_TYPES.has(found.base.builtin) || !found.notNull) {
      const type = found.notNull ? found.type : `${found.type}, nullable`
      throw new ConfigError(where, `column "${found.column}" to be bigint not null (or a smaller integer)`, type)
    }
    const version = Object.freeze({ property: this.#property(where, found), column: found.column })
    const isOurs = stamp?.column === found.column
    if (!isOurs && found.column !== STAMP_COLUMN) return { version, stamp: 'own column' }
    if (!isOurs) {
      const fix = `add it with ${this.#migration(key, STAMP_COLUMN)}`
      throw new ConfigError(where, `trigger ${STAMP_TRIGGER} to set column ${STAMP_COLUMN}; ${fix}`, 'no such trigger')
    }
    if (status === 'disabled') {
      const expected = `triggers that always fire, on every partition too; run: ${stamp.repairs.join('; ')}`
      throw new ConfigError(where, expected, `${stamp.repairs.length} that do not`)
    }
    return { version, stamp: 'installed' }
  }

  #column(where: string, name: string): RelationColumn {
    const real = realColumn(this.#db, this.#table, name)
    const found = this.relation.columns.find(({ column }) => column === real)
    if (real !== undefined && found !== undefined) return found
    const all = this.relation.columns.map(({ column }) => column).join(', ')
    throw new ConfigError(where, `a column of ${this.relation.schema}.${this.relation.name} (${all})`, name)
  }

  #keyColumn(where: string, found: RelationColumn): KeyColumn {
    const type = keyTypeOf(found.base)
    if (type === undefined) {
      throw new ConfigError(
        where,
        `column "${found.column}" to be of a type with one spelling for each value (${KEY_TYPES})`,
        found.type,
      )
    }
    if (!found.deterministic) {
      const expected = `column "${found.column}" to have a deterministic collation: under this one different texts are equal`
      throw new ConfigError(where, expected, found.type)
    }
    if (TEXT_TYPES.has(type.name) && this.relation.encoding !== 'UTF8') {
      throw new ConfigError(where, 'a database in UTF8, which can hold every id of a text type', this.relation.encoding)
    }
    return new KeyColumn({ column: found.column, property: this.#property(where, found), type })
  }

  /** The column's name in rows, after making sure that it leads back to the column in queries. */
  #property(where: string, { column }: RelationColumn): string {
    const { property } = this.columns.find((each) => each.column === column) as ColumnFacts
    if (realColumn(this.#db, this.#table, property) === column) return property
    throw new ConfigError(
      where,
      `Kysely plugins that map "${property}", as "${column}" is called in rows, back to it`,
      property,
    )
  }

  #uniqueExpected(option: 'key' | 'unique', columns: readonly string[]): string {
    const list = columns.map((column) => `"${column}"`).join(', ')
    const on = `"${this.relation.schema}"."${this.relation.name}" (${list})`
    const kinds = option === 'key' ? 'the primary key or a unique index' : 'a unique index'
    return `${kinds} on exactly these columns: valid, not partial, not deferrable; create unique index on ${on}`
  }

  #migration(key: readonly KeyColumn[], column: string): string {
    const names = key.map((part) => `'${part.column}'`)
    const options = [
      ...(this.relation.schema === 'public' ? [] : [`schema: '${this.relation.schema}'`]),
      `table: '${this.relation.name}'`,
      `key: ${names.length === 1 ? names[0] : `[${names.join(', ')}]`}`,
      ...(column === STAMP_COLUMN ? [] : [`column: '${column}'`]),
    ]
    return `a Kysely migration: import { stampTable } from 'corral/migrations'; export const { up, down } = stampTable({ ${options.join(', ')} })`
  }
}

const VERSION_TYPES = new Set(['int2', 'int4', 'int8'])
/** Below all domains: the server names those to nobody who reads rows. */
const LOCAL_TYPES = new Set(['date', 'timestamp', '_date', '_timestamp'])
const INTERVAL_TYPES = new Set(['interval', '_interval'])
const TEXT_TYPES = new Set<KeyType['name']>(['text', 'varchar', 'char', 'enum'])
const RELATION_KINDS: Record<string, string> = { v: 'a view', m: 'a materialized view', f: 'a foreign table' }

function toList(names: string | readonly string[]): readonly string[] {
  return typeof names === 'string' ? [names] : names
}

function isSameSet(some: readonly string[], others: readonly string[]): boolean {
  return some.length === others.length && some.every((each) => others.includes(each))
}

function requireTable(table: string, relation: Relation): void {
  const where = `${table}.table`
  const path = `${relation.schema}.${relation.name}`
  if (relation.kind !== 'r' && relation.kind !== 'p') {
    const found = RELATION_KINDS[relation.kind] ?? `a relation of kind ${relation.kind}`
    throw new ConfigError(where, `${path} to be a table; cache what a view shows with corral.query()`, found)
  }
  if (relation.temporary)
    throw new ConfigError(where, `${path} to be a table every connection sees`, 'a temporary table')
  if (relation.inherited)
    throw new ConfigError(where, `${path} to have no tables inheriting from it: no index is unique across them`, table)
  if (relation.parents.length > 0) {
    const whole = relation.parents.join(', ')
    const expected = `${path} to inherit from no other table: whoever writes ${whole} writes its rows as well, and tells nobody`
    throw new ConfigError(where, expected, `a table that inherits from ${whole}`)
  }
  if (relation.partitionOf !== null) {
    const whole = relation.partitionOf
    const expected = `${path} to be a table of its own: whoever writes ${whole} knows its rows as those of ${whole}; cache that`
    throw new ConfigError(where, expected, `a partition of ${whole}`)
  }
  if (path.split('.').length > 2) throw new ConfigError(where, 'schema and table names without dots', path)
}

/**
 * What one connection is shown is cached for all.
 *
 * @param relation `shownInPartTo`: as in `Relation`.
 * @throws ConfigError
 */
export function requireAllRows(
  table: string,
  { schema, name, shownInPartTo }: Pick<Relation, 'schema' | 'name' | 'shownInPartTo'>,
): void {
  if (shownInPartTo === null) return
  const expected =
    `a role that sees all rows of ${schema}.${name} (its owner, or one with BYPASSRLS), for a row that it is shown is cached for everybody; ` +
    'or `alike`, if the policies show the same rows to all connections of the namespace'
  throw new ConfigError(`${table}.rowSecurity`, expected, `policies that decide which rows ${shownInPartTo} sees`)
}

/**
 * The same where a plugin of the application's decides it.
 *
 * @param select of the table, as it leaves the plugins.
 * @throws ConfigError
 */
export function requireWhole(table: { readonly schema: string; readonly name: string }, select: OperationNode): void {
  const narrowing = narrowingOf(select, table)
  if (narrowing === undefined) return
  const expected =
    `plugins that leave a SELECT of ${table.schema}.${table.name} as it is, for a row that one call is shown is cached for everybody; ` +
    'give `createCorral` a Kysely without this one'
  throw new ConfigError('db', expected, inWords(narrowing))
}
