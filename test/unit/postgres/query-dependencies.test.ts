import { CamelCasePlugin, type Compilable, type Kysely, type KyselyPlugin, type RawBuilder, sql } from 'kysely'
import { jsonArrayFrom, jsonBuildObject, jsonObjectFrom } from 'kysely/helpers/postgres'
import { describe, expect, it } from 'vitest'
import { type QueryFacts, readDependencies } from '../../../src/adapters/postgres/query-dependencies.js'
import { noDatabase } from '../../support/no-database.js'

// biome-ignore lint/suspicious/noExplicitAny: the tables of these tests exist in their names only
type Database = Kysely<any>

const open = (plugins: KyselyPlugin[] = []): Database => noDatabase({ plugins })

const db = open()

function factsOf(query: Query): QueryFacts {
  return readDependencies(query.compile(db).query)
}

/** A builder or a whole statement in raw SQL. */
type Query = Compilable | RawBuilder<unknown>

/** The tables a query depends on, sorted; a table bounded by constants with these: `reviews(product_id=5)`. */
function tablesOf(query: Query): string[] {
  const { tables, opaque, changing } = factsOf(query)
  expect([opaque, changing]).toEqual([undefined, undefined])
  const written = tables.map(({ table, constraints }) => {
    const name = table.schema === undefined ? table.name : `${table.schema}.${table.name}`
    const parts = constraints.map(
      ({ column, values, direct }) => `${column}${direct ? '=' : '~'}${JSON.stringify(values).slice(1, -1)}`,
    )
    return parts.length === 0 ? name : `${name}(${parts.sort().join(' ')})`
  })
  return written.sort()
}

describe('the tables a query reads', () => {
  it.each<[string, Query, string[]]>([
    ['one', db.selectFrom('products').selectAll(), ['products']],
    ['under an alias', db.selectFrom('products as p').select('p.id'), ['products']],
    ['with its schema', db.selectFrom('sales.orders').selectAll(), ['sales.orders']],
    ['a list', db.selectFrom(['products', 'reviews as r']).select('r.id'), ['products', 'reviews']],
    [
      'joins of every kind',
      db
        .selectFrom('a')
        .innerJoin('b', 'b.id', 'a.id')
        .leftJoin('c as cc', 'cc.id', 'a.id')
        .rightJoin('d', 'd.id', 'a.id')
        .fullJoin('e', 'e.id', 'a.id')
        .crossJoin('f')
        .select('a.id'),
      ['a', 'b', 'c', 'd', 'e', 'f'],
    ],
    [
      'lateral joins',
      db
        .selectFrom('a')
        .leftJoinLateral(
          (eb) => eb.selectFrom('b').whereRef('b.a_id', '=', 'a.id').selectAll().limit(1).as('last'),
          (join) => join.onTrue(),
        )
        .selectAll('a'),
      ['a', 'b'],
    ],
    [
      'a subquery in FROM',
      db.selectFrom((eb) => eb.selectFrom('reviews').select('product_id').as('r')).selectAll(),
      ['reviews'],
    ],
    [
      'a subquery in the select list',
      db.selectFrom('products as p').select((eb) =>
        eb
          .selectFrom('reviews as r')
          .whereRef('r.product_id', '=', 'p.id')
          .select((inner) => inner.fn.countAll().as('n'))
          .as('count'),
      ),
      ['products', 'reviews'],
    ],
    [
      'EXISTS and IN',
      db
        .selectFrom('products')
        .selectAll()
        .where(({ exists, selectFrom }) => exists(selectFrom('reviews').select('id')))
        .where('id', 'in', db.selectFrom('order_lines').select('product_id')),
      ['order_lines', 'products', 'reviews'],
    ],
    [
      'subqueries in HAVING, ORDER BY, CASE and function arguments',
      db
        .selectFrom('a')
        .select((eb) =>
          eb
            .case()
            .when('x', '=', 1)
            .then(eb.selectFrom('b').select('b.id').limit(1))
            .else(eb.fn.coalesce(eb.selectFrom('c').select('c.id').limit(1), eb.val(0)))
            .end()
            .as('v'),
        )
        .groupBy('x')
        .having((eb) => eb(eb.fn.countAll(), '>', eb.selectFrom('d').select('d.n')))
        .orderBy((eb) => eb.selectFrom('e').select('e.n').limit(1)),
      ['a', 'b', 'c', 'd', 'e'],
    ],
    [
      'set operations',
      db
        .selectFrom('a')
        .select('id')
        .union(db.selectFrom('b').select('id'))
        .unionAll((eb) => eb.parens(eb.selectFrom('c').select('id').intersect(eb.selectFrom('d').select('id')))),
      ['a', 'b', 'c', 'd'],
    ],
    [
      'WITH: its name is no table',
      db
        .with('top', (q) => q.selectFrom('products').selectAll())
        .selectFrom('top')
        .innerJoin('reviews', 'reviews.product_id', 'top.id')
        .selectAll(),
      ['products', 'reviews'],
    ],
    [
      'WITH that hides the table it reads',
      db
        .with('products', (q) => q.selectFrom('products').selectAll())
        .selectFrom('products')
        .selectAll(),
      ['products'],
    ],
    [
      'a name of WITH with a schema is a table',
      db
        .with('orders', (q) => q.selectFrom('a').selectAll())
        .selectFrom('sales.orders')
        .selectAll(),
      ['a', 'sales.orders'],
    ],
    [
      'WITH seen from the next WITH and from a subquery',
      db
        .with('x', (q) => q.selectFrom('a').select('id'))
        .with('y', (q) => q.selectFrom('x').innerJoin('b', 'b.id', 'x.id').select('b.id'))
        .selectFrom('c')
        .where('id', 'in', db.selectFrom('y').select('y.id'))
        .selectAll(),
      ['a', 'b', 'c'],
    ],
    [
      'WITH not seen from the one before it',
      db
        .with('x', (q) => q.selectFrom('y').select('id'))
        .with('y', (q) => q.selectFrom('a').select('id'))
        .selectFrom(['x', 'y'])
        .selectAll(),
      ['a', 'y'],
    ],
    [
      'WITH RECURSIVE',
      db
        .withRecursive('tree', (q) =>
          q
            .selectFrom('categories')
            .select(['id', 'parent'])
            .unionAll(
              q.selectFrom('categories as c').innerJoin('tree', 'tree.id', 'c.parent').select(['c.id', 'c.parent']),
            ),
        )
        .selectFrom('tree')
        .selectAll(),
      ['categories', 'categories'],
    ],
    [
      'WITH inside a subquery ends with it',
      db
        .selectFrom(
          db
            .with('x', (q) => q.selectFrom('a').selectAll())
            .selectFrom('x')
            .selectAll()
            .as('s'),
        )
        .innerJoin('x', 'x.id', 's.id')
        .selectAll('s'),
      ['a', 'x'],
    ],
    ['withSchema', db.withSchema('sales').selectFrom('orders as o').selectAll('o'), ['sales.orders']],
    [
      'withSchema and WITH',
      db
        .withSchema('sales')
        .with('mine', (q) => q.selectFrom('orders').selectAll())
        .selectFrom('mine')
        .selectAll(),
      ['sales.orders'],
    ],
    [
      'CamelCasePlugin',
      open([new CamelCasePlugin()]).selectFrom('orderLines as ol').where('productId', '=', 5).selectAll(),
      ['order_lines(product_id=5)'],
    ],
    [
      'aggregates, windows, filters and whole rows',
      db
        .selectFrom('reviews as r')
        .select(({ fn, eb }) => [
          fn.sum('stars').filterWhere('shown', '=', true).as('s'),
          fn
            .avg('stars')
            .over((o) => o.partitionBy('product_id').orderBy('at'))
            .as('a'),
          fn.toJson('r').as('row'),
          eb.fn('round', [eb.ref('stars')]).as('q'),
        ])
        .distinct(),
      ['reviews'],
    ],
    [
      'jsonArrayFrom, jsonObjectFrom and jsonBuildObject',
      db
        .selectFrom('products as p')
        .select((eb) => [
          'p.id',
          jsonArrayFrom(eb.selectFrom('reviews').whereRef('product_id', '=', 'p.id').selectAll()).as('reviews'),
          jsonObjectFrom(eb.selectFrom('makers').whereRef('id', '=', 'p.maker_id').selectAll()).as('maker'),
          jsonBuildObject({ id: eb.ref('p.id'), n: eb.selectFrom('stock').select('n').limit(1) }).as('o'),
        ]),
      ['makers', 'products', 'reviews', 'stock'],
    ],
    [
      'harmless raw SQL',
      db
        .selectFrom('products')
        .select([
          sql<string>`lower(name) || ' (''from'' nowhere) ' -- from secrets`.as('l'),
          sql<number>`extract(year from made_at)`.as('y'),
          sql<string>`substring(name from 1 for 3)`.as('s'),
          sql<boolean>`price is distinct from ${5}`.as('d'),
          sql<number>`count(*) filter (where price > ${1}) over (partition by kind)`.as('c'),
          sql<Date>`made_at::timestamp with time zone`.as('t'),
          sql<string>`/* now() /* from x */ */ $tag$ now() $tag$ || "now" || t."update"`.as('q'),
        ])
        .orderBy(sql`name collate "C"`, 'desc'),
      ['products'],
    ],
    ['sql.table', db.selectFrom(sql.table('products').as('p')).selectAll(), ['products']],
    [
      'a raw subquery around an embedded one',
      db.selectFrom(sql`(select * from ${db.selectFrom('a').selectAll()} as s where s.x > 1)`.as('t')).selectAll(),
      ['a'],
    ],
    [
      'an embedded table in a raw subquery',
      db.selectFrom('b').select(sql`(select max(id) from ${sql.table('a')} as s where s.x = 1)`.as('m')),
      ['a', 'b'],
    ],
    [
      'commas of everything but a list of tables, in raw SQL',
      db
        .selectFrom('products')
        .select(
          sql`(select array[max(a), max(b)] from ${sql.table('a')} as s (a, b) join ${sql.table('b')} as t on s.a in (1, t.b) group by 1, 2), 1`.as(
            'm',
          ),
        ),
      ['a', 'b', 'products'],
    ],
    ['none', db.selectNoFrom((eb) => eb.val(1).as('one')), []],
  ])('%s', (_, query, expected) => {
    expect(tablesOf(query)).toEqual(expected)
  })
})

describe('the rows of a table that can matter', () => {
  const reviews = db.selectFrom('reviews as r').selectAll('r')
  it.each<[string, Query, string[]]>([
    ['an equality', reviews.where('r.product_id', '=', 5), ['reviews(product_id=5)']],
    [
      'an unqualified equality',
      db.selectFrom('reviews').where('product_id', '=', 5).selectAll(),
      ['reviews(product_id=5)'],
    ],
    [
      'the constant first',
      reviews.where((eb) => eb(eb.val(5), '=', eb.ref('r.product_id'))),
      ['reviews(product_id=5)'],
    ],
    ['a short list', reviews.where('r.product_id', 'in', [5, 6]), ['reviews(product_id=5,6)']],
    [
      'a long list',
      reviews.where(
        'r.product_id',
        'in',
        Array.from({ length: 21 }, (_, i) => i),
      ),
      ['reviews'],
    ],
    ['a list with a null', reviews.where('r.product_id', 'in', [5, null]), ['reviews']],
    ['a null', reviews.where('r.product_id', '=', null), ['reviews']],
    [
      'inside AND and parentheses',
      reviews.where((eb) => eb.and([eb('r.shown', '=', true), eb.parens(eb('r.product_id', '=', 5))])),
      ['reviews(product_id=5 shown=true)'],
    ],
    [
      'not inside OR',
      reviews.where((eb) => eb.or([eb('r.product_id', '=', 5), eb('r.shown', '=', true)])),
      ['reviews'],
    ],
    ['not under NOT', reviews.where((eb) => eb.not(eb('r.product_id', '=', 5))), ['reviews']],
    [
      'no other comparison',
      reviews.where('r.product_id', '>=', 5).where('r.product_id', 'is not distinct from', 5),
      ['reviews'],
    ],
    [
      'raw conditions beside it, however they are put together inside of parentheses',
      reviews.where('r.product_id', '=', 5).where(sql<boolean>`(r.shown or r.stars in (1, 2)) and r.kind = 'a or b'`),
      ['reviews(product_id=5)'],
    ],
    [
      'not beside a raw OR, around which Kysely puts no parentheses',
      reviews.where('r.product_id', '=', 5).where(sql<boolean>`r.shown or r.stars > 4`),
      ['reviews'],
    ],
    [
      'not beside one under NOT, in an operand or in raw SQL that is put together',
      reviews
        .where('r.product_id', '=', 5)
        .where((eb) => eb.not(sql<boolean>`r.shown ${sql`or r.stars > 4`}`))
        .unionAll(reviews.where('r.product_id', '=', 5).where(sql`r.a or r.b`, '=', true)),
      ['reviews', 'reviews'],
    ],
    [
      'not beside raw SQL that closes what it has not opened',
      reviews.where((eb) => eb.parens(eb('r.product_id', '=', 5).and(sql<boolean>`r.x) or (r.y`))),
      ['reviews'],
    ],
    [
      'not beside a raw OR within the same parentheses, but outside of them',
      reviews
        .where('r.kind', '=', 'a')
        .where((eb) => eb.and([eb('r.product_id', '=', 5), sql<boolean>`r.shown or r.kept`]))
        .where((eb) => eb.parens(eb('r.stars', '=', 4).and(sql<boolean>`r.shown or r.kept`))),
      ['reviews(kind="a")'],
    ],
    [
      'beside an OR in raw arguments and cases, which end before it does',
      reviews
        .where('r.product_id', '=', 5)
        .where((eb) => eb.fn<boolean>('bool', [sql`r.shown or r.kept`]))
        .where((eb) => eb.case().when(sql<boolean>`r.a or r.b`).then(true).else(false).end()),
      ['reviews(product_id=5)'],
    ],
    [
      'not where the statement ends with a raw OR',
      reviews.where('r.product_id', '=', 5).modifyEnd(sql`or r.shown`),
      ['reviews'],
    ],
    [
      'in a join as far as its own condition goes',
      db
        .selectFrom('reviews as r')
        .innerJoin('authors as a', (join) => join.on('a.id', '=', 7).on(sql<boolean>`a.shown or r.shown`))
        .where('r.product_id', '=', 5)
        .selectAll(),
      ['authors', 'reviews(product_id=5)'],
    ],
    ['no raw value', reviews.where('r.product_id', '=', sql<number>`abs(-5)`), ['reviews']],
    ['no subquery', reviews.where('r.product_id', 'in', db.selectFrom('a').select('id')), ['a', 'reviews']],
    ['not from HAVING', reviews.groupBy('r.product_id').having('r.product_id', '=', 5), ['reviews']],
    [
      'each branch of a union for itself',
      reviews.where('r.product_id', '=', 5).unionAll(reviews.where('r.product_id', '=', 6)),
      ['reviews(product_id=5)', 'reviews(product_id=6)'],
    ],
    [
      'each alias for itself',
      db
        .selectFrom('reviews as a')
        .innerJoin('reviews as b', 'b.author', 'a.author')
        .where('a.product_id', '=', 5)
        .selectAll('a'),
      ['reviews', 'reviews(product_id=5)'],
    ],
    [
      'the outer query binds nothing inside a subquery',
      db
        .selectFrom('products as p')
        .where('p.id', '=', 5)
        .where(({ exists, selectFrom }) =>
          exists(selectFrom('reviews as r').whereRef('r.product_id', '=', 'p.id').select('r.id')),
        )
        .selectAll(),
      ['products(id=5)', 'reviews'],
    ],
    [
      'a subquery in FROM is bound by its own conditions',
      db
        .selectFrom(reviews.where('r.product_id', '=', 5).as('s'))
        .where('s.product_id', '=', 6)
        .selectAll(),
      ['reviews(product_id=5)'],
    ],
    [
      'WITH is bound by its own conditions',
      db
        .with('mine', () => reviews.where('r.product_id', '=', 5))
        .selectFrom('mine')
        .where('mine.product_id', '=', 6)
        .selectAll(),
      ['reviews(product_id=5)'],
    ],
    [
      'across an inner join, both ways',
      db
        .selectFrom('products as p')
        .innerJoin('reviews as r', 'r.product_id', 'p.id')
        .where('p.id', '=', 5)
        .selectAll(),
      ['products(id=5)', 'reviews(product_id~5)'],
    ],
    [
      'each of two tables with one name for itself, by the schema',
      db
        .selectFrom('sales.orders')
        .innerJoin('archive.orders', 'archive.orders.day', 'sales.orders.day')
        .where('sales.orders.shop', '=', 5)
        .where('archive.orders.kind', '=', 'old')
        .selectAll('sales.orders'),
      ['archive.orders(kind="old")', 'sales.orders(shop=5)'],
    ],
    [
      'across a join of two tables with one name',
      db
        .selectFrom('sales.orders')
        .innerJoin('archive.orders', 'archive.orders.id', 'sales.orders.id')
        .where('sales.orders.id', '=', 5)
        .selectAll('sales.orders'),
      ['archive.orders(id~5)', 'sales.orders(id=5)'],
    ],
    [
      'into the joined side of a left join of two tables with one name, and not out of it',
      db
        .selectFrom('sales.orders')
        .leftJoin('archive.orders', (join) =>
          join.onRef('archive.orders.id', '=', 'sales.orders.id').on('sales.orders.shop', '=', 7),
        )
        .where('sales.orders.id', '=', 5)
        .selectAll('sales.orders'),
      ['archive.orders(id~5)', 'sales.orders(id=5)'],
    ],
    [
      'not in a subquery, by a column of the outer table of another schema',
      db
        .selectFrom('sales.orders')
        .selectAll()
        .where(({ exists, selectFrom }) =>
          exists(selectFrom('archive.orders').where('sales.orders.shop', '=', 5).select('archive.orders.id')),
        ),
      ['archive.orders', 'sales.orders'],
    ],
    [
      'not by a schema where the table is named without one, or by an alias',
      db
        .selectFrom('orders')
        .innerJoin('sales.lines as lines', 'lines.order_id', 'orders.id')
        .where('sales.orders.shop' as never, '=', 5 as never)
        .where('sales.lines.shop' as never, '=', 5 as never)
        .selectAll('orders'),
      ['orders', 'sales.lines'],
    ],
    [
      'by the bare name of a table that is named with its schema',
      db
        .selectFrom('sales.orders')
        .where('orders.shop' as never, '=', 5 as never)
        .selectAll(),
      ['sales.orders(shop=5)'],
    ],
    [
      'under withSchema',
      db
        .withSchema('sales')
        .selectFrom('orders')
        .innerJoin('lines as l', 'l.order_id', 'orders.id')
        .where('orders.id', '=', 5)
        .selectAll('orders'),
      ['sales.lines(order_id~5)', 'sales.orders(id=5)'],
    ],
    [
      'across two joins',
      db.selectFrom('a').innerJoin('b', 'b.x', 'a.x').innerJoin('c', 'c.x', 'b.x').where('c.x', '=', 5).selectAll(),
      ['a(x~5)', 'b(x~5)', 'c(x=5)'],
    ],
    [
      'into the joined side of a left join',
      db.selectFrom('products as p').leftJoin('reviews as r', 'r.product_id', 'p.id').where('p.id', '=', 5).selectAll(),
      ['products(id=5)', 'reviews(product_id~5)'],
    ],
    [
      'a constant in ON binds the joined side of a left join',
      db
        .selectFrom('products as p')
        .leftJoin('reviews as r', (join) => join.onRef('r.product_id', '=', 'p.id').on('r.shown', '=', true))
        .selectAll(),
      ['products', 'reviews(shown=true)'],
    ],
    [
      'a constant in ON of a left join does not bind the side that stays',
      db
        .selectFrom('products as p')
        .leftJoin('reviews as r', (join) => join.onRef('r.product_id', '=', 'p.id').on('p.kind', '=', 'tea'))
        .selectAll(),
      ['products', 'reviews'],
    ],
    [
      'nothing comes out of a left join',
      db
        .selectFrom('products as p')
        .leftJoin('reviews as r', (join) => join.onRef('r.product_id', '=', 'p.id').on('r.product_id', '=', 5))
        .selectAll(),
      ['products', 'reviews(product_id=5)'],
    ],
    [
      'a constant in ON of an inner join binds every side',
      db
        .selectFrom('products as p')
        .innerJoin('reviews as r', (join) => join.onRef('r.product_id', '=', 'p.id').on('p.id', '=', 5))
        .selectAll(),
      ['products(id=5)', 'reviews(product_id~5)'],
    ],
    [
      'WHERE binds the joined side of a left join',
      db
        .selectFrom('products as p')
        .leftJoin('reviews as r', 'r.product_id', 'p.id')
        .where('r.product_id', '=', 5)
        .selectAll(),
      ['products', 'reviews(product_id=5)'],
    ],
    [
      'beside a full join only constants in WHERE count',
      db
        .selectFrom('products as p')
        .innerJoin('reviews as r', (join) => join.onRef('r.product_id', '=', 'p.id').on('r.shown', '=', true))
        .fullJoin('makers as m', 'm.id', 'p.maker_id')
        .where('p.id', '=', 5)
        .selectAll(),
      ['makers', 'products(id=5)', 'reviews'],
    ],
  ])('%s', (_, query, expected) => {
    expect(tablesOf(query)).toEqual(expected)
  })

  it('knows no column behind an alias that renames them', () => {
    const renamed = sql.table('reviews').as<'r'>(sql`r(product_id, id)`)
    expect(tablesOf(db.selectFrom(renamed).selectAll().where(sql.ref('product_id'), '=', 5))).toEqual(['reviews'])
  })
})

describe('what must not be kept', () => {
  const products = db.selectFrom('products').selectAll()
  it.each<[string, Query, RegExp]>([
    ['FOR UPDATE', products.forUpdate(), /locks/],
    ['FOR SHARE SKIP LOCKED', products.forShare().skipLocked(), /locks/],
    ['raw FOR UPDATE', products.modifyEnd(sql`for no key update`), /must not write or lock/],
    ['INSERT', db.insertInto('products').values({ id: 1 }), /INSERT/],
    ['UPDATE', db.updateTable('products').set({ id: 1 }), /UPDATE/],
    [
      'DELETE in WITH',
      db
        .with('gone', (q) => q.deleteFrom('products').returning('id'))
        .selectFrom('gone')
        .selectAll(),
      /DELETE/,
    ],
    ['current_timestamp', products.where('made_at', '<', sql<Date>`current_timestamp`), /current_timestamp/],
    ['current_user', products.where('owner', '=', sql<string>`current_user`), /current_user/],
    ['a literal that means the time', products.where('made_at', '<', sql<Date>`'now'::timestamptz`), /'now'/],
    [
      'a literal that means an hour of the day',
      products.where('made_at', '<', sql<Date>`'12:00 tomorrow'::timestamptz`),
      /'12:00 tomorrow'/,
    ],
    [
      'a cast that means an hour of the day',
      products.where((eb) => eb('made_at', '<', eb.cast(eb.val('today 04:05'), 'timestamp'))),
      /'today 04:05'/,
    ],
    [
      'a cast that means the day',
      products.where((eb) => eb('made_at', '<', eb.cast(eb.val('Today '), 'date'))),
      /'Today'/,
    ],
    ['raw DELETE', sql`with gone as (delete from products returning *) select * from gone`, /DELETE/],
    ['raw SELECT INTO', sql`select 1 as one into copies`, /INTO/],
  ])('%s', (_, query, reason) => {
    expect(factsOf(query).changing).toMatch(reason)
  })
})

it('a text that speaks of now among other words may be kept', () => {
  expect(factsOf(db.selectFrom('products').where('name', '=', sql<string>`'buy now'`)).changing).toBeUndefined()
})

describe('what cannot be seen', () => {
  const products = db.selectFrom('products').selectAll()
  it.each<[string, Query, RegExp]>([
    ['raw SQL as a table', db.selectFrom(sql`products`.as('p')).selectAll(), /in place of a table/],
    ['a raw join', db.selectFrom('a').innerJoin(sql`b`.as('b'), 'b.id', 'a.id').selectAll(), /in place of a table/],
    ['a raw function as a table', db.selectFrom(sql`my_rows(1)`.as('r')).selectAll(), /in place of a table/],
    ['FROM in raw SQL', products.where(sql<boolean>`exists (select 1 from secrets)`), /FROM/],
    [
      'FROM cut in two',
      products.where(sql<boolean>`exists (select 1 ${sql.raw('fr')}${sql.raw('om secrets')})`),
      /FROM/,
    ],
    ['FROM inside EXTRACT', products.where(sql<boolean>`extract(year from (select at from secrets)) > 1`), /FROM/],
    ['FROM behind DISTINCT', products.where(sql<boolean>`exists (select distinct from secrets)`), /FROM/],
    ['a name put into FROM', products.where(sql<boolean>`exists (select 1 from ${sql.id('secrets')})`), /FROM/],
    ['a column put into FROM', products.where(sql<boolean>`exists (select 1 from ${sql.ref('secrets')})`), /FROM/],
    [
      'a list behind an embedded table',
      products.where(sql<boolean>`exists (select 1 from ${sql.table('a')} as x, secrets)`),
      /list of tables/,
    ],
    [
      'a list behind the names of columns',
      products.where(sql<boolean>`exists (select 1 from ${sql.table('a')} as x (id, name), secrets)`),
      /list of tables/,
    ],
    [
      'a list behind a sample',
      products.where(sql<boolean>`exists (select 1 from ${sql.table('a')} tablesample system (5), secrets)`),
      /list of tables/,
    ],
    [
      'a list behind a join',
      products.where(
        sql<boolean>`exists (select 1 from ${sql.table('a')} x join ${sql.table('b')} y on x.order = any(array[1, 2]), secrets)`,
      ),
      /list of tables/,
    ],
    [
      'a join in raw SQL',
      products.where(sql<boolean>`exists (select 1 from ${sql.table('a')} x join secrets on true)`),
      /JOIN/,
    ],
    [
      'FROM behind a comment that a carriage return ends',
      products.where(sql<boolean>`true -- x\rand exists (select 1 from secrets)`),
      /FROM/,
    ],
    [
      'FROM behind a literal whose tag has an accent',
      products.where(sql<boolean>`name <> $é$'$é$ and exists (select 1 from secrets) and name <> ''`),
      /FROM/,
    ],
    [
      'FROM behind a literal with its tag in another case in it',
      products.where(sql<boolean>`name <> $a$ $A$ $a$ and exists (select 1 from secrets) and name <> $A$ $A$`),
      /FROM/,
    ],
    ['a parenthesised join', db.selectFrom(sql`(products natural join secrets)`.as('p')).selectAll(), /JOIN/],
    ['WITH in raw SQL', products.where(sql<boolean>`1 = (with x as (select 1) select 2)`), /WITH/],
    ['TABLE in raw SQL', products.where(sql<boolean>`1 = (table secrets)`), /TABLE/],
    ['a literal that does not end', products.where(sql<boolean>`name = 'x`), /cannot be read/],
    ['a value inside a literal', products.where(sql<boolean>`name = 'x${1}'`), /cannot be read/],
    ['a comment that does not end', products.where(sql<boolean>`true /* from secrets`), /cannot be read/],
    ['a whole raw query', sql`select * from products`, /FROM/],
    [
      'SQL in place of a function',
      products.where((eb) => eb.fn<boolean>('exists(select 1 from secrets) or coalesce', [])),
      /more than the name/,
    ],
  ])('%s', (_, query, reason) => {
    expect(factsOf(query).opaque).toMatch(reason)
  })

  it('is a node of a kind nobody has told it of', () => {
    const tree = products.toOperationNode()
    const where = { kind: 'WhereNode', where: { kind: 'BrandNewNode', table: 'secrets' } }
    expect(readDependencies({ ...tree, where } as never).opaque).toMatch(/BrandNewNode/)
  })

  it('is not the data a value carries, whatever it looks like', () => {
    const value = { kind: 'BrandNewNode' }
    expect(factsOf(products.where('attributes', '=', value)).opaque).toBeUndefined()
  })
})

describe('the functions a query calls', () => {
  it('come from function nodes, aggregates and raw SQL, with their schema where it is given', () => {
    const query = db
      .selectFrom('products')
      .select(({ fn, eb }) => [
        fn('Round', [eb.ref('price')]).as('a'),
        fn.sum('price').as('b'),
        fn('app.rank', [eb.ref('id')]).as('c'),
        sql<number>`app.score(id, length(name)) + "Mixed"(1) + clock_timestamp /* gone( */ ()`.as('d'),
      ])
    expect([...factsOf(query).functions].sort()).toEqual([
      'Mixed',
      'app.rank',
      'app.score',
      'clock_timestamp',
      'length',
      'round',
      'sum',
    ])
  })
})
