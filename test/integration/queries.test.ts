import { type Kysely, sql } from 'kysely'
import { jsonArrayFrom } from 'kysely/helpers/postgres'
import { describe, expect, it } from 'vitest'
import type { CacheableQuery, CachedQuery } from '../../src/query.js'
import { type QueryDatabase, QueryLab, type QueryProcess, type StoreKind } from '../support/query-lab.js'

type Database = Kysely<QueryDatabase>

/**
 * A query, and what of the database it sees: tables, or rows of a table by a column's value. A write says the same of what it
 * changes (`reviews:product_id=1`), with `reviews:*` where not all rows' values are known. The result must be loaded again after
 * exactly those writes that change what it sees.
 */
interface Shape {
  readonly sees: readonly string[]
  readonly build: (db: Database) => CacheableQuery<object>
  readonly dependsOn?: readonly (keyof QueryDatabase)[]
}

interface Write {
  readonly changes: readonly string[]
  /** The events `write.unseen`: rows of tables with a repository that the statement does not tell. Default: none. */
  readonly unseen?: readonly string[]
  readonly run: (process: QueryProcess) => Promise<unknown>
}

const SHAPES: Record<string, Shape> = {
  'a table': { sees: ['products'], build: (db) => db.selectFrom('products').selectAll().orderBy('id') },
  'an alias, some columns': {
    sees: ['products'],
    build: (db) =>
      db.selectFrom('products as p').select(['p.id', 'p.price as cost']).where('p.price', '>', 2).orderBy('p.id'),
  },
  'the top few': {
    sees: ['products'],
    build: (db) => db.selectFrom('products').select('name').orderBy('price', 'desc').limit(2),
  },
  'an aggregate': {
    sees: ['reviews'],
    build: (db) =>
      db
        .selectFrom('reviews')
        .select(({ fn }) => ['product_id', fn.avg('stars').as('stars'), fn.countAll().as('n')])
        .groupBy('product_id')
        .orderBy('product_id'),
  },
  'a window': {
    sees: ['reviews'],
    build: (db) =>
      db
        .selectFrom('reviews')
        .select(({ fn }) => [
          'id',
          fn
            .agg<string>('rank')
            .over((o) => o.partitionBy('product_id').orderBy('stars'))
            .as('rank'),
        ])
        .orderBy('id'),
  },
  'one value of a declared column': {
    sees: ['reviews:product_id=1'],
    build: (db) => db.selectFrom('reviews').selectAll().where('product_id', '=', 1).orderBy('id'),
  },
  'another value of it': {
    sees: ['reviews:product_id=2'],
    build: (db) => db.selectFrom('reviews as r').select('r.stars').where('r.product_id', '=', 2).orderBy('r.id'),
  },
  'a text column': {
    sees: ['reviews:author=ann'],
    build: (db) => db.selectFrom('reviews').selectAll().where('author', '=', 'ann').orderBy('id'),
  },
  'two values': {
    sees: ['reviews:product_id=2', 'reviews:product_id=3'],
    build: (db) => db.selectFrom('reviews').selectAll().where('product_id', 'in', [2, 3]).orderBy('id'),
  },
  'a value no row has': {
    sees: ['reviews:product_id=9'],
    build: (db) => db.selectFrom('reviews').selectAll().where('product_id', '=', 9),
  },
  'the count of one value': {
    sees: ['reviews:product_id=1'],
    build: (db) =>
      db
        .selectFrom('reviews')
        .select(({ fn }) => fn.countAll().as('n'))
        .where((eb) => eb.and({ product_id: 1, stars: 5 })),
  },
  'a column nobody declared': {
    sees: ['reviews'],
    build: (db) => db.selectFrom('reviews').selectAll().where('stars', '=', 5).orderBy('id'),
  },
  'either of two values, by OR': {
    sees: ['reviews'],
    build: (db) =>
      db
        .selectFrom('reviews')
        .selectAll()
        .where((eb) => eb.or([eb('product_id', '=', 1), eb('author', '=', 'bob')]))
        .orderBy('id'),
  },
  'an inner join': {
    sees: ['products', 'makers'],
    build: (db) =>
      db
        .selectFrom('products as p')
        .innerJoin('makers as m', 'm.id', 'p.maker_id')
        .select(['p.name', 'm.name as maker'])
        .orderBy('p.id'),
  },
  'a left join': {
    sees: ['products', 'makers'],
    build: (db) =>
      db
        .selectFrom('products as p')
        .leftJoin('makers as m', 'm.id', 'p.maker_id')
        .select(['p.name', 'm.name as maker'])
        .orderBy('p.id'),
  },
  'a full join': {
    sees: ['products', 'makers'],
    build: (db) =>
      db
        .selectFrom('products as p')
        .fullJoin('makers as m', 'm.id', 'p.maker_id')
        .select(['p.name', 'm.name as maker'])
        .orderBy('p.id')
        .orderBy('m.id'),
  },
  'one product and its reviews': {
    sees: ['products', 'reviews:product_id=1'],
    build: (db) =>
      db
        .selectFrom('products as p')
        .leftJoin('reviews as r', 'r.product_id', 'p.id')
        .select(['p.name', 'r.stars'])
        .where('p.id', '=', 1)
        .orderBy('r.id'),
  },
  'reviews of one product with their votes': {
    sees: ['reviews:product_id=1', 'votes'],
    build: (db) =>
      db
        .selectFrom('reviews as r')
        .innerJoin('votes as v', 'v.review_id', 'r.id')
        .select(['r.id', 'v.up'])
        .where('r.product_id', '=', 1)
        .orderBy('v.id'),
  },
  'a self join': {
    sees: ['reviews'],
    build: (db) =>
      db
        .selectFrom('reviews as a')
        .innerJoin('reviews as b', 'b.author', 'a.author')
        .select(['a.id', 'b.id as other'])
        .where('a.product_id', '=', 1)
        .orderBy('a.id')
        .orderBy('b.id'),
  },
  'a lateral join': {
    sees: ['products', 'reviews'],
    build: (db) =>
      db
        .selectFrom('products as p')
        .leftJoinLateral(
          (eb) =>
            eb
              .selectFrom('reviews')
              .select('stars')
              .whereRef('product_id', '=', 'p.id')
              .orderBy('stars', 'desc')
              .limit(1)
              .as('best'),
          (join) => join.onTrue(),
        )
        .select(['p.name', 'best.stars'])
        .orderBy('p.id'),
  },
  EXISTS: {
    sees: ['products', 'reviews'],
    build: (db) =>
      db
        .selectFrom('products as p')
        .select('p.name')
        .where(({ exists, selectFrom }) =>
          exists(selectFrom('reviews as r').select('r.id').whereRef('r.product_id', '=', 'p.id')),
        )
        .orderBy('p.id'),
  },
  'NOT IN a bounded subquery': {
    sees: ['products', 'reviews:author=ann'],
    build: (db) =>
      db
        .selectFrom('products')
        .select('name')
        .where('id', 'not in', db.selectFrom('reviews').select('product_id').where('author', '=', 'ann'))
        .orderBy('id'),
  },
  'a subquery in the select list': {
    sees: ['makers', 'products'],
    build: (db) =>
      db
        .selectFrom('makers as m')
        .select((eb) => [
          'm.name',
          eb
            .selectFrom('products as p')
            .select(({ fn }) => fn.countAll().as('n'))
            .whereRef('p.maker_id', '=', 'm.id')
            .as('products'),
        ])
        .orderBy('m.id'),
  },
  'nested JSON': {
    sees: ['products', 'reviews'],
    build: (db) =>
      db
        .selectFrom('products as p')
        .select((eb) => [
          'p.name',
          jsonArrayFrom(
            eb.selectFrom('reviews as r').select('r.stars').whereRef('r.product_id', '=', 'p.id').orderBy('r.id'),
          ).as('reviews'),
        ])
        .orderBy('p.id'),
  },
  WITH: {
    sees: ['reviews', 'products'],
    build: (db) =>
      db
        .with('best', (q) =>
          q
            .selectFrom('reviews')
            .select(({ fn }) => ['product_id', fn.max('stars').as('stars')])
            .groupBy('product_id'),
        )
        .selectFrom('best')
        .innerJoin('products', 'products.id', 'best.product_id')
        .select(['products.name', 'best.stars'])
        .orderBy('products.id'),
  },
  'WITH under the name of a table': {
    sees: ['reviews:product_id=2'],
    build: (db) =>
      db
        .with('makers', (q) => q.selectFrom('reviews').selectAll().where('product_id', '=', 2))
        .selectFrom('makers')
        .selectAll()
        .orderBy('id'),
  },
  'WITH RECURSIVE': {
    sees: ['categories'],
    build: (db) =>
      db
        .withRecursive('tree', (q) =>
          q
            .selectFrom('categories')
            .select(['id', 'parent_id'])
            .where('id', '=', 1)
            .unionAll(
              q
                .selectFrom('categories as c')
                .innerJoin('tree', 'tree.id', 'c.parent_id')
                .select(['c.id', 'c.parent_id']),
            ),
        )
        .selectFrom('tree')
        .selectAll()
        .orderBy('id'),
  },
  'a union': {
    sees: ['makers', 'products'],
    build: (db) =>
      db.selectFrom('makers').select('name').union(db.selectFrom('products').select('name')).orderBy('name'),
  },
  'an intersection of bounded sides': {
    sees: ['reviews:product_id=1', 'reviews:product_id=2'],
    build: (db) =>
      db
        .selectFrom('reviews')
        .select('author')
        .where('product_id', '=', 1)
        .intersect(db.selectFrom('reviews').select('author').where('product_id', '=', 2))
        .orderBy('author'),
  },
  'a schema': {
    sees: ['sales.orders'],
    build: (db) => db.selectFrom('sales.orders').selectAll().orderBy('id'),
  },
  withSchema: {
    sees: ['sales.orders'],
    build: (db) =>
      (db as unknown as Kysely<{ orders: QueryDatabase['sales.orders'] }>)
        .withSchema('sales')
        .selectFrom('orders')
        .selectAll()
        .orderBy('id') as never,
  },
  'a partitioned table': { sees: ['visits'], build: (db) => db.selectFrom('visits').selectAll().orderBy('id') },
  'a partition': { sees: ['visits'], build: (db) => db.selectFrom('visits_2026').selectAll().orderBy('id') },
  'harmless raw SQL': {
    sees: ['products'],
    build: (db) =>
      db
        .selectFrom('products')
        .select(sql<string>`upper(name) || '-' || extract(year from date '2026-01-01')::text`.as('n'))
        .where(sql<boolean>`price is distinct from ${7}`)
        .orderBy('id'),
  },
  'raw SQL with its tables named': {
    sees: ['products', 'notes'],
    dependsOn: ['products', 'notes'],
    build: () => sql<{ n: string }>`select (select count(*) from products) || '/' || (select count(*) from notes) as n`,
  },
  'a view with its table named': {
    sees: ['products'],
    dependsOn: ['products'],
    build: (db) => db.selectFrom('cheap_products').selectAll().orderBy('id'),
  },
  'DISTINCT ON': {
    sees: ['reviews'],
    build: (db) =>
      db
        .selectFrom('reviews')
        .distinctOn('product_id')
        .select(['product_id', 'author'])
        .orderBy('product_id')
        .orderBy('id', 'desc'),
  },
  'HAVING, with a filter': {
    sees: ['reviews'],
    build: (db) =>
      db
        .selectFrom('reviews')
        .select(({ fn }) => ['author', fn.countAll().filterWhere('stars', '>', 2).as('good')])
        .groupBy('author')
        .having(({ fn }) => fn.countAll(), '>', 1)
        .orderBy('author'),
  },
  'a page': {
    sees: ['reviews'],
    build: (db) => db.selectFrom('reviews').select(['id', 'stars']).orderBy('id').limit(3).offset(2),
  },
  'a right join': {
    sees: ['reviews', 'products'],
    build: (db) =>
      db
        .selectFrom('reviews as r')
        .rightJoin('products as p', 'p.id', 'r.product_id')
        .select(['p.name', 'r.stars'])
        .orderBy('p.id')
        .orderBy('r.id'),
  },
  'a cross join': {
    sees: ['makers', 'notes'],
    build: (db) =>
      db.selectFrom('makers as m').crossJoin('notes as n').select(['m.name', 'n.text']).orderBy('m.id').orderBy('n.id'),
  },
  'both declared columns': {
    sees: ['reviews:product_id=1'],
    build: (db) =>
      db.selectFrom('reviews').selectAll().where('product_id', '=', 1).where('author', '=', 'ann').orderBy('id'),
  },
  'a bounded side and one that is not': {
    sees: ['reviews'],
    build: (db) =>
      db
        .selectFrom('reviews')
        .select('author')
        .where('product_id', '=', 2)
        .unionAll(db.selectFrom('reviews').select('author').where('stars', '=', 1))
        .orderBy('author'),
  },
  'all but some': {
    sees: ['products', 'reviews:author=bob'],
    build: (db) =>
      db
        .selectFrom('products')
        .select('id')
        .except(db.selectFrom('reviews').select('product_id as id').where('author', '=', 'bob'))
        .orderBy('id'),
  },
  'NOT EXISTS in a WITH that bounds it': {
    sees: ['products', 'reviews:product_id=3'],
    build: (db) =>
      db
        .with('few', (q) => q.selectFrom('reviews').select('author').where('product_id', '=', 3))
        .selectFrom('products as p')
        .select('p.name')
        .where(({ not, exists, selectFrom }) =>
          not(exists(selectFrom('few').select('few.author').whereRef('few.author', '=', 'p.name'))),
        )
        .orderBy('p.id'),
  },
  'no table at all': { sees: [], build: (db) => db.selectNoFrom((eb) => eb.val(1).as('one')) },
}

const WRITES: Record<string, Write> = {
  'repository: insert': {
    changes: ['reviews', 'reviews:product_id=1', 'reviews:author=dan'],
    run: ({ reviews }) => reviews.insert({ id: 100, product_id: 1, author: 'dan', stars: 5 }),
  },
  'repository: insert of a value that was missing': {
    changes: ['reviews', 'reviews:product_id=4', 'reviews:author=ann'],
    run: ({ reviews }) => reviews.insert({ id: 101, product_id: 4, author: 'ann', stars: 2 }),
  },
  'repository: upsert of a new row': {
    changes: ['reviews', 'reviews:*'],
    run: ({ reviews }) => reviews.upsert({ id: 102, product_id: 4, author: 'hal', stars: 4 }),
  },
  'repository: update of another column': {
    changes: ['reviews', 'reviews:product_id=1', 'reviews:author=ann'],
    run: ({ reviews }) => reviews.update(1, { stars: 1 }),
  },
  'repository: update that moves a row': {
    changes: ['reviews', 'reviews:*'],
    run: ({ reviews }) => reviews.update(100, { product_id: 2 }),
  },
  'repository: upsert of a row there is': {
    changes: ['reviews', 'reviews:*'],
    run: ({ reviews }) => reviews.upsert({ id: 100, product_id: 3, author: 'eve', stars: 4 }),
  },
  'repository: delete': {
    changes: ['reviews', 'reviews:product_id=3', 'reviews:author=eve', 'votes'],
    run: ({ reviews }) => reviews.delete(100),
  },
  'repository: mutate': {
    changes: ['products'],
    run: ({ products }) => products.mutate(2, (row) => ({ price: row.price + 1 })),
  },
  'repository: nothing to update': { changes: [], run: ({ reviews }) => reviews.update(9_999, { stars: 1 }) },
  'repository in a transaction': {
    changes: ['reviews', 'reviews:product_id=2', 'reviews:author=ann', 'products'],
    run: ({ corral, reviews, products }) =>
      corral.transaction(async (tx) => {
        await reviews.in(tx).update(3, { stars: 5 })
        await products.in(tx).update(1, { price: 4 })
      }),
  },
  'repository: a transaction that is rolled back': {
    changes: [],
    run: ({ corral, reviews }) =>
      corral
        .transaction(async (tx) => {
          await reviews.in(tx).update(3, { stars: 1 })
          await tx.deleteFrom('votes').execute()
          throw new Error('no')
        })
        .catch(() => {}),
  },
  'transaction: insert of several rows': {
    changes: ['reviews', 'reviews:product_id=1', 'reviews:product_id=2', 'reviews:author=fay', 'reviews:author=gus'],
    run: ({ corral }) =>
      corral.transaction((tx) =>
        tx
          .insertInto('reviews')
          .values([
            { id: 110, product_id: 1, author: 'fay', stars: 3 },
            { id: 111, product_id: 2, author: 'gus', stars: 3 },
          ])
          .execute(),
      ),
  },
  'transaction: insert of rows that are there already': {
    changes: [],
    run: ({ corral }) =>
      corral.transaction((tx) =>
        tx
          .insertInto('reviews')
          .values({ id: 110, product_id: 1, author: 'fay', stars: 3 })
          .onConflict((c) => c.doNothing())
          .execute(),
      ),
  },
  'transaction: insert that changes the row there is': {
    changes: ['reviews', 'reviews:*'],
    run: ({ corral }) =>
      corral.transaction((tx) =>
        tx
          .insertInto('reviews')
          .values({ id: 110, product_id: 3, author: 'fay', stars: 2 })
          .onConflict((c) => c.column('id').doUpdateSet((eb) => ({ product_id: eb.ref('excluded.product_id') })))
          .execute(),
      ),
  },
  'transaction: insert from a query': {
    changes: ['reviews', 'reviews:product_id=4', 'reviews:author=tea', 'reviews:author=box'],
    run: ({ corral }) =>
      corral.transaction((tx) =>
        tx
          .insertInto('reviews')
          .columns(['product_id', 'author', 'stars'])
          .expression(
            tx
              .selectFrom('products')
              .select((eb) => [eb.val(4).as('product_id'), 'name as author', eb.lit(1).as('stars')])
              .where('name', 'in', ['tea', 'box']),
          )
          .execute(),
      ),
  },
  'transaction: update by a condition': {
    changes: ['reviews', 'reviews:product_id=4', 'reviews:author=ann', 'reviews:author=tea', 'reviews:author=box'],
    run: ({ corral }) =>
      corral.transaction((tx) => tx.updateTable('reviews').set({ stars: 2 }).where('product_id', '=', 4).execute()),
  },
  'transaction: update with a join, returning': {
    changes: ['reviews', 'reviews:product_id=3', 'reviews:author=bob', 'reviews:author=fay'],
    run: ({ corral }) =>
      corral.transaction((tx) =>
        tx
          .updateTable('reviews as r')
          .from('products as p')
          .set({ stars: 3 })
          .whereRef('p.id', '=', 'r.product_id')
          .where('p.name', '=', 'pot')
          .returning(['r.id', 'p.name'])
          .execute(),
      ),
  },
  'transaction: update that moves rows': {
    changes: ['reviews', 'reviews:*'],
    run: ({ corral }) =>
      corral.transaction((tx) =>
        tx.updateTable('reviews').set({ product_id: 1 }).where('author', '=', 'box').execute(),
      ),
  },
  'transaction: delete by a condition': {
    changes: ['reviews', 'reviews:product_id=4', 'reviews:author=tea', 'reviews:author=ann', 'votes'],
    run: ({ corral }) => corral.transaction((tx) => tx.deleteFrom('reviews').where('product_id', '=', 4).execute()),
  },
  'transaction: delete of nothing': {
    changes: [],
    run: ({ corral }) => corral.transaction((tx) => tx.deleteFrom('reviews').where('product_id', '=', 999).execute()),
  },
  'transaction: a table without a repository': {
    changes: ['votes'],
    run: ({ corral }) =>
      corral.transaction((tx) => tx.insertInto('votes').values({ review_id: 1, up: true }).execute()),
  },
  'transaction: a table no query reads': {
    changes: ['notes'],
    run: ({ corral }) => corral.transaction((tx) => tx.updateTable('notes').set({ text: 'two' }).execute()),
  },
  'transaction: a delete inside WITH': {
    changes: ['reviews', 'reviews:*', 'notes', 'votes'],
    run: ({ corral }) =>
      corral.transaction((tx) =>
        tx
          .with('gone', (q) => q.deleteFrom('reviews').where('id', '=', 111).returning('author'))
          .insertInto('notes')
          .columns(['text'])
          .expression((eb) => eb.selectFrom('gone').select('author'))
          .execute(),
      ),
  },
  'transaction: a delete inside WITH of rows it does not name': {
    changes: ['reviews', 'reviews:*', 'votes'],
    unseen: ['delete public.reviews'],
    run: ({ corral }) =>
      corral.transaction((tx) =>
        tx
          .with('gone', (q) => q.deleteFrom('reviews').where('author', '=', 'hal').returning('author'))
          .selectFrom('gone')
          .select('author')
          .execute(),
      ),
  },
  'transaction: a table emptied by hand, and said so': {
    changes: ['votes'],
    run: ({ corral }) =>
      corral.transaction(async (tx) => {
        await sql`truncate votes`.execute(tx)
        await tx.touched('votes')
      }),
  },
  'transaction: a merge written by hand, and said so': {
    changes: ['makers', 'products'],
    run: ({ corral }) =>
      corral.transaction(async (tx) => {
        await sql`merge into makers m using (values (2, 'Bea')) as v(id, name) on v.id = m.id
          when matched then update set name = v.name`.execute(tx)
        await tx.touched('makers')
      }),
  },
  'transaction: a merge': {
    changes: ['makers', 'products'],
    unseen: ['unknown public.products'],
    run: ({ corral }) =>
      corral.transaction((tx) =>
        tx
          .mergeInto('makers as m')
          .using('makers as n', 'n.id', 'm.id')
          .whenMatched()
          .thenUpdateSet({ name: sql<string>`m.name || '!'` })
          .execute(),
      ),
  },
  'transaction: a partition': {
    changes: ['visits'],
    run: ({ corral }) =>
      corral.transaction((tx) =>
        tx.insertInto('visits_2026').values({ id: 3, day: '2026-03-03', product_id: 1 }).execute(),
      ),
  },
  'transaction: through the partitioned table': {
    changes: ['visits'],
    run: ({ corral }) =>
      corral.transaction((tx) => tx.insertInto('visits').values({ id: 4, day: '2026-04-04', product_id: 1 }).execute()),
  },
  'transaction: through a view': {
    changes: ['products'],
    unseen: ['update public.products'],
    run: ({ corral }) =>
      corral.transaction((tx) => tx.updateTable('cheap_products').set({ name: 'tin' }).where('id', '=', 4).execute()),
  },
  'transaction: a schema': {
    changes: ['sales.orders'],
    run: ({ corral }) =>
      corral.transaction((tx) =>
        tx
          .withSchema('sales')
          .updateTable('orders' as never)
          .set({ quantity: 11 } as never)
          .execute(),
      ),
  },
  'transaction: a cascade into the same table': {
    changes: ['categories'],
    run: ({ corral }) => corral.transaction((tx) => tx.deleteFrom('categories').where('id', '=', 2).execute()),
  },
  'repository: a cascade of deletes': {
    changes: ['products', 'reviews', 'reviews:*', 'votes'],
    unseen: ['delete public.reviews'],
    run: ({ products }) => products.delete(1),
  },
  'repository in a transaction: a cascade of deletes': {
    changes: ['products', 'reviews', 'reviews:*', 'votes'],
    unseen: ['delete public.reviews'],
    run: ({ corral, products }) => corral.transaction((tx) => products.in(tx).delete(2)),
  },
  'transaction: a cascade of deletes': {
    changes: ['products', 'reviews', 'reviews:*', 'votes'],
    unseen: ['delete public.reviews'],
    run: ({ corral }) => corral.transaction((tx) => tx.deleteFrom('products').where('id', '=', 4).execute()),
  },
  'transaction: a cascade of updates': {
    changes: ['makers', 'products'],
    unseen: ['update public.products'],
    run: ({ corral }) =>
      corral.transaction((tx) => tx.updateTable('makers').set({ id: 20 }).where('id', '=', 2).execute()),
  },
  'transaction: a savepoint that is rolled back': {
    changes: ['notes'],
    run: ({ corral }) =>
      corral.transaction(async (tx) => {
        await tx.insertInto('notes').values({ text: 'kept' }).execute()
        await tx
          .savepoint(async (inner) => {
            await inner.updateTable('reviews').set({ stars: 4 }).execute()
            throw new Error('no')
          })
          .catch(() => {})
      }),
  },
}

/** Whether a write that changes these may change what a query that sees those returns. */
function isChanged(sees: readonly string[], changes: readonly string[]): boolean {
  return sees.some((seen) => {
    const [table = '', bound] = seen.split(':')
    if (bound === undefined) return changes.some((change) => change.split(':')[0] === table)
    return changes.includes(seen) || changes.includes(`${table}:*`)
  })
}

describe.each<StoreKind>(['in process', 'Redis', 'Redis Cluster'])('cached queries, %s', (kind) => {
  it(`load again after the writes that change what they see and after no others: ${Object.keys(SHAPES).length} shapes, ${Object.keys(WRITES).length} writes`, async () => {
    const lab = await QueryLab.open(kind)
    const [writer, reader] = [lab.start(), lab.start()]
    const queries = Object.entries(SHAPES).map(([name, { build, dependsOn, sees }]) => {
      const options = dependsOn === undefined ? {} : { dependsOn }
      const run: CachedQuery<QueryDatabase, unknown, object> = reader.corral.query(name, (db) => build(db), options)
      return { name, sees, run, uncached: () => run(undefined, { consistency: 'primary' }) }
    })
    let fills = queries.length
    await Promise.all(queries.map(({ run }) => run()))
    for (const [title, { changes, unseen = [], run: write }] of Object.entries(WRITES)) {
      await expect.poll(() => reader.events.count('fill'), { message: `fills before ${title}` }).toBe(fills)
      const reported = writer.events.count('write.unseen')
      await write(writer)
      const reports = writer.events.of('write.unseen').slice(reported)
      expect(
        reports.map(({ statement, entity }) => `${statement} ${entity}`),
        `unseen in ${title}`,
      ).toEqual(unseen)
      const before = reader.events.count('load')
      const results = await Promise.all(queries.map(({ run }) => run()))
      const loads = reader.events.of('load').slice(before)
      const truths = await Promise.all(queries.map(({ uncached }) => uncached()))
      for (const [at, { name, sees }] of queries.entries()) {
        expect(results[at], `${name} after ${title}`).toEqual(truths[at])
        const made = loads.filter(({ entity }) => entity === name).length
        expect(made, `loads of ${name} after ${title}`).toBe(isChanged(sees, changes) ? 1 : 0)
      }
      fills += loads.length
    }
  }, 120_000)
})
