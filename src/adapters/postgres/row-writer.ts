import {
  type AliasedRawBuilder,
  type CompiledQuery,
  type Kysely,
  NoResultError,
  type QueryNode,
  type RawBuilder,
  sql,
} from 'kysely'
import type { CanonicalId } from '../../core/ports.js'
import { toVersion, type Version } from '../../core/version.js'
import type { TableFacts } from './catalog.js'
import type { KeyColumn } from './key-column.js'
import { castType, comparable, labelOf } from './key-sql.js'
import { KnownStatements } from './known-statements.js'
import { without } from './without.js'

// biome-ignore lint/suspicious/noExplicitAny: the user's Database type is checked at the repository; here tables are values
export type AnyDatabase = Kysely<any>

/** A row as the database returned it from a write, and what the write is known by. */
export interface Written {
  /** Fresh object, not yet frozen. After a delete: the row as it was. */
  readonly row: object
  /** The same by which its lookups and the marks of queries are known: the columns that are declared for them are as the database prints them. */
  readonly told: object
  readonly id: CanonicalId
  readonly version: Version | undefined
  readonly xid: string
}

/** Names of what RETURNING gives beside the row. No underscores, so that name-mapping plugins leave them alone. */
const XID = 'corralxid'
const KEY = 'corralkey'
const TOLD = 'corraltold'
const VERSION = 'corralversion'
const WAITED = 'corralwaited'

/** An insert that had to wait for somebody takes longer than this from its stamp to its row, and few others do. */
const WAITED_US = 500

/**
 * The statements that change rows of one table. Each returns the row, its stamp and the transaction id from the same
 * statement, so that nothing about a write has to be read (or guessed) afterwards.
 *
 * Database errors pass through untouched: a caller who handles `23505` today goes on doing so.
 */
export class RowWriter {
  readonly #facts: TableFacts
  readonly #declared: () => readonly KeyColumn[]
  /** Those of them, by their properties, of which the driver was seen to tell every value. */
  readonly #exact = new Set<string>()
  #asked: Asked

  /**
   * @param declared the columns by which lookups and queries of any repository of the table are declared: when they become more, the same list is not
   * given any more, but one that begins with it.
   */
  constructor(facts: TableFacts, declared: () => readonly KeyColumn[]) {
    this.#facts = facts
    this.#declared = declared
    this.#asked = this.#ask(declared())
  }

  /** The same for the table as it is by now. */
  of(facts: TableFacts): RowWriter {
    return new RowWriter(facts, this.#declared)
  }

  /** With no values at all: a row of defaults. */
  async insert(db: AnyDatabase, values: object): Promise<Written> {
    const make = () => this.#returning(this.#insertion(db, values), true)
    return this.#inserted(db, await this.#one(db, shapeOf('insert', values), valuesIn(values), make))
  }

  /** Inserts, or where the key exists sets every column that `values` names. */
  async upsert(db: AnyDatabase, values: object): Promise<Written> {
    const key = this.#facts.key.map((column) => column.property)
    const rest = given(values).filter((property) => !key.includes(property))
    const make = () => {
      const query = this.#insertion(db, values).onConflict((conflict) => {
        const target = conflict.columns(key)
        // With nothing else to set, the key is set to itself: DO NOTHING would return no row.
        const columns = rest.length > 0 ? rest : key
        return target.doUpdateSet((excluded) =>
          Object.fromEntries(columns.map((property) => [property, excluded.ref(`excluded.${property}`)])),
        )
      })
      return this.#returning(query, true)
    }
    return this.#inserted(db, await this.#one(db, shapeOf('upsert', values), valuesIn(values), make))
  }

  /** @param expectVersion only a row with this stamp is updated. */
  async update(db: AnyDatabase, id: CanonicalId, patch: object, expectVersion?: string): Promise<Written | undefined> {
    const { shape, values, narrow } = this.#ofKey(id, expectVersion)
    const make = () => this.#returning(narrow(db.updateTable(this.#facts.table).set(patch)))
    const all = [...valuesIn(patch), ...values]
    const { rows } = await this.#askedNow().statements.run(db, `${shapeOf('update', patch)} ${shape}`, all, make)
    return rows[0] && this.#written(rows[0])
  }

  async delete(db: AnyDatabase, id: CanonicalId, expectVersion?: string): Promise<Written | undefined> {
    const { shape, values, narrow } = this.#ofKey(id, expectVersion)
    const make = () => this.#returning(narrow(db.deleteFrom(this.#facts.table)))
    const { rows } = await this.#askedNow().statements.run(db, `delete ${shape}`, values, make)
    return rows[0] && this.#written(rows[0])
  }

  /** The row, locked until the transaction ends. Undefined when there is none. */
  async lock(db: AnyDatabase, id: CanonicalId): Promise<object | undefined> {
    return this.#byKey(db.selectFrom(this.#facts.table).selectAll(), id).forUpdate().executeTakeFirst()
  }

  /** The stamp a row has now; undefined when there is no row. */
  async versionOf(db: AnyDatabase, id: CanonicalId): Promise<Version | undefined> {
    const property = this.#versionProperty()
    const version = sql`${sql.ref(property)}::text`.as(VERSION)
    const row = await this.#byKey(db.selectFrom(this.#facts.table).select(version), id).executeTakeFirst()
    return row && toVersion((row as Record<string, unknown>)[VERSION])
  }

  #insertion(db: AnyDatabase, values: object) {
    const insertion = db.insertInto(this.#facts.table)
    return given(values).length > 0 ? insertion.values(values) : insertion.defaultValues()
  }

  /** The one row of an insertion. @throws NoResultError where a trigger has refused it. */
  async #one(db: AnyDatabase, shape: string, values: readonly unknown[], make: () => { compile(): CompiledQuery }) {
    const { rows, node } = await this.#askedNow().statements.run(db, shape, values, make)
    if (rows[0] === undefined) throw new NoResultError(node as QueryNode)
    return rows[0]
  }

  /** What of a statement says which row, and the values of that in their order. */
  #ofKey(id: CanonicalId, expectVersion: string | undefined) {
    const isVersioned = expectVersion !== undefined
    const shape = [...this.#facts.key.map((column, at) => column.holds(id[at] as string)), isVersioned].join()
    const narrow = <Query extends Narrowed<Query>>(query: Query): Query => {
      const one = this.#byKey(query, id)
      return isVersioned ? one.where(this.#versionProperty(), '=', expectVersion) : one
    }
    return { shape, values: isVersioned ? [...id, expectVersion] : id, narrow }
  }

  #versionProperty(): string {
    // The repository refuses `expectVersion` on a table without a stamp before it gets here.
    return (this.#facts.version as { property: string }).property
  }

  #byKey<Query extends Narrowed<Query>>(query: Query, id: CanonicalId) {
    return this.#facts.key.reduce((narrowed, column, at) => {
      const value = id[at] as string
      return narrowed.where(comparable(column, sql.ref(column.property)), '=', asked(column, value))
    }, query)
  }

  #returning<Query extends { returningAll(): { returning(extra: unknown): unknown } }>(query: Query, inserts = false) {
    return query.returningAll().returning(inserts ? this.#asked.inserts : this.#asked.others) as {
      compile(): CompiledQuery
    }
  }

  #askedNow(): Asked {
    const declared = this.#declared()
    if (declared !== this.#asked.declared || this.#exact.size !== this.#asked.exact) this.#asked = this.#ask(declared)
    return this.#asked
  }

  #ask(declared: readonly KeyColumn[]): Asked {
    const { key, version, stamp } = this.#facts
    const text = (property: string) => sql`${sql.ref(property)}::text`
    // Once more as text: what a type parser of the user's makes of them may not tell two values apart.
    const texts = [
      ...key.map(({ property }, at) => text(property).as(alias(KEY, at))),
      ...(version ? [text(version.property).as(VERSION)] : []),
      ...declared.flatMap(({ property }, at) =>
        this.#exact.has(property) ? [] : [text(property).as(alias(TOLD, at))],
      ),
    ]
    const others = [sql`pg_current_xact_id()::text`.as(XID), ...texts]
    const inserts = version && stamp === 'installed' ? [...others, hasWaited(version).as(WAITED)] : others
    const names = [...key.map((_, at) => alias(KEY, at)), ...declared.map((_, at) => alias(TOLD, at))]
    const beside = new Set([XID, VERSION, WAITED, ...names])
    return { declared, exact: this.#exact.size, texts, inserts, others, beside, statements: new KnownStatements() }
  }

  /**
   * An INSERT draws its stamp before it waits for whoever is deleting its key. If what was deleted has a later one, a trigger gives the row
   * yet another behind the statement (`stamp-sql`), which tells of the first. So who may have waited asks which one it was.
   */
  async #inserted(db: AnyDatabase, returned: Record<string, unknown>): Promise<Written> {
    const written = this.#written(returned)
    if (returned[WAITED] !== 'true') return written
    const asking = this.#kept(db, written)
    // It is written, and outside of a transaction it is committed: nothing that goes wrong now makes it otherwise.
    return db.isTransaction ? asking : asking.catch(() => written)
  }

  /** The row as this write has left it: its stamp, and whatever the database has made of that. Unchanged where somebody else has written it since. */
  async #kept(db: AnyDatabase, written: Written): Promise<Written> {
    const own = this.#byKey(db.selectFrom(this.#facts.table), written.id).selectAll().select(this.#asked.texts)
    // Within a transaction nobody else can have written it, and a savepoint has a number of its own.
    const query = db.isTransaction ? own : own.where(sql<boolean>`xmin = ${written.xid}::xid8::xid`)
    const found = await query.executeTakeFirst()
    return found === undefined ? written : { ...this.#written(found), xid: written.xid }
  }

  #written(returned: Record<string, unknown>): Written {
    const { declared, beside } = this.#asked
    const id = this.#facts.key.map((_, at) => String(returned[alias(KEY, at)]))
    const version = toVersion(returned[VERSION])
    const xid = String(returned[XID])
    const row = without(returned, beside)
    return { row, told: this.#told(declared, returned, row), id, version, xid }
  }

  #told(declared: readonly KeyColumn[], returned: Record<string, unknown>, row: Record<string, unknown>) {
    let told = row
    declared.forEach((column, at) => {
      const { property } = column
      const text = returned[alias(TOLD, at)]
      // It was not asked for, or not yet when the statement was sent.
      if (text === undefined) return
      if (isExact(column, row[property], text)) this.#exact.add(property)
      if (told === row) told = { ...row }
      told[property] = text
    })
    return told
  }
}

/** Whether the driver gives this column's values in a form that tells all of them. Null does not show it, nor does a number of a bigint: the next may have lost digits. */
function isExact(column: KeyColumn, value: unknown, text: unknown): boolean {
  if (text === null || (typeof value === 'number' && column.type.name === 'bigint')) return false
  try {
    return column.canonical(value) === text
  } catch {
    return false
  }
}

/** What RETURNING is asked for beside the row, of an INSERT and of others: made once, because every write asks for it. */
interface Asked {
  readonly declared: readonly KeyColumn[]
  /** How many of them need no text. */
  readonly exact: number
  /** Key, stamp and the others, each as text. */
  readonly texts: readonly AliasedRawBuilder<unknown, string>[]
  readonly inserts: readonly unknown[]
  readonly others: readonly unknown[]
  /** What it is called in what is returned. */
  readonly beside: ReadonlySet<string>
  readonly statements: KnownStatements
}

/** Whether it is long since a row had its stamp. RETURNING comes after all waiting. */
function hasWaited({ property }: { readonly property: string }) {
  const nowUs = sql`(date_part('epoch', clock_timestamp()) * 1000000)::bigint`
  return sql`(${nowUs} - ${sql.ref(property)} > ${sql.lit(WAITED_US)})::text`
}

interface Narrowed<Query> {
  where(column: RawBuilder<unknown> | string, operator: '=', value: unknown): Query
}

function asked(column: KeyColumn, value: string): string | RawBuilder<unknown> {
  const text = sql`${value}::text`
  if (column.type.name === 'enum') return labelOf(column.type, text)
  // A bare parameter gets the column's own type.
  return column.holds(value) ? value : sql`${text}::${sql.raw(castType(column, [value]))}`
}

/** What the text of a statement depends on that writes these. */
function shapeOf(kind: 'insert' | 'upsert' | 'update', values: object): string {
  return JSON.stringify([
    kind,
    ...Object.entries(values).map(([property, value]) => (value === undefined ? [property] : property)),
  ])
}

function valuesIn(values: object): unknown[] {
  return Object.values(values).filter((value) => value !== undefined)
}

/** The properties that have a value: what is undefined is left to the database. */
function given(values: object): string[] {
  return Object.entries(values).flatMap(([property, value]) => (value === undefined ? [] : [property]))
}

function alias(name: string, at: number): string {
  return name + 'x'.repeat(at)
}

/**
 * Whether a statement that was sent and failed may have been committed after all: the connection broke before the server answered, or
 * its answer could not be read. An error of the server (it carries a severity) settles it, unless it says that the server itself is
 * going away, or may be: what it could not write to its log in time it finds there again when it starts. What was never sent, see `watchSending`,
 * is settled as well.
 */
export function outcomeIsUnknown(error: unknown): boolean {
  const { severity, code } = (error ?? {}) as { severity?: unknown; code?: unknown }
  if (typeof severity !== 'string' || typeof code !== 'string') return true
  return UNSETTLING.some((beginning) => code.startsWith(beginning))
}

/**
 * Beginnings of SQLSTATEs: connection exceptions, an operator's intervention, and what a PANIC comes with: a full disk, an error of the system or an
 * internal one. By code, because the server translates the severity.
 */
const UNSETTLING = ['08', '57P', '53100', '58', 'XX']

/** How a transaction ended, by its id. `unknown`: too long ago for the server to remember. */
export async function commitStatus(
  db: AnyDatabase,
  xid: string,
): Promise<'committed' | 'aborted' | 'in progress' | 'unknown'> {
  const { rows } = await sql<{ status: string | null }>`select pg_xact_status(${xid}::xid8) as status`.execute(db)
  return (rows[0]?.status ?? 'unknown') as 'committed' | 'aborted' | 'in progress' | 'unknown'
}
