import { type AliasableExpression, type RawBuilder, sql } from 'kysely'
import { ConfigError, SourceError } from '../../core/errors.js'
import type { CanonicalId } from '../../core/ports.js'
import { toVersion, type Version } from '../../core/version.js'
import type { TableFacts } from './catalog.js'
import type { AnyDatabase } from './catalog-query.js'
import { identityOf, type KeyColumn } from './key-column.js'
import { castType, comparable } from './key-sql.js'

/** Keys of a query's rows in one statement. */
const PAGE = 1_000
/** Of the rows written most recently: without an index on the stamp each statement reads the whole table. */
const RECENT_PAGE = 10_000

const PICKED = 'corralpicked'
const KEY = 'corralkey'
const VERSION = 'corralversion'

interface Keyed {
  readonly id: CanonicalId
  readonly version: Version
}

/**
 * The ids in the rows of a query that selects at least the key's columns, in the order of the key, from behind `after` on.
 *
 * The query runs once for every 1,000 ids, as a subquery that is cut off after the last one seen; rows that come and go meanwhile
 * may or may not be among them. Ids that a join has left null are passed over. Errors come as `SourceError`; of a query that selects too little as
 * `ConfigError`.
 */
export async function* keysOfQuery(
  db: AnyDatabase,
  facts: TableFacts,
  query: AliasableExpression<unknown>,
  after: CanonicalId | undefined,
): AsyncGenerator<CanonicalId> {
  const key = facts.key.map(columnOf)
  const source = query.as(PICKED) as never
  for (let last = after; ; ) {
    let select = db.selectFrom(source).select(keyTexts(facts.key))
    for (const column of key) select = select.where(sql<boolean>`${column} is not null`)
    if (last) select = select.where(sql<boolean>`(${sql.join(key)}) > (${valuesOf(facts.key, last)})`)
    for (const column of key) select = select.orderBy(column)
    const ids = (await run(facts, select.limit(PAGE), isTooLittle)).map((row) => idIn(facts.key, row))
    yield* distinct(ids, last)
    if (ids.length < PAGE) return
    last = ids.at(-1)
  }
}

/**
 * The ids of the rows that were written last, the latest first, at most `limit`; from behind `after` on.
 *
 * In the order of the version stamp, which needs no index: without one each 10,000 ids cost a scan of the table and a sort that
 * keeps only them. The table must have a stamp. Errors come as `SourceError`.
 */
export async function* recentKeys(
  db: AnyDatabase,
  facts: TableFacts,
  after: Keyed | undefined,
  limit: number,
): AsyncGenerator<Keyed> {
  const { property } = facts.version as { property: string }
  const order = [sql`${sql.id(PICKED, property)}`, ...facts.key.map(columnOf)]
  let left = limit
  for (let last = after; left > 0; ) {
    const page = Math.min(left, RECENT_PAGE)
    let select = db
      .selectFrom(`${facts.table} as ${PICKED}`)
      .select([...keyTexts(facts.key), sql`${sql.id(PICKED, property)}::text`.as(VERSION)])
    if (last) {
      const values = sql.join([sql`${last.version}::text::bigint`, valuesOf(facts.key, last.id)])
      select = select.where(sql<boolean>`(${sql.join(order)}) < (${values})`)
    }
    for (const column of order) select = select.orderBy(column, 'desc')
    const rows = await run(facts, select.limit(page))
    for (const row of rows) {
      last = { id: idIn(facts.key, row), version: toVersion(row[VERSION]) as Version }
      yield last
    }
    if (rows.length < page) return
    left -= page
  }
}

/** SQLSTATE of a column that is not there. */
const NO_COLUMN = '42703'

/** Whether a column is missing that is asked of the query's rows, and not one that the query itself asks for. */
function isTooLittle(error: unknown): boolean {
  const { code, message = '' } = error as { readonly code?: string; readonly message?: string }
  return code === NO_COLUMN && message.includes(`${PICKED}.`)
}

async function run(
  facts: TableFacts,
  query: { execute(): Promise<unknown[]> },
  isTooLittle?: (error: unknown) => boolean,
): Promise<Record<string, unknown>[]> {
  try {
    return (await query.execute()) as Record<string, unknown>[]
  } catch (error) {
    if (isTooLittle?.(error)) {
      const names = facts.key.map(({ property }) => property).join(', ')
      throw new ConfigError('warm', `a query that selects every column of the key (${names})`, (error as Error).message)
    }
    throw new SourceError(`listing keys of ${facts.entity}`, error)
  }
}

/** As text, because what a type parser makes of them may not tell two of them apart. No underscores: plugins may map names. */
function keyTexts(key: readonly KeyColumn[]) {
  return key.map(({ property }, at) => sql<string>`${sql.id(PICKED, property)}::text`.as(KEY + 'x'.repeat(at)))
}

function idIn(key: readonly KeyColumn[], row: Record<string, unknown>): CanonicalId {
  return key.map((_, at) => row[KEY + 'x'.repeat(at)] as string)
}

function columnOf(column: KeyColumn): RawBuilder<unknown> {
  return comparable(column, sql`${sql.id(PICKED, column.property)}`)
}

function valuesOf(key: readonly KeyColumn[], id: CanonicalId): RawBuilder<unknown> {
  return sql.join(key.map((column, at) => sql`${id[at]}::text::${sql.raw(castType(column, [id[at] as string]))}`))
}

/** A query's rows may repeat a key. In the order of the key, repetitions follow one another. */
function* distinct(ids: readonly CanonicalId[], before: CanonicalId | undefined): Generator<CanonicalId> {
  let last = before && identityOf(before)
  for (const id of ids) {
    const identity = identityOf(id)
    if (identity !== last) yield id
    last = identity
  }
}
