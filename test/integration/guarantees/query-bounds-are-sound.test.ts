import fc from 'fast-check'
import { type ExpressionBuilder, ExpressionWrapper, Kysely, PostgresDialect, type SqlBool, sql } from 'kysely'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readDependencies } from '../../../src/adapters/postgres/query-dependencies.js'
import { freshDatabase } from '../../support/services.js'

// biome-ignore lint/suspicious/noExplicitAny: queries are put together at random
type Any = any

const TABLES = ['a', 'b', 'c'] as const
const COLUMNS = ['x', 'y'] as const
const JOINS = ['innerJoin', 'leftJoin', 'rightJoin', 'fullJoin'] as const

type Column = `${(typeof TABLES)[number]}.${(typeof COLUMNS)[number]}`
type Condition =
  | { readonly kind: 'value'; readonly column: Column; readonly value: number; readonly isFlipped: boolean }
  | { readonly kind: 'list'; readonly column: Column; readonly values: readonly number[] }
  | { readonly kind: 'columns'; readonly column: Column; readonly other: Column }
  | { readonly kind: 'unlike'; readonly column: Column; readonly value: number }
  | {
      readonly kind: 'raw'
      readonly some: Column
      readonly word: 'and' | 'or'
      readonly other: Column
      readonly isEnclosed: boolean
    }
  | { readonly kind: 'both'; readonly some: Condition; readonly other: Condition }
  | { readonly kind: 'either'; readonly some: Condition; readonly other: Condition }

interface Shape {
  readonly joins: readonly { readonly type: (typeof JOINS)[number]; readonly on: readonly Condition[] }[]
  readonly where: readonly Condition[]
  readonly ending: 'rows' | 'distinct' | 'counted'
}

const value = fc.integer({ min: 0, max: 3 })

function column(tables: readonly string[]): fc.Arbitrary<Column> {
  return fc
    .tuple(fc.constantFrom(...tables), fc.constantFrom(...COLUMNS))
    .map(([table, name]) => `${table}.${name}` as Column)
}

/** Conditions on columns of the tables that are in sight. */
function condition(tables: readonly string[], depth = 0): fc.Arbitrary<Condition> {
  const one = column(tables)
  const plain: fc.Arbitrary<Condition>[] = [
    fc.record({ kind: fc.constant('value' as const), column: one, value, isFlipped: fc.boolean() }),
    fc.record({
      kind: fc.constant('list' as const),
      column: one,
      values: fc.uniqueArray(value, { minLength: 1, maxLength: 2 }),
    }),
    fc.record({ kind: fc.constant('columns' as const), column: one, other: one }),
    fc.record({ kind: fc.constant('unlike' as const), column: one, value }),
    fc.record({
      kind: fc.constant('raw' as const),
      some: one,
      word: fc.constantFrom('and' as const, 'or' as const),
      other: one,
      isEnclosed: fc.boolean(),
    }),
  ]
  if (depth > 0) return fc.oneof(...plain)
  const either = fc.record({
    kind: fc.constant('either' as const),
    some: condition(tables, 1),
    other: condition(tables, 1),
  })
  const both = either.map(({ some, other }) => ({ kind: 'both' as const, some, other }))
  // Equalities are what the analysis draws its conclusions from.
  return fc.oneof(
    { weight: 3, arbitrary: plain[0] as fc.Arbitrary<Condition> },
    { weight: 4, arbitrary: plain[2] as fc.Arbitrary<Condition> },
    ...plain,
    either,
    both,
  )
}

const shape: fc.Arbitrary<Shape> = fc.integer({ min: 1, max: 3 }).chain((count) => {
  const tables = TABLES.slice(0, count)
  const joins = tables.slice(1).map((_, at) =>
    fc.record({
      type: fc.constantFrom(...JOINS, 'innerJoin' as const, 'leftJoin' as const),
      on: fc.array(condition(TABLES.slice(0, at + 2)), { minLength: 1, maxLength: 2 }),
    }),
  )
  return fc.record({
    joins: fc.tuple(...joins),
    where: fc.array(condition(tables), { maxLength: 3 }),
    ending: fc.constantFrom('rows' as const, 'distinct' as const, 'counted' as const),
  })
})

function express(eb: ExpressionBuilder<Any, Any>, one: Condition): ExpressionWrapper<Any, Any, SqlBool> {
  switch (one.kind) {
    case 'value':
      return one.isFlipped ? eb(eb.val(one.value), '=', eb.ref(one.column)) : eb(one.column, '=', one.value)
    case 'list':
      return eb(one.column, 'in', one.values)
    case 'columns':
      return eb(one.column, '=', eb.ref(one.other))
    case 'unlike':
      return eb(one.column, '<>', one.value)
    case 'raw': {
      const raw = sql<SqlBool>`${sql.ref(one.some)} = 1 ${sql.raw(one.word)} ${sql.ref(one.other)} = 2`
      return new ExpressionWrapper((one.isEnclosed ? sql`(${raw})` : raw).toOperationNode())
    }
    case 'both':
      return eb.and([express(eb, one.some), express(eb, one.other)])
    case 'either':
      return eb.or([express(eb, one.some), express(eb, one.other)])
  }
}

function build(db: Kysely<Any>, { joins, where, ending }: Shape) {
  let query: Any = db.selectFrom('a')
  joins.forEach(({ type, on }, at) => {
    query = query[type](TABLES[at + 1], (join: Any) =>
      on.reduce((joined, one) => joined.on((eb: Any) => express(eb, one)), join),
    )
  })
  for (const one of where) query = query.where((eb: Any) => express(eb, one))
  const columns = TABLES.slice(0, joins.length + 1).flatMap((table) =>
    COLUMNS.map((name) => `${table}.${name} as ${table}${name}`),
  )
  if (ending === 'counted') return query.select(({ fn }: Any) => fn.countAll().as('n'))
  return ending === 'distinct' ? query.select(columns).distinct() : query.select(columns)
}

function isUnsupported(error: { code?: string }): boolean {
  if (error.code === '0A000') return false
  throw error
}

/**
 * The analysis says of a table that only rows with certain values in a column can matter to a query. So with every other row
 * deleted, and any others put in, the query must give the same rows.
 */
describe('the bounds of a query are sound', () => {
  let db: Kysely<Any>
  beforeAll(async () => {
    db = new Kysely({
      dialect: new PostgresDialect({ pool: new pg.Pool({ connectionString: await freshDatabase(), max: 1 }) }),
    })
    await sql`create table a (x int, y int); create table b (x int, y int); create table c (x int, y int)`.execute(db)
  })
  afterAll(() => db.destroy())

  async function replace(
    table: string,
    rows: readonly (readonly (number | null)[])[],
    keep: ReturnType<typeof sql<boolean>>,
  ) {
    await sql`delete from ${sql.table(table)} where (${keep}) is not true`.execute(db)
    for (const [x, y] of rows) await sql`insert into ${sql.table(table)} values (${x}, ${y})`.execute(db)
  }

  it('for random joins and conditions, whatever else the tables hold', async () => {
    const cell = fc.option(value, { nil: null })
    const rows = fc.array(fc.tuple(cell, cell), { maxLength: 5 })
    let bounded = 0
    let carried = 0
    await fc.assert(
      fc.asyncProperty(shape, rows, rows, rows, rows, async (query, a, b, c, others) => {
        const contents = { a, b, c }
        // Postgres runs a full join only on conditions it can sort or hash by.
        fc.pre(
          await build(db, query)
            .execute()
            .then(() => true, isUnsupported),
        )
        const result = async () => (await build(db, query).execute()).map((row: object) => JSON.stringify(row)).sort()
        for (const { table, constraints } of readDependencies(build(db, query).compile().query).tables) {
          for (const { column: name, values, direct } of constraints) {
            bounded++
            if (!direct) carried++
            for (const each of TABLES) await replace(each, contents[each], sql<boolean>`false`)
            const expected = await result()
            const at = COLUMNS.indexOf(name as 'x')
            const unbound = others.filter((row) => !values.includes(row[at]))
            await replace(table.name, unbound, sql<boolean>`${sql.ref(name)} = any(${values})`)
            expect(await result(), `${table.name}.${name} in (${values}) of ${build(db, query).compile().sql}`).toEqual(
              expected,
            )
          }
        }
      }),
      { numRuns: 250 },
    )
    expect(bounded, 'bounds that were tried').toBeGreaterThan(100)
    expect(carried, 'of them carried over a join').toBeGreaterThan(15)
  }, 60_000)
})
