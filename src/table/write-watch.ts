import type { KeyColumn } from '../adapters/postgres/key-column.js'
import type { TableName } from '../adapters/postgres/operation-tree.js'
import { realTable } from '../adapters/postgres/real-names.js'
import type { RelationDirectory } from '../adapters/postgres/relation-directory.js'
import type { Relation } from '../adapters/postgres/relation-graph.js'
import type { AnyDatabase } from '../adapters/postgres/row-writer.js'
import type { DoneWrite, WriteWatch } from '../adapters/postgres/write-capture.js'
import type { ReturnedRow, Write } from '../adapters/postgres/write-statement.js'
import type { Change } from '../core/change.js'
import { ConfigError } from '../core/errors.js'
import type { CorralEvent, EmitEvent } from '../core/events.js'
import type { CanonicalId } from '../core/ports.js'
import { toVersion } from '../core/version.js'
import { TableMarks } from '../engine/table-marks.js'
import type { CachedTable } from './cached-table.js'
import type { AlongWith, ChangeDetails } from './changes.js'
import type { CachedTables } from './open-table.js'

/** What it takes to know what statements of the application's own mean for the cache. */
export interface WatchParts {
  readonly namespace: string
  readonly relations: RelationDirectory
  readonly tables: CachedTables
  readonly emit: EmitEvent
}

/** A write that could not be followed: raw SQL, or rows of a table that nobody told, such as those a foreign key takes along. */
export type UnseenWrite = Omit<CorralEvent & { type: 'write.unseen' }, 'type'>

export interface WatchedLog {
  run<Answer>(statement: () => Promise<Answer>): Promise<Answer>
  add(changes: readonly Change[], xid: string | undefined): void
  addUnseen(write: UnseenWrite): void
  statementFailed(error: unknown): void
}

/** One transaction's own statements: what they write, as changes for its log. */
export class TableWatch implements WriteWatch {
  readonly #parts: WatchParts
  readonly #tx: AnyDatabase
  readonly #log: WatchedLog
  readonly #relations = new Map<string, Relation | undefined>()
  /** Names mean here what they mean to nobody else, and a savepoint that is rolled back may give them back. */
  #namesMove = false

  /**
   * @param tx asked what table names mean: the connection that is held anyway.
   * @param log takes what has changed, to be told to the cache if the transaction commits.
   */
  constructor(parts: WatchParts, tx: AnyDatabase, log: WatchedLog) {
    this.#parts = parts
    this.#tx = tx
    this.#log = log
  }

  run<Answer>(statement: () => Promise<Answer>): Promise<Answer> {
    return this.#log.run(statement)
  }

  namesMove(): void {
    this.#namesMove = true
  }

  async expect(writes: readonly Write[], on: AnyDatabase): Promise<readonly (readonly string[] | undefined)[]> {
    const missing = await this.#open(writes, on)
    for (const entity of missing) this.#log.addUnseen({ statement: writes[0]?.kind ?? 'unknown', entity })
    const names = writes.map(({ table }) => table)
    const found = await this.#find(names, on).catch(noneIfAborted)
    // The database refuses the statement for the same reason, and its word on that is the one to be heard.
    if (found === undefined) return writes.map(() => undefined)
    return writes.map(({ isOuter }, at) => {
      const tables = isOuter ? this.#tablesOf(found[at]) : []
      return tables.length === 0 ? undefined : [...new Set(tables.flatMap(columnsOf))]
    })
  }

  happened(writes: readonly DoneWrite[]): void {
    for (const write of writes) {
      const relation = this.#relations.get(idOf(write.table))
      const tables = this.#tablesOf(relation)
      const changes = tables.flatMap((table) =>
        write.rows ? write.rows.flatMap((row) => changesOf(table, write, row)) : changesWithin(table, write),
      )
      this.#log.add([...changes, ...this.#marksOf(relation, write, tables)], write.xid)
      const untold = tables.filter((table) => !tellsRows(table, write)).map(({ facts }) => facts.entity)
      // Other processes may have repositories of it.
      const elsewhere = tables.length === 0 && relation?.toldByWriters ? relation.roots : []
      for (const entity of new Set([...untold, ...elsewhere])) this.#log.addUnseen({ statement: write.kind, entity })
      const others = [...(relation?.bases ?? []), ...this.#reachedBy(relation, write)]
      for (const unseen of unseenAlong(this.#parts.tables, { kind: write.kind, entities: others })) {
        this.#log.addUnseen(unseen)
      }
    }
  }

  unseen(word: string): void {
    this.#log.addUnseen({ statement: word, entity: undefined })
  }

  failed(error: unknown): void {
    this.#log.statementFailed(error)
  }

  /** The application says what it has written: whole tables for queries, and rows by their ids for repositories. */
  async touched(table: TableName, ids: readonly unknown[]): Promise<void> {
    if (!Array.isArray(ids)) throw new ConfigError('touched.ids', 'an array of ids', ids)
    const [relation] = await this.#find([table])
    if (relation === undefined) throw new ConfigError('touched', 'the name of a table', table.name)
    const tables = this.#tablesOf(relation)
    if (ids.length > 0 && tables.length === 0) {
      throw new ConfigError(
        'touched',
        `no ids: ${relation.entity} has no repository that could tell what they are`,
        ids,
      )
    }
    const rows = tables.flatMap((each) =>
      ids.flatMap((id) => {
        const canonical: CanonicalId | undefined = each.idOf(id)
        return canonical ? each.unknownChanges(canonical, {}) : []
      }),
    )
    const write: Write = { table, kind: 'unknown', touched: undefined, bounds: [], isOuter: false }
    this.#log.add([...rows, ...this.#marksOf(relation, write, [])], undefined)
  }

  /** What could not be opened before the transaction began is tried once more: without it nobody could say which rows a write has changed. */
  #open(writes: readonly Write[], on: AnyDatabase): Promise<readonly string[]> {
    return this.#parts.tables.openInside(on, (repository) => {
      const { schema, name } = realTable(on, repository)
      return writes.some(({ table }) => table.name === name && (table.schema ?? schema) === (schema ?? table.schema))
    })
  }

  async #find(names: readonly TableName[], on = this.#tx): Promise<readonly (Relation | undefined)[]> {
    const { relations } = this.#parts
    const found = await (this.#namesMove ? relations.look(names, on) : relations.find(names, on))
    names.forEach((name, at) => {
      this.#relations.set(idOf(name), found[at])
    })
    // What a row's change is told by, its table recalls by its full name.
    const tables = found.flatMap((relation) => this.#tablesOf(relation))
    await relations.find(
      tables.map(({ facts }) => facts),
      on,
    )
    return found
  }

  /** The rows of a partition are those of its table, which has all its columns by the same names. */
  #tablesOf(relation: Relation | undefined): readonly CachedTable[] {
    const entities = relation === undefined ? [] : [...new Set([relation.entity, ...relation.roots])]
    return entities.flatMap((entity) => this.#parts.tables.of(entity))
  }

  /** The marks of a table without a repository, or of one whose rows are not known. */
  #marksOf(relation: Relation | undefined, write: Write, tables: readonly CachedTable[]): readonly Change[] {
    if (relation === undefined) return []
    const isByRow = tables.length > 0 && (write as DoneWrite).rows !== undefined
    if (isByRow) return []
    return this.#marks(relation).ofWrite({ ...write, valueIn: () => undefined })
  }

  #reachedBy(relation: Relation | undefined, write: Write): readonly string[] {
    return relation === undefined ? [] : this.#marks(relation).reachedBy(write)
  }

  #marks(relation: Relation): TableMarks {
    return new TableMarks({ namespace: this.#parts.namespace, marked: relation, columns: [] })
  }
}

/** SQLSTATE of every statement that follows the one which aborted its transaction. */
export const IN_FAILED_TRANSACTION = '25P02'

function noneIfAborted(error: { readonly cause?: { readonly code?: unknown } }): undefined {
  if (error.cause?.code !== IN_FAILED_TRANSACTION) throw error
}

/** What `RelationDirectory.renew` does, for a table that is written in a transaction: on the connection which that holds. */
export async function renewInside({ relations }: WatchParts, { facts }: CachedTable, tx: AnyDatabase): Promise<void> {
  await relations.find([facts], tx).catch(noneIfAborted)
}

/** What a write has changed besides its own rows, where a repository may hold some of it: the statement tells none of those rows. */
export function unseenAlong(tables: CachedTables, along: AlongWith | undefined): UnseenWrite[] {
  if (along === undefined) return []
  const { kind, entities } = along
  const held = entities.filter((entity) => tables.of(entity).length > 0)
  return held.map((entity) => ({ statement: kind, entity }))
}

function idOf({ schema, name }: TableName): string {
  return JSON.stringify([schema ?? null, name])
}

/** Everything a change of a row is known by. Real names. */
function columnsOf({ facts }: CachedTable): string[] {
  const { key, unique, queryBy, version } = facts
  const columns = [...key, ...unique.flat(), ...queryBy].map(({ column }) => column)
  return version === undefined ? columns : [...columns, version.column]
}

function changesOf(table: CachedTable, write: DoneWrite, told: ReturnedRow): Change[] {
  const { facts } = table
  const row: Record<string, string | null> = {}
  for (const { column, property } of facts.columns) if (told.has(column)) row[property] = told.get(column) ?? null
  const id = facts.key.map(({ column }) => told.get(column) as string)
  const version = facts.version && toVersion(told.get(facts.version.column))
  return table.changes({ row, told: row, id, version, xid: write.xid as string }, detailsOf(table, write))
}

function detailsOf({ facts }: CachedTable, { kind, touched }: Write): ChangeDetails {
  if (kind === 'delete') return { wasDeleted: true }
  if (kind === 'insert') return {}
  if (kind !== 'update') return { mayReplace: true }
  const isTouched = (column: string) => touched?.includes(column) ?? true
  return { touched: facts.columns.filter(({ column }) => isTouched(column)).map(({ property }) => property) }
}

/** Whether every row the write changed is known, under the key it had and under the one it has. */
function tellsRows(table: CachedTable, write: DoneWrite): boolean {
  const { facts } = table
  const isSet = ({ column }: KeyColumn) => write.kind === 'update' && (write.touched?.includes(column) ?? true)
  if (facts.key.some(isSet)) return false
  // Bounds tell the rows, but not what their unique columns were set to.
  return write.rows !== undefined || (idsWithin(table, write) !== undefined && !facts.unique.flat().some(isSet))
}

/** The rows a write may have changed that it does not tell, as far as its conditions name them. */
function changesWithin(table: CachedTable, write: DoneWrite): Change[] {
  return (idsWithin(table, write) ?? []).flatMap((id) => table.unknownChanges(id, {}))
}

/** What conditions on several columns may multiply to. Of a statement with more than that, no row is told. */
const MOST_MULTIPLIED = 10_000

/** The ids a write's own conditions hold its rows to; undefined when they do not, or to very many. */
function idsWithin(table: CachedTable, { bounds }: Write): CanonicalId[] | undefined {
  let ids: string[][] = [[]]
  for (const { column } of table.facts.key) {
    const bound = bounds.find((each) => each.column === column && each.direct)
    if (bound === undefined || (ids.length > 1 && ids.length * bound.values.length > MOST_MULTIPLIED)) return undefined
    ids = ids.flatMap((id) => bound.values.map((value) => [...id, value as string]))
  }
  try {
    const given = ids.map((id) => Object.fromEntries(table.facts.key.map(({ property }, at) => [property, id[at]])))
    return given.map((id) => table.idOf(id)).filter((id) => id !== undefined)
  } catch {
    return undefined
  }
}
