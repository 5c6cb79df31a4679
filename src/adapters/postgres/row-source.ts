import { type CompiledQuery, type RawBuilder, sql } from 'kysely'
import { isCorralError, SourceError } from '../../core/errors.js'
import type { CanonicalId, Loaded, LoadedRow, RowSource } from '../../core/ports.js'
import { compareVersions, toVersion, type Version } from '../../core/version.js'
import { requireAllRows, requireWhole, type TableFacts } from './catalog.js'
import type { AnyDatabase } from './catalog-query.js'
import { identityOf, type KeyColumn } from './key-column.js'
import { castType, comparable, labelOf } from './key-sql.js'
import { arrayText, literal, qualified } from './sql-text.js'
import { without } from './without.js'

/** Ids in one statement; more travel as several. Larger arrays gain nothing and make one slow load of many. */
const MOST_IDS = 1_000

/**
 * Names of what the statement returns beside the row. No underscores: name-mapping plugins leave them alone. The
 * catalog refuses tables with columns named like these.
 */
const SNAPSHOT = 'corralsnapshot'
const SOURCE = 'corralsource'
const SHOWN_TO = 'corralshownto'
const VERSION = 'corralversion'
const KEY = 'corralkey'
const ROW = 'corralrow'

const ABSENT: LoadedRow = Object.freeze({ row: undefined, version: undefined })

/**
 * Loads rows of one table by key or by a unique column list, each with its stamp, and reports the snapshot that saw them.
 *
 * One statement reads all of it (races A14 and A16): a stamp from another statement could label an older row. It goes
 * through the user's Kysely, so a row is deep-equal to what `selectFrom(table).selectAll()` gives; it is a fresh object
 * that the caller owns, shared only among ids that repeat within one call. Ids must be canonical and possible.
 *
 * Above 1,000 ids several statements run one after the other, and the snapshot reported is one that claims to have seen
 * nothing that any of them missed. Driver errors come as `SourceError` with the original as cause;
 * what plugins make other rows of, and where policies decide which rows the connection's role sees, as `ConfigError`.
 */
export class PostgresRowSource implements RowSource {
  readonly #db: AnyDatabase
  readonly #facts: TableFacts
  readonly #by: readonly KeyColumn[]
  readonly #asksWhom: boolean
  readonly #beside: ReadonlySet<string>

  /**
   * @param options.by the columns the ids are made of; default: the table's key.
   * @param options.isInside for a transaction, which is shown what its role may see: nothing of it is cached.
   */
  constructor(options: { db: AnyDatabase; facts: TableFacts; by?: readonly KeyColumn[]; isInside?: boolean }) {
    const { db, facts, by = facts.key, isInside = false } = options
    this.#db = db
    this.#facts = facts
    this.#by = by
    this.#asksWhom = !isInside && !facts.isShownAlike
    this.#beside = new Set([SNAPSHOT, SOURCE, SHOWN_TO, VERSION, ...by.map((_, at) => keyAlias(at))])
  }

  async load(ids: readonly CanonicalId[]): Promise<Loaded> {
    const parts = [await this.#loadTogether(ids.slice(0, MOST_IDS))]
    for (let at = MOST_IDS; at < ids.length; at += MOST_IDS) {
      parts.push(await this.#loadTogether(ids.slice(at, at + MOST_IDS)))
    }
    return {
      rows: parts.flatMap(({ rows }) => rows),
      snapshot: parts.map(({ snapshot }) => snapshot).reduce(commonSnapshot),
      loadedFrom: parts.some(({ loadedFrom }) => loadedFrom === 'standby') ? 'standby' : 'primary',
    }
  }

  /**
   * Only the stamps of the rows, in the order of the ids; undefined where there is no row. Cheaper than reading them. Rejects when
   * the server is in recovery: what it says about a cached row's stamp proves nothing.
   */
  async versions(ids: readonly CanonicalId[]): Promise<(Version | undefined)[]> {
    const found = new Map<string, Version | undefined>()
    for (let at = 0; at < ids.length; at += MOST_IDS) {
      const rows: Record<string, unknown>[] = await this.#run(this.#within(ids.slice(at, at + MOST_IDS)))
      if (rows[0]?.[SOURCE] !== 'primary') {
        throw new SourceError(`load of ${this.#facts.entity}`, new Error('the server is in recovery'))
      }
      for (const row of rows) {
        const id = this.#by.map((_, i) => row[keyAlias(i)])
        if (!id.includes(null)) found.set(identityOf(id), toVersion(row[VERSION]))
      }
    }
    return ids.map((id) => found.get(identityOf(id)))
  }

  async #run(query: { compile(): CompiledQuery<Record<string, unknown>> }): Promise<Record<string, unknown>[]> {
    try {
      const statement = query.compile()
      // A plugin may have begun since the table was opened, or do so for some calls only: those of a load are several.
      requireWhole(this.#facts, statement.query)
      const { rows } = await this.#db.executeQuery(statement)
      // Policies may have begun to hold since the table was opened, or do so for some connections only.
      const { table, schema, name } = this.#facts
      requireAllRows(table, { schema, name, shownInPartTo: (rows[0]?.[SHOWN_TO] ?? null) as string | null })
      return rows
    } catch (error) {
      throw isCorralError(error, 'CONFIG_INVALID') ? error : new SourceError(`load of ${this.#facts.entity}`, error)
    }
  }

  async #loadTogether(ids: readonly CanonicalId[]): Promise<Loaded> {
    const rows = await this.#run(this.#statement(ids))
    const found = new Map<string, LoadedRow>()
    for (const row of rows) {
      const id = this.#by.map((_, at) => row[keyAlias(at)])
      if (id.includes(null)) continue
      // What the table has now, also where it was altered since its facts were read. The codec notices that.
      found.set(identityOf(id), { row: without(row, this.#beside), version: toVersion(row[VERSION]) })
    }
    const [first] = rows as [Record<string, unknown>]
    return {
      rows: ids.map((id) => found.get(identityOf(id)) ?? ABSENT),
      snapshot: String(first[SNAPSHOT]),
      loadedFrom: first[SOURCE] === 'primary' ? 'primary' : 'standby',
    }
  }

  #statement(ids: readonly CanonicalId[]) {
    return this.#within(ids).selectAll(ROW)
  }

  /** The left join gives a row also when no id is found: every answer carries its snapshot. */
  #within(ids: readonly CanonicalId[]) {
    const context = sql<Record<string, string>>`(select pg_current_snapshot()::text as ${sql.raw(SNAPSHOT)},
      case when pg_is_in_recovery() then 'standby' else 'primary' end as ${sql.raw(SOURCE)}${this.#shownTo()})`
    return this.#db
      .selectFrom(context.as('corralcontext'))
      .leftJoin(`${this.#facts.table} as ${ROW}`, (join) => join.on(this.#hasOneOf(ids)))
      .selectAll('corralcontext')
      .select(this.#identity())
  }

  /** Whom policies show only some rows, in the same statement as those rows. Looked up once for all of them: a sub-select that depends on none. */
  #shownTo(): RawBuilder<unknown> {
    if (!this.#asksWhom) return sql``
    const table = sql.raw(literal(qualified(this.#facts.schema, this.#facts.name)))
    return sql`, (select current_user::text where row_security_active(to_regclass(${table})::oid)) as ${sql.raw(SHOWN_TO)}`
  }

  /** Ids and stamp as text: what a type parser of the user's makes of them may not tell two of them apart. */
  #identity() {
    const key = this.#by.map((column, at) => sql`${inRow(column)}::text`.as(keyAlias(at)))
    const version = this.#facts.version ? sql`${inRow(this.#facts.version)}::text` : sql`null::text`
    return [...key, version.as(VERSION)]
  }

  #hasOneOf(ids: readonly CanonicalId[]): RawBuilder<boolean> {
    const values = this.#by.map((_, at) => ids.map((id) => id[at] as string))
    const [column, ...more] = this.#by as [KeyColumn, ...KeyColumn[]]
    if (more.length === 0) return sql<boolean>`${keyIn(column)} = any(${castAll(column, values[0] as string[])})`

    const arrays = sql.join(this.#by.map((each, at) => arrayOf(each, values[at] as string[])))
    const columns = sql.join(
      this.#by.map(({ type }, at) =>
        type.name === 'enum' ? labelOf(type, sql.raw(`corralid.c${at}`)) : sql.raw(`corralid.c${at}`),
      ),
    )
    const names = sql.raw(this.#by.map((_, at) => `c${at}`).join(', '))
    return sql<boolean>`(${sql.join(this.#by.map(keyIn))}) in (select ${columns} from unnest(${arrays}) as corralid(${names}))`
  }
}

/**
 * The newest snapshot that sees nothing either of two does not see: `xmin:xmax:` and the transactions open between.
 * Holds also for snapshots of a standby, of which only the part below xmin counts.
 */
export function commonSnapshot(some: string, other: string): string {
  if (some === other) return some
  const [a, b] = [some, other].map(parseSnapshot) as [Snapshot, Snapshot]
  const xmin = lower(a.xmin, b.xmin)
  const xmax = lower(a.xmax, b.xmax)
  const open = [...new Set([...a.open, ...b.open])].filter((xid) => compareVersions(xid, xmax) < 0)
  return `${lower(xmin, xmax)}:${xmax}:${open.sort(compareVersions).join(',')}`
}

interface Snapshot {
  readonly xmin: string
  readonly xmax: string
  readonly open: readonly string[]
}

function parseSnapshot(text: string): Snapshot {
  const [xmin = '', xmax = '', open = ''] = text.split(':')
  return { xmin, xmax, open: open === '' ? [] : open.split(',') }
}

function lower(some: string, other: string): string {
  return compareVersions(some, other) <= 0 ? some : other
}

function inRow({ property }: { property: string }): RawBuilder<unknown> {
  return sql`${sql.id(ROW, property)}`
}

function keyIn(column: KeyColumn): RawBuilder<unknown> {
  return comparable(column, inRow(column))
}

function keyAlias(at: number): string {
  return KEY + 'x'.repeat(at)
}

function castAll(column: KeyColumn, ids: readonly string[]): RawBuilder<unknown> {
  const { type } = column
  const array = arrayOf(column, ids)
  if (type.name !== 'enum') return array
  // Cast one by one, a text that is no label would fail the whole batch.
  return sql`array(select label from unnest(enum_range(null::${sql.raw(type.sqlName)})) as label where label::text = any(${array}))`
}

function arrayOf(column: KeyColumn, ids: readonly string[]): RawBuilder<unknown> {
  const type = column.type.name === 'enum' ? 'text' : castType(column, ids)
  return sql`${arrayText(ids)}::text::${sql.raw(type)}[]`
}
