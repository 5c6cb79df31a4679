import { Buffer } from 'node:buffer'
import { CamelCasePlugin, type ExpressionBuilder, type Kysely, ParseJSONResultsPlugin, sql } from 'kysely'
import { beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import type { Corral } from '../../src/client.js'
import { systemClock } from '../../src/core/clock.js'
import type { CacheableQuery, QueryOptions } from '../../src/query.js'
import { type QueryDatabase, QueryLab, type QueryProcess } from '../support/query-lab.js'

type Database = Kysely<QueryDatabase>

describe('corral.query', () => {
  let lab: QueryLab
  beforeAll(async () => {
    lab = await QueryLab.open()
    await lab.run(`
      create sequence tickets;
      create materialized view totals as select count(*) as n from products;
      create function quiet(int) returns int language sql immutable as 'select 1';
      create function reading(int) returns bigint language sql stable as 'select count(*) from products';
      create function noisy() returns int language sql volatile as 'select 1';
      create function joining(bigint, int) returns bigint language sql stable as 'select $1 + count(*) from reviews';
      create function last(int, int) returns int language sql immutable as 'select $2';
      create aggregate reviews_of(int) (sfunc = joining, stype = bigint, initcond = 0);
      create aggregate last_of(int) (sfunc = last, stype = int);
      create function review_count(products) returns bigint language sql stable as 'select count(*) from reviews where product_id = $1.id';
      create function doubled(products) returns int language sql immutable as 'select $1.price * 2';
      create function stars(products) returns bigint language sql stable as 'select sum(stars) from reviews where product_id = $1.id';
      create function price(products) returns bigint language sql stable as 'select sum(price) from products';
      create function size_of(anyelement) returns bigint language sql stable as 'select count(*) from reviews';
      create type mood as enum ('fine', 'well');
      create table odd (id int primary key, at timestamptz, day date, big bigint, money numeric, bytes bytea, data jsonb,
        list int[], mood mood, gap interval, nothing text);
      insert into odd values (1, '2026-11-20T22:00:00.123456Z', '2026-11-20', 9007199254740993, 12.3400, '\\x00ff', '{"a":[1,null]}',
        '{1,2}', 'well', '1 day 2 hours', null)`)
  })
  beforeEach(() => lab.emptyCache())

  async function refusalOf(build: (db: Database) => unknown, options: QueryOptions<QueryDatabase> = {}) {
    const process = lab.start()
    const query = process.corral.query('q', build as (db: Database) => CacheableQuery<object>, options)
    const outcome = await query().then(
      () => 'accepted',
      (error) => `${error.code}: ${error.message}`,
    )
    if (outcome !== 'accepted')
      expect(
        process.events.of('load').filter(({ error }) => error === undefined),
        'loads',
      ).toEqual([])
    return outcome
  }

  const anyTable = (db: Database) => (table: string) => db.selectFrom(sql.table(table).as('t')).selectAll()

  // biome-ignore lint/suspicious/noExplicitAny: the table is not among those of the lab
  type Builder = ExpressionBuilder<any, any>
  // biome-ignore lint/suspicious/noExplicitAny: as above
  const odds = (db: Kysely<any>) => db.selectFrom('odd').select('id')

  describe('refuses, and says what would help', () => {
    it.each<[string, (db: Database) => unknown, RegExp]>([
      ['raw SQL', () => sql`select * from products`, /raw SQL contains FROM.*`dependsOn`/],
      ['a view', (db) => db.selectFrom('cheap_products').selectAll(), /public|cheap_products is a view.*`dependsOn`/],
      ['a materialized view', (db) => anyTable(db)('totals'), /totals is a materialized view.*`dependsOn`/],
      ['a sequence itself', (db) => anyTable(db)('tickets'), /tickets is a sequence.*changes by itself/],
      [
        'a function that may read tables',
        (db) => db.selectFrom('products').select((eb) => eb.fn('reading', ['id']).as('n')),
        /calls reading\(\).*may read tables.*`dependsOn`/,
      ],
      [
        'an aggregate that may read tables',
        (db) => db.selectFrom('products').select((eb) => eb.fn.agg('reviews_of', ['id']).as('n')),
        /calls reviews_of\(\).*may read tables.*`dependsOn`/,
      ],
      [
        'a function that is written like a column',
        (db) => db.selectFrom('products').select('products.review_count' as 'products.id'),
        /products.review_count calls review_count\(\).*may read tables.*`dependsOn`/,
      ],
      [
        'one that is compared, of an alias',
        (db) =>
          db
            .selectFrom('products as p')
            .select('p.id')
            .where('p.review_count' as 'p.id', '>', 1),
        /calls review_count\(\)/,
      ],
      ['one of any row', (db) => db.selectFrom('products as p').select('p.size_of' as 'p.id'), /calls size_of\(\)/],
      [
        'one in raw SQL',
        (db) => db.selectFrom('products as p').select(sql`(p).review_count + p.price`.as('n')),
        /calls review_count\(\)/,
      ],
      [
        'a volatile function of its own',
        (db) => db.selectFrom('products').select(sql`noisy()`.as('n')),
        /calls noisy\(\).*`dependsOn`/,
      ],
      [
        'the time',
        (db) => db.selectFrom('products').select((eb) => eb.fn('now', []).as('n')),
        /calls now\(\).*parameter/,
      ],
      [
        'chance',
        (db) => db.selectFrom('products').select(sql`pg_catalog.random()`.as('n')),
        /calls pg_catalog.random\(\).*parameter/,
      ],
      [
        'a sequence',
        (db) => db.selectFrom('products').select(sql`nextval('notes_id_seq')`.as('n')),
        /calls nextval\(\).*parameter/,
      ],
      [
        'a volatile function of the database',
        (db) => db.selectFrom('products').select(sql`pg_table_size('products')`.as('n')),
        /calls pg_table_size\(\)/,
      ],
      ['a value that is read as the time', (db) => odds(db).where('at', '<', 'now'), /'now' is read as a time.*pass/],
      ['as a day', (db) => odds(db).where('day', 'in', ['2026-01-01', ' TODAY ']), /' TODAY ' is read as a time/],
      [
        'as an hour',
        (db) => odds(db).where((eb) => eb.between('at', '2026-01-01', 'today,10:00')),
        /is read as a time/,
      ],
      ['in raw SQL', (db) => odds(db).where(sql<boolean>`at < ${'tomorrow'}`), /'tomorrow' is read as a time/],
      ['in an array', (db) => odds(db).where(sql<boolean>`day = any(${['yesterday']})`), /'yesterday' is read/],
      [
        'by a function',
        (db) => odds(db).where('at', '<', (eb: Builder) => eb.fn.coalesce('at', eb.val('now'))),
        /'now' is read as a time/,
      ],
      ['as it stands in the statement', (db) => odds(db).where('day', '=', sql.lit('today')), /contains 'today'/],
      ['a lock', (db) => db.selectFrom('products').selectAll().forUpdate(), /locks/],
      [
        'a write',
        (db) =>
          db
            .with('x', (q) => q.deleteFrom('notes').returning('id'))
            .selectFrom('x')
            .selectAll(),
        /DELETE/,
      ],
      ['the catalog', (db) => anyTable(db)('pg_catalog.pg_class'), /system table/],
      ['what is not there', (db) => anyTable(db)('nowhere'), /no table nowhere/],
    ])('%s', async (_, build, reason) => {
      const outcome = await refusalOf(build)
      expect(outcome).toMatch(/^QUERY_UNCACHEABLE: query `q` cannot be cached: /)
      expect(outcome).toMatch(reason)
    })

    it.each<[string, (db: Database) => unknown, readonly (keyof QueryDatabase)[]]>([
      ['the time', (db) => db.selectFrom('products').select(sql`now()`.as('n')), ['products']],
      ['a lock', (db) => db.selectFrom('products').selectAll().forShare(), ['products']],
      ['the catalog', (db) => anyTable(db)('pg_catalog.pg_class'), []],
      ['what is not there', (db) => db.selectFrom('products').selectAll(), ['nowhere' as 'notes']],
    ])('%s, whatever is named in dependsOn', async (_, build, dependsOn) => {
      expect(await refusalOf(build, { dependsOn })).toMatch(/^QUERY_UNCACHEABLE/)
    })

    it.each<[string, (db: Database) => unknown, readonly (keyof QueryDatabase)[] | undefined]>([
      ['raw SQL', () => sql`select 1 from products`, ['products']],
      ['a view', (db) => db.selectFrom('cheap_products').selectAll(), ['products']],
      ['a function that reads', (db) => db.selectFrom('products').select((eb) => eb.fn('reading', ['id']).as('n')), []],
      [
        'an immutable function',
        (db) => db.selectFrom('products').select((eb) => eb.fn('quiet', ['id']).as('n')),
        undefined,
      ],
      [
        'a text that could be a time elsewhere',
        (db) =>
          odds(db)
            .where('nothing', 'in', ['now', 'today'])
            .where((eb: Builder) => eb(eb.fn('lower', ['nothing']), '=', 'tomorrow'))
            .where('nothing', 'like', 'buy now')
            .where(sql<boolean>`nothing = any(${['yesterday']})`),
        undefined,
      ],
      [
        'a time that is always the same',
        (db) => odds(db).where('at', '<', 'infinity').where('day', '>', 'epoch'),
        undefined,
      ],
      [
        'a column with the name of a function, and an immutable function that is written like one',
        (db) =>
          db
            .selectFrom('products as p')
            .innerJoin('reviews as r', 'r.product_id', 'p.id')
            .select(['p.price', 'r.stars', 'p.doubled' as 'p.id', sql`r.stars + p.price`.as('n')]),
        undefined,
      ],
      [
        'a function that is written like a column, with what it reads named',
        (db) => db.selectFrom('products').select('products.review_count' as 'products.id'),
        ['reviews'],
      ],
      [
        'aggregates',
        (db) =>
          db
            .selectFrom('products')
            .select(({ fn }) => [
              fn.agg('last_of', ['id']).as('a'),
              fn.agg('string_agg', ['name', sql.lit(',')]).as('b'),
              fn.max('price').as('c'),
              fn.agg('jsonb_agg', ['name']).as('d'),
              fn.agg('array_agg', ['name']).as('e'),
            ]),
        undefined,
      ],
      [
        'what the database can do',
        (db) =>
          db
            .selectFrom('products')
            .select(({ fn }) => [
              fn('lower', ['name']).as('a'),
              fn.coalesce('maker_id', 'id').as('b'),
              fn('to_char', ['price', sql.lit('999')]).as('c'),
            ]),
        undefined,
      ],
    ])('but not %s', async (_, build, dependsOn) => {
      expect(await refusalOf(build, dependsOn === undefined ? {} : { dependsOn })).toBe('accepted')
    })

    it('a function that makes another statement each time', async () => {
      let calls = 0
      expect(await refusalOf((db) => db.selectFrom('products').selectAll().where('price', '>', ++calls))).toMatch(
        /QUERY_UNCACHEABLE.*another statement each time.*parameter/,
      )
    })

    it('what is no query, and options that are none', async () => {
      expect(await refusalOf(() => 'select 1')).toMatch(/^CONFIG_INVALID/)
      const { corral } = lab.start()
      const build = (db: Database) => db.selectFrom('products').selectAll()
      const odd = [
        () => corral.query('', build),
        () => corral.query('q', 'select 1' as never),
        () => corral.query('q', build, { dependOn: [] } as never),
        () => corral.query('q', build, { maxRows: -1 }),
        () => corral.query('q', build, { dependsOn: 'products' as never }),
        () => corral.query('q', build, { schemaVersion: 2 as never }),
        () => corral.query('q', build, { ttl: { freshMs: 0 } }),
      ]
      for (const make of odd) expect(make).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }))
      const query = corral.query('q', build)
      await expect(query(undefined, { consistency: 'verified' as never })).rejects.toMatchObject({
        code: 'CONFIG_INVALID',
      })
      await corral.close()
      await expect(query()).rejects.toMatchObject({ code: 'CLOSED' })
    })
  })

  describe('gives rows', () => {
    it('that are the same from the cache as from the database, and frozen both times', async () => {
      const { corral, events } = lab.start()
      const odd = corral.query('odd', (db) => db.selectFrom('odd' as 'notes').selectAll())
      const loaded = await odd()
      await expect.poll(() => events.count('fill')).toBe(1)
      const cached = await odd()
      expect(events.count('hit')).toBe(1)
      expect(cached).toEqual(loaded)
      const [row] = cached as unknown as Record<string, unknown>[]
      expect(row).toMatchObject({
        at: new Date('2026-11-20T22:00:00.123Z'),
        big: '9007199254740993',
        bytes: Buffer.from([0, 255]),
      })
      for (const rows of [loaded, cached]) {
        expect([rows, rows[0]].every(Object.isFrozen)).toBe(true)
        expect(() => Object.assign(rows[0] as object, { id: 2 })).toThrow(TypeError)
      }
    })

    it('of two tables with one name in two schemas, after a write to rows of either', async () => {
      await lab.run(`
        create schema shops; create schema archive;
        create table shops.orders (id int primary key, shop int not null, amount int not null);
        create table archive.orders (id int primary key, shop int not null, amount int not null);
        insert into shops.orders values (1, 1, 10), (2, 2, 20);
        insert into archive.orders values (1, 1, 10), (2, 2, 20)`)
      interface Orders {
        'shops.orders': { id: number; shop: number; amount: number }
        'archive.orders': Orders['shops.orders']
      }
      const process = lab.start()
      const corral = process.corral as unknown as Corral<Orders>
      const [, archive] = (['shops.orders', 'archive.orders'] as const).map((table) =>
        corral.repository(table, { key: 'id', queryBy: ['shop'], version: false }),
      )
      const amounts = corral.query('amounts', (db) =>
        db
          .selectFrom('shops.orders')
          .innerJoin('archive.orders', (join) => join.onTrue())
          .select('archive.orders.amount')
          .where('shops.orders.shop', '=', 1)
          .orderBy('archive.orders.id'),
      )
      await amounts()
      await expect.poll(() => process.events.count('fill')).toBe(1)
      expect((await archive?.update(2, { amount: 99 }))?.fence).toBe('fenced')
      expect(await amounts()).toEqual([{ amount: 10 }, { amount: 99 }])
    })

    describe('after writes of a process that has written nothing since the catalog changed, a minute ago', () => {
      const settled = (process: QueryProcess) => expect.poll(() => process.events.count('fill')).toBe(1)
      const remove: Record<string, (process: QueryProcess, id: number) => Promise<{ fence: string } | undefined>> = {
        'of a repository': ({ products }, id) => products.delete(id),
        'of a repository in a transaction': ({ corral, products }, id) =>
          corral.transaction((tx) => products.in(tx).delete(id)),
        'of a transaction': ({ corral }, id) =>
          corral.transaction((tx) => tx.deleteFrom('products').where('id', '=', id).execute()),
        'of a transaction, by the full name': ({ corral }, id) =>
          corral.transaction((tx) => tx.withSchema('public').deleteFrom('products').where('id', '=', id).execute()),
      }
      it.each(Object.keys(remove))('%s', async (way) => {
        const id = 500 + Object.keys(remove).indexOf(way)
        await lab.run(`
          drop table if exists labels;
          create table labels (id int primary key, product_id int);
          insert into products values (${id}, null, 'p${id}', 1), (600 + ${id}, null, 'q${id}', 1);
          insert into labels values (1, ${id})`)
        let aheadMs = 0
        const clock = { ...systemClock, monotonicMs: () => systemClock.monotonicMs() + aheadMs }
        const [writer, reader] = [lab.start({ clock, poolSize: 1 }), lab.start()]
        await writer.products.delete(600 + id)
        await lab.run('alter table labels add foreign key (product_id) references products on delete cascade')
        aheadMs += 61_000
        const labels = reader.corral.query('labels', (db) => db.selectFrom('labels' as 'notes').select('id'))
        expect(await labels()).toHaveLength(1)
        await settled(reader)
        expect((await remove[way]?.(writer, id))?.fence).toBe('fenced')
        expect(await labels()).toEqual([])
      })

      it('though it is the process that reads which knew the tables as they were', async () => {
        await lab.run(`
          create table boxes (id int primary key, name text not null);
          create table all_boxes (id int, name text not null) partition by range (id);
          insert into boxes values (1, 'small')`)
        let aheadMs = 0
        const clock = { ...systemClock, monotonicMs: () => systemClock.monotonicMs() + aheadMs }
        const [writer, reader] = [lab.start(), lab.start({ clock })]
        const [boxes, all] = ['boxes' as 'makers', 'all_boxes' as 'makers']
        await reader.corral.repository(boxes, { key: 'id', version: false, queryBy: ['name'] }).find(1)
        await settled(reader)
        await lab.run('alter table all_boxes attach partition boxes for values from (0) to (100)')
        aheadMs += 61_000
        const small = reader.corral.query('small', (db) =>
          db.selectFrom(boxes).select('id').where('name', '=', 'small'),
        )
        expect(await small()).toEqual([{ id: 1 }])
        await expect.poll(() => reader.events.count('fill')).toBe(2)
        await writer.corral.transaction((tx) => tx.updateTable(all).set({ name: 'large' }).execute())
        expect(await small()).toEqual([])
      })
    })

    it('as the plugins of the instance and of the query itself make them', async () => {
      const { corral } = lab.start({ plugins: [new CamelCasePlugin()] })
      const makers = (corral as never as { query: (...call: unknown[]) => () => Promise<object[]> }).query(
        'makers',
        (db: Kysely<{ products: { makerId: number; id: number } }>) =>
          db
            .withPlugin(new ParseJSONResultsPlugin())
            .selectFrom('products')
            .select(['makerId', sql`'{"a":[1]}'::text`.as('parsed')])
            .where('id', '=', 1),
      )
      for (let call = 0; call < 2; call++) expect(await makers()).toEqual([{ makerId: 1, parsed: { a: [1] } }])
    })

    it('that nobody stores when there are more than maxRows', async () => {
      const { corral, events } = lab.start()
      const query = corral.query('many', (db) => db.selectFrom('products').selectAll(), { maxRows: 3 })
      for (let call = 0; call < 3; call++) expect((await query()).length).toBeGreaterThan(3)
      expect(events.count('load')).toBe(3)
      expect(events.of('entry.uncacheable')[0]).toMatchObject({ entity: 'many', property: 'rows' })
    })

    it('errors of the database, as SOURCE_FAILED, and then rows again', async () => {
      const { corral } = lab.start()
      const query = corral.query('ratio', (db, p: { by: number }) =>
        db.selectFrom('products').select(sql<number>`price / ${p.by}::int`.as('n')).where('id', '=', 2),
      )
      await expect(query({ by: 0 })).rejects.toMatchObject({ code: 'SOURCE_FAILED', cause: { code: '22012' } })
      expect(await query({ by: 1 })).toHaveLength(1)
    })

    it('of other parameters, schema versions and columns under other keys', async () => {
      const build = (db: Database, p: { least: number }) =>
        db.selectFrom('notes').selectAll().where('id', '>=', p.least)
      const loadsOf = async (process: QueryProcess, options: QueryOptions<QueryDatabase>, least: number) => {
        const query = process.corral.query('notes', build, options)
        const before = process.events.count('load')
        await query({ least })
        await expect.poll(() => process.events.count('fill')).toBe(process.events.count('load'))
        return process.events.count('load') - before
      }
      const process = lab.start()
      expect([await loadsOf(process, {}, 1), await loadsOf(process, {}, 1)]).toEqual([1, 0])
      expect([await loadsOf(process, {}, 2), await loadsOf(process, { schemaVersion: '2' }, 1)]).toEqual([1, 1])
      await lab.run('alter table notes add column extra int')
      const later = lab.start()
      expect(await loadsOf(later, {}, 1), 'in a process that knows the table as it is now').toBe(1)
      await lab.run('alter table notes drop column extra')
    })
  })

  describe('reads', () => {
    it('past the cache, or brings it up to the database', async () => {
      const [one, other] = [lab.start(), lab.start()]
      const build = (db: Database) => db.selectFrom('makers').select('name').orderBy('id')
      const [here, there] = [one.corral.query('makers', build), other.corral.query('makers', build)]
      await here()
      await expect.poll(() => one.events.count('fill')).toBe(1)
      await lab.run(`update makers set name = 'Cy' where id = 1`)
      const first = (rows: readonly { name: string }[]) => rows[0]?.name
      expect(first(await there()), 'nobody has told').toBe('Ada')
      expect(first(await there(undefined, { consistency: 'primary' }))).toBe('Cy')
      expect(first(await there()), 'the cache was left alone').toBe('Ada')
      expect(first(await there(undefined, { consistency: 'refresh' }))).toBe('Cy')
      await expect.poll(() => other.events.count('fill')).toBe(1)
      expect(first(await here())).toBe('Cy')
    })

    it('until its signal aborts', async () => {
      const { corral, store } = lab.start()
      const query = corral.query('slow', (db) => db.selectFrom('makers').selectAll())
      const controller = new AbortController()
      const pause = store.pause('before read')
      const reading = query(undefined, { signal: controller.signal })
      await pause.reached
      controller.abort(new Error('enough'))
      await expect(reading).rejects.toThrow('enough')
      pause.resume()
    })

    it('results older than their fresh time never, and those of a longer one still', async () => {
      const { corral, events } = lab.start()
      const build = (db: Database) => db.selectFrom('makers').selectAll()
      const [short, long] = [corral.query('s', build, { ttl: { freshMs: 60 } }), corral.query('l', build)]
      await short()
      await long()
      await expect.poll(() => events.count('fill')).toBe(2)
      await new Promise((resolve) => setTimeout(resolve, 80))
      await short()
      await long()
      expect(events.of('load').map(({ entity }) => entity)).toEqual(['s', 'l', 's'])
    })

    it('of a function that was made in the migration that made the column before it, too', async () => {
      onTestFinished(async () => void (await lab.run('alter table makers drop column made_since')))
      const { corral } = lab.start()
      const count = corral.query('made with its column', (db) =>
        db
          .selectFrom('makers')
          .select(['id', sql<string>`made_since`.as('since')])
          .select((eb) => eb.fn<string>('made_with_column', ['id']).as('reviews'))
          .where('id', '=', 1),
      )
      await expect(count(), 'the column is what the database misses first').rejects.toThrow('made_since')
      await lab.run(`
        alter table makers add column made_since text;
        create function made_with_column(int) returns bigint language sql stable as 'select count(*) from reviews'`)
      await expect(count()).rejects.toThrow('it calls made_with_column(), which may read tables')
    })

    it('of a function that was not there before only as far as that is known by now', async () => {
      const [here, elsewhere] = [lab.start(), lab.start()]
      const build = (db: Database) =>
        db
          .selectFrom('makers')
          .select((eb) => eb.fn<string>('made_later', ['id']).as('reviews'))
          .where('id', '=', 1)
      const counts = [here, elsewhere].map(({ corral }) => corral.query('made later', build))
      for (const count of counts) await expect(count()).rejects.toMatchObject({ code: 'SOURCE_FAILED' })
      await lab.run(
        "create function made_later(int) returns bigint language sql stable as 'select count(*) from reviews'",
      )
      for (const count of counts) await expect(count()).rejects.toThrow('it calls made_later(), which may read tables')
    })
  })
})
