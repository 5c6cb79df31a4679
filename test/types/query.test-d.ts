import { type Generated, type Kysely, sql } from 'kysely'
import { jsonArrayFrom } from 'kysely/helpers/postgres'
import { describe, expectTypeOf, it } from 'vitest'
import type { Corral } from '../../src/index.js'

interface Database {
  products: { id: Generated<number>; name: string; price: number | null; made_at: Date }
  reviews: { id: Generated<bigint>; product_id: number; stars: 1 | 2 | 3 | 4 | 5 }
}

declare const corral: Corral<Database>
declare const db: Kysely<Database>

/** What Kysely gives for the same query. */
type RowsOf<Query extends { execute(): Promise<unknown[]> }> = Awaited<ReturnType<Query['execute']>>[number]

describe('the rows of a cached query', () => {
  it('are what Kysely infers, of all columns', async () => {
    const build = (q: Kysely<Database>) => q.selectFrom('products').selectAll()
    const rows = await corral.query('all', build)()
    expectTypeOf(rows).toEqualTypeOf<readonly Readonly<RowsOf<ReturnType<typeof build>>>[]>()
    expectTypeOf(rows[0]).toEqualTypeOf<
      Readonly<{ id: number; name: string; price: number | null; made_at: Date }> | undefined
    >()
    // @ts-expect-error rows are read-only
    if (rows[0]) rows[0].price = 5
  })

  it('are what Kysely infers, of joins, aliases, aggregates, WITH and JSON', async () => {
    const build = (q: Kysely<Database>, p: { least: number }) =>
      q
        .with('best', (w) => w.selectFrom('reviews').select(['product_id', 'stars']).where('stars', '>=', 4))
        .selectFrom('products as p')
        .leftJoin('best as b', 'b.product_id', 'p.id')
        .select((eb) => [
          'p.name as title',
          'b.stars',
          eb.fn.countAll<string>().as('n'),
          jsonArrayFrom(eb.selectFrom('reviews as r').select('r.stars').whereRef('r.product_id', '=', 'p.id')).as(
            'all',
          ),
        ])
        .where('p.price', '>', p.least)
        .groupBy(['p.name', 'b.stars'])
    const rows = await corral.query('joined', build)({ least: 1 })
    expectTypeOf(rows).toEqualTypeOf<readonly Readonly<RowsOf<ReturnType<typeof build>>>[]>()
    expectTypeOf(rows[0]?.stars).toEqualTypeOf<1 | 2 | 3 | 4 | 5 | null | undefined>()
    expectTypeOf(rows[0]?.all).toEqualTypeOf<{ stars: 1 | 2 | 3 | 4 | 5 }[] | undefined>()
  })

  it('are those of a union, and those a raw statement is given', async () => {
    const union = corral.query('union', (q) =>
      q.selectFrom('products').select('name').unionAll(q.selectFrom('products').select('name')),
    )
    expectTypeOf(await union()).toEqualTypeOf<readonly { readonly name: string }[]>()
    const raw = corral.query('raw', () => sql<{ n: number }>`select count(*)::int as n from products`, {
      dependsOn: ['products'],
    })
    expectTypeOf(await raw()).toEqualTypeOf<readonly { readonly n: number }[]>()
  })
})

describe('the parameters of a cached query', () => {
  const top = corral.query('top', (q, p: { limit: number; name?: string }) =>
    q.selectFrom('products').select('name').limit(p.limit),
  )

  it('are those its function declares, and needed', () => {
    expectTypeOf(top).parameter(0).toEqualTypeOf<{ limit: number; name?: string }>()
    // @ts-expect-error a limit is missing
    void top({})
    // @ts-expect-error a limit is a number
    void top({ limit: '10' })
    // @ts-expect-error nothing is called that
    void top({ limit: 10, offset: 5 })
    // @ts-expect-error there is no call without parameters
    void top()
  })

  it('are not asked for where there are none', () => {
    const all = corral.query('all', (q) => q.selectFrom('products').selectAll())
    void all()
    void all(undefined, { consistency: 'primary' })
    // @ts-expect-error no parameter is declared
    void all({ limit: 10 })
  })
})

describe('what a cached query is made of', () => {
  it('is a SELECT', () => {
    // @ts-expect-error an INSERT is no query
    corral.query('insert', (q) => q.insertInto('products').values({ name: 'tea', made_at: new Date() }))
    // @ts-expect-error a DELETE that returns rows is none either
    corral.query('delete', (q) => q.deleteFrom('products').returningAll())
    // @ts-expect-error rows are not a query
    corral.query('rows', () => db.selectFrom('products').selectAll().execute())
    // @ts-expect-error there is no such table
    corral.query('missing', (q) => q.selectFrom('orders').selectAll())
  })

  it('depends on tables there are', () => {
    const build = (q: Kysely<Database>) => q.selectFrom('products').selectAll()
    corral.query('named', build, { dependsOn: ['products', 'reviews'], maxRows: 10, schemaVersion: '2' })
    // @ts-expect-error there is no such table
    corral.query('named', build, { dependsOn: ['orders'] })
    // @ts-expect-error there is no such option
    corral.query('named', build, { dependOn: ['products'] })
  })

  it('reads in a transaction of corral, and at the consistencies queries have', () => {
    const all = corral.query('all', (q) => q.selectFrom('products').selectAll())
    void corral.transaction((tx) => all(undefined, { tx }))
    // @ts-expect-error Kysely's own transaction is not followed
    void db.transaction().execute((tx) => all(undefined, { tx }))
    // @ts-expect-error a result has no version to verify
    void all(undefined, { consistency: 'verified' })
  })
})

describe('queryBy and touched', () => {
  it('name columns and tables there are', () => {
    corral.repository('reviews', { key: 'id', version: false, queryBy: ['product_id'] })
    // @ts-expect-error there is no such column
    corral.repository('reviews', { key: 'id', version: false, queryBy: ['author'] })
    // @ts-expect-error a date has more than one spelling
    corral.repository('products', { key: 'id', version: false, queryBy: ['made_at'] })
    void corral.transaction(async (tx) => {
      await tx.touched('reviews', [1n])
      // @ts-expect-error there is no such table
      await tx.touched('orders')
    })
  })
})
