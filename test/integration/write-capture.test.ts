import { CamelCasePlugin, type GeneratedAlways, type Kysely, type KyselyPlugin, sql } from 'kysely'
import { beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Corral } from '../../src/client.js'
import { isCorralError } from '../../src/index.js'
import { type CorralMigration, outboxTable, outboxTables, stampTable } from '../../src/migrations.js'
import type { CorralTransaction } from '../../src/transaction.js'
import { type QueryDatabase, QueryLab, type QueryProcess } from '../support/query-lab.js'

type Transaction = CorralTransaction<QueryDatabase>

describe('statements of the application in corral.transaction', () => {
  let lab: QueryLab
  beforeAll(async () => {
    lab = await QueryLab.open()
    await lab.run(`insert into products select i, null, 'p' || i, i from generate_series(10, 99) i`)
  })
  beforeEach(() => lab.emptyCache())

  /** What a process still shows of a product, and whether the cache answered. */
  async function look({ products, events }: QueryProcess, id: number, name?: string) {
    const loads = events.count('load')
    const row = await (name === undefined ? products.find(id) : products.findBy({ name }))
    return { price: row?.price, cached: events.count('load') === loads }
  }

  async function remember(process: QueryProcess, ids: readonly number[]): Promise<void> {
    const fills = process.events.count('fill')
    for (const id of ids) await process.products.find(id)
    await expect.poll(() => process.events.count('fill')).toBe(fills + ids.length)
  }

  describe('reach the cached rows and lookups of every process', () => {
    it.each<[string, (tx: Transaction) => Promise<unknown>, readonly (number | undefined)[]]>([
      [
        'update by id',
        (tx) => tx.updateTable('products').set({ price: 500 }).where('id', '=', 10).execute(),
        [500, 11, 12],
      ],
      [
        'update by a condition',
        (tx) => tx.updateTable('products').set({ price: 501 }).where('id', 'in', [10, 11]).execute(),
        [501, 501, 12],
      ],
      [
        'update through an alias',
        (tx) =>
          tx.updateTable('products as p').set({ price: 502 }).where('p.id', '=', 12).returning('p.name').execute(),
        [501, 501, 502],
      ],
      [
        'update of a table that raw SQL stands for',
        (tx) =>
          tx
            .updateTable(sql.table<{ id: number; price: number }>('products').as('p'))
            .set({ price: 512 })
            .where('p.id', '=', 12)
            .execute(),
        [501, 501, 512],
      ],
      ['delete', (tx) => tx.deleteFrom('products').where('id', '=', 10).execute(), [undefined, 501, 512]],
      [
        'insert',
        (tx) => tx.insertInto('products').values({ id: 10, name: 'p10', price: 503 }).execute(),
        [503, 501, 512],
      ],
      [
        'insert that changes rows there are',
        (tx) =>
          tx
            .insertInto('products')
            .values([
              { id: 11, name: 'p11', price: 504 },
              { id: 12, name: 'p12', price: 504 },
            ])
            .onConflict((c) => c.column('id').doUpdateSet((eb) => ({ price: eb.ref('excluded.price') })))
            .execute(),
        [503, 504, 504],
      ],
      [
        'update inside WITH, held to an id',
        (tx) =>
          tx
            .with('changed', (q) => q.updateTable('products').set({ price: 505 }).where('id', '=', 10).returningAll())
            .selectFrom('changed')
            .selectAll()
            .execute(),
        [505, 504, 504],
      ],
      [
        'a compiled statement',
        (tx) => tx.executeQuery(tx.updateTable('products').set({ price: 506 }).where('id', '=', 11).compile()),
        [505, 506, 504],
      ],
      [
        'a statement without plugins',
        (tx) => tx.withoutPlugins().updateTable('products').set({ price: 507 }).where('id', '=', 12).execute(),
        [505, 506, 507],
      ],
      [
        'rows the application names',
        async (tx) => {
          await sql`update products set price = 508 where id in (10, 11)`.execute(tx)
          await tx.touched('products', [10, 11])
        },
        [508, 508, 507],
      ],
    ])('%s', async (_, write, expected) => {
      const [writer, reader] = [lab.start(), lab.start()]
      await remember(reader, [10, 11, 12, 13])
      const { fence } = await writer.corral.transaction(write)
      expect(fence).toBe('fenced')
      const seen = await Promise.all([10, 11, 12].map((id) => look(reader, id)))
      expect(seen.map(({ price }) => price)).toEqual(expected)
      expect(await look(reader, 13), 'a row nobody touched').toEqual({ price: 13, cached: true })
      // What goes along with the rows of a deleted product is another matter.
      const unseen = writer.events.of('write.unseen').filter(({ entity }) => entity !== 'public.reviews')
      expect(unseen).toEqual([])
    })

    describe('of a stream', () => {
      type Read = (rows: AsyncIterableIterator<{ id: number }>) => Promise<readonly number[]>

      const all: Read = async (rows) => {
        const ids: number[] = []
        for await (const { id } of rows) ids.push(id)
        return ids
      }
      const first: Read = async (rows) => {
        for await (const { id } of rows) return [id]
        return []
      }
      const failing: Read = async (rows) => {
        const stopped = new Error('enough of it')
        await expect(
          (async () => {
            for await (const row of rows) if (row) throw stopped
          })(),
        ).rejects.toBe(stopped)
        return []
      }

      beforeEach(() => lab.run('update products set price = id where id between 30 and 36'))

      it.each<[string, Read, number, readonly number[]]>([
        ['that is read to its end', all, 2, [30, 31, 32, 33, 34]],
        ['that is broken off', first, 1, [30]],
        ['that is broken off, and came in one piece', first, 100, [30]],
        ['whose reader fails, of which the transaction thinks nothing', failing, 2, []],
      ])('%s: rows are fenced that the statement has changed, read or not', async (_, read, chunkSize, expected) => {
        const [writer, reader] = [lab.start(), lab.start()]
        await remember(reader, [30, 31, 32, 33, 34, 35])
        const { value, fence } = await writer.corral.transaction((tx) => {
          const update = tx.updateTable('products').set({ price: 600 }).where('id', '>=', 30).where('id', '<=', 34)
          return read(update.returning('id').stream(chunkSize))
        })
        expect([...value].sort()).toEqual(expected)
        expect(fence).toBe('fenced')
        const seen = await Promise.all([30, 31, 32, 33, 34].map((id) => look(reader, id)))
        expect(seen.map(({ price }) => price)).toEqual([600, 600, 600, 600, 600])
        expect(await look(reader, 35), 'a row nobody touched').toEqual({ price: 35, cached: true })
        expect(writer.events.of('write.unseen')).toEqual([])
      })

      it('that fails on its way is undone with its transaction', async () => {
        const [writer, reader] = [lab.start(), lab.start()]
        await remember(reader, [30, 31])
        const done = writer.corral.transaction((tx) => {
          const insert = tx.insertInto('products').columns(['id', 'name', 'price'])
          const rows = tx
            .selectFrom('products')
            .select([
              sql<number>`id + 1000`.as('id'),
              sql<string>`'n' || id`.as('name'),
              sql<number>`1 / (id - 31)`.as('price'),
            ])
          return all(
            insert
              .expression(rows.where('id', 'in', [30, 31]))
              .returning('id')
              .stream(1),
          )
        })
        await expect(done).rejects.toThrow('division by zero')
        expect(await look(reader, 30)).toEqual({ price: 30, cached: true })
      })
    })

    describe('of a table whose partition is written by its own name', () => {
      interface Partitioned {
        stays: { id: number; note: string; code: string | null }
        stays_early: Partitioned['stays']
      }
      beforeAll(async () => {
        await lab.run(`
          create table stays (id int primary key, note text, code text) partition by range (id);
          create table stays_early (code text, note text, dropped int, id int not null);
          alter table stays_early drop column dropped;
          alter table stays attach partition stays_early for values from (0) to (100);
          insert into stays values (1, 'old', 'a'), (2, 'old', 'b'), (3, 'old', 'c')`)
        await lab.stamp('stays')
      })

      function open() {
        const process = lab.start()
        const corral = process.corral as unknown as Corral<Partitioned>
        return { ...process, corral, stays: corral.repository('stays', { key: 'id', queryBy: ['code'] }) }
      }

      it.each<[string, (tx: CorralTransaction<Partitioned>) => Promise<unknown>, readonly unknown[]]>([
        [
          'update',
          (tx) =>
            tx.updateTable('stays_early').set({ note: 'new' }).where('note', '=', 'old').where('id', '=', 1).execute(),
          ['new', 'old'],
        ],
        [
          'update inside WITH, held to an id',
          (tx) =>
            tx
              .with('changed', (q) =>
                q.updateTable('stays_early').set({ note: 'newer' }).where('id', '=', 1).returning('id'),
              )
              .selectFrom('changed')
              .selectAll()
              .execute(),
          ['newer', 'old'],
        ],
        ['delete', (tx) => tx.deleteFrom('stays_early').where('id', '=', 1).execute(), [undefined, 'old']],
        [
          'insert',
          (tx) => tx.insertInto('stays_early').values({ id: 1, note: 'again', code: 'a' }).execute(),
          ['again', 'old'],
        ],
        [
          'rows the application names',
          async (tx) => {
            await sql`update stays_early set note = 'told' where id = 1`.execute(tx)
            await tx.touched('stays_early', [1])
          },
          ['told', 'old'],
        ],
      ])('%s', async (_, write, expected) => {
        const [writer, reader] = [open(), open()]
        await writer.stays.find(1)
        await Promise.all([1, 2].map((id) => reader.stays.find(id)))
        await expect.poll(() => reader.events.count('fill') + writer.events.count('fill')).toBeGreaterThanOrEqual(2)
        const { fence } = await writer.corral.transaction(write)
        expect(fence).toBe('fenced')
        for (const { stays } of [writer, reader]) {
          const rows = await Promise.all([1, 2].map((id) => stays.find(id)))
          expect(rows.map((row) => row?.note)).toEqual(expected)
        }
        expect(writer.events.of('write.unseen')).toEqual([])
      })

      it('and says so where the rows are not known', async () => {
        const { corral, stays, events } = open()
        await stays.find(2)
        await corral.transaction((tx) =>
          tx
            .with('changed', (q) =>
              q.updateTable('stays_early').set({ note: 'x' }).where('code', '=', 'b').returning('id'),
            )
            .selectFrom('changed')
            .selectAll()
            .execute(),
        )
        expect(events.of('write.unseen')).toMatchObject([{ statement: 'update', entity: 'public.stays' }])
      })
    })

    it('a remembered absence of a unique value', async () => {
      const [writer, reader] = [lab.start(), lab.start()]
      expect(await reader.products.findBy({ name: 'new' })).toBeUndefined()
      await expect.poll(() => reader.events.count('fill')).toBe(1)
      await writer.corral.transaction((tx) =>
        tx.updateTable('products').set({ name: 'new' }).where('id', '=', 20).execute(),
      )
      expect((await reader.products.findBy({ name: 'new' }))?.id).toBe(20)
    })

    it('not before they are committed, and not at all if they are rolled back', async () => {
      const [writer, reader] = [lab.start(), lab.start()]
      await remember(reader, [30, 31])
      await writer.corral.transaction(async (tx) => {
        await tx.updateTable('products').set({ price: 600 }).where('id', '=', 30).execute()
        expect(await look(reader, 30)).toEqual({ price: 30, cached: true })
        const inner = tx.savepoint(async (savepoint) => {
          await savepoint.updateTable('products').set({ price: 601 }).where('id', '=', 31).execute()
          throw new Error('no')
        })
        await expect(inner).rejects.toThrow('no')
      })
      expect(await look(reader, 30)).toEqual({ price: 600, cached: false })
      expect(await look(reader, 31)).toEqual({ price: 31, cached: true })
    })
  })

  describe('give what they would give without it', () => {
    const statements: Record<string, (tx: Kysely<QueryDatabase>) => Promise<unknown>> = {
      'an insert': (tx) =>
        tx.insertInto('reviews').values({ id: 900, product_id: 40, author: 'a', stars: 1 }).execute(),
      'an insert that returns': (tx) =>
        tx
          .insertInto('reviews')
          .values({ id: 901, product_id: 40, author: 'a', stars: 1 })
          .returning(['id', 'stars as s'])
          .execute(),
      'an insert that does nothing': (tx) =>
        tx
          .insertInto('reviews')
          .values([
            { id: 900, product_id: 40, author: 'a', stars: 1 },
            { id: 902, product_id: 40, author: 'a', stars: 1 },
          ])
          .onConflict((c) => c.doNothing())
          .executeTakeFirst(),
      'an insert that goes on in raw SQL': (tx) =>
        tx
          .insertInto('reviews')
          .values({ id: 900, product_id: 40, author: 'a', stars: 1 })
          .modifyEnd(sql`on conflict (id) do update set stars = 4 returning stars`)
          .executeTakeFirst(),
      'an update that goes on in raw SQL': (tx) =>
        tx.updateTable('reviews').set({ stars: 2 }).modifyEnd(sql`where product_id = ${40}`).executeTakeFirst(),
      'an update': (tx) => tx.updateTable('reviews').set({ stars: 2 }).where('product_id', '=', 40).executeTakeFirst(),
      'an update that returns all': (tx) =>
        tx
          .updateTable('reviews')
          .set({ stars: 3 })
          .where('id', '=', 900)
          .returning(['id', 'product_id', 'author', 'stars'])
          .executeTakeFirstOrThrow(),
      'an update of nothing': (tx) =>
        tx.updateTable('reviews').set({ stars: 3 }).where('id', '=', -1).returning('id').execute(),
      'a delete that returns an expression': (tx) =>
        tx
          .deleteFrom('reviews')
          .where('id', '=', 900)
          .returning((eb) => eb('stars', '+', 1).as('more'))
          .execute(),
      'a delete of many': (tx) => tx.deleteFrom('reviews').where('product_id', '=', 40).executeTakeFirst(),
      'a select': (tx) => tx.selectFrom('reviews').select('id').orderBy('id').execute(),
      'raw SQL': async (tx) => (await sql`select count(*)::int as n from reviews`.execute(tx)).rows,
      'a compiled insert': async (tx) => {
        const query = tx.insertInto('reviews').values({ id: 903, product_id: 41, author: 'a', stars: 1 }).compile()
        const { rows, numAffectedRows } = await tx.executeQuery(query)
        return { rows, numAffectedRows }
      },
      'a plan': (tx) => tx.updateTable('reviews').set({ stars: 9 }).where('id', '=', 1).explain('json'),
    }

    it.each(Object.keys(statements))('%s', async (name) => {
      const process = lab.start()
      const collect = async (tx: Kysely<QueryDatabase>) => {
        const results: unknown[] = []
        for (const [each, run] of Object.entries(statements)) {
          results.push(await run(tx))
          if (each === name) break
        }
        return results.at(-1)
      }
      const rollBack = new Error('rolled back')
      let expected: unknown
      const plain = process.db.transaction().execute(async (tx) => {
        expected = await collect(tx)
        throw rollBack
      })
      await expect(plain).rejects.toBe(rollBack)
      let found: unknown
      const followed = process.corral.transaction(async (tx) => {
        found = await collect(tx)
        throw rollBack
      })
      await expect(followed).rejects.toBe(rollBack)
      expect(found).toEqual(expected)
    })

    it('errors of the database, untouched', async () => {
      const failing = lab
        .start()
        .corral.transaction((tx) => tx.insertInto('products').values({ id: 10, name: 'again', price: 1 }).execute())
      await expect(failing).rejects.toMatchObject({ code: '23505', table: 'products' })
    })

    it('the error of a transaction that has failed, for a table it has not written before', async () => {
      const codes: string[] = []
      const note = (error: { code: string }) => void codes.push(error.code)
      const failing = lab.start().corral.transaction(async (tx) => {
        await tx.insertInto('products').values({ id: 11, name: 'again', price: 1 }).execute().catch(note)
        await tx.insertInto('notes').values({ text: 'one' }).execute().catch(note)
      })
      await expect(failing).rejects.toMatchObject({ code: 'SOURCE_FAILED', cause: { code: '23505' } })
      expect(codes).toEqual(['23505', '25P02'])
    })

    describe('where the transaction itself has given the name of a cached table to another', () => {
      it.each<[string, (tx: Transaction) => Promise<unknown>]>([
        [
          'a temporary table',
          (tx) => sql`create temp table products (id int, name text, price int) on commit drop`.execute(tx),
        ],
        [
          'a temporary table of the builder',
          (tx) =>
            tx.schema
              .createTable('products')
              .temporary()
              .onCommit('drop')
              .addColumn('id', 'integer')
              .addColumn('name', 'text')
              .addColumn('price', 'integer')
              .execute(),
        ],
        ['a search path', (tx) => sql`set local search_path = elsewhere`.execute(tx)],
        ['a search path by function', (tx) => sql`select set_config(${'search_path'}, 'elsewhere', true)`.execute(tx)],
        [
          'in a block',
          (tx) =>
            sql`do $$ begin create temp table products (id int, name text, price int) on commit drop; end $$`.execute(
              tx,
            ),
        ],
      ])('%s', async (_, hide) => {
        await lab.run('create schema if not exists elsewhere')
        await lab.run('create table if not exists elsewhere.products (id int, name text, price int)')
        const [process, reader] = [lab.start(), lab.start()]
        const write = (tx: Transaction) =>
          tx.insertInto('products').values({ id: 80_000, name: 'staged', price: 1 }).returning('id').execute()
        await process.corral.transaction((tx) =>
          tx.updateTable('products').set({ price: 80 }).where('id', '=', 80).execute(),
        )
        await remember(reader, [80])
        const seen = process.corral.transaction(async (tx) => {
          await tx
            .savepoint(async (inner) => {
              await hide(inner)
              expect(await write(inner)).toEqual([{ id: 80_000 }])
              throw new Error('undone')
            })
            .catch((error) => expect(error).toMatchObject({ message: 'undone' }))
          await tx.updateTable('products').set({ price: 81 }).where('id', '=', 80).execute()
          await hide(tx)
          return write(tx)
        })
        expect((await seen).value).toEqual([{ id: 80_000 }])
        expect(await look(reader, 80), 'what was written under its own name').toEqual({ price: 81, cached: false })
        expect(process.events.of('write.unseen').filter(({ entity }) => entity !== undefined)).toEqual([])
        const next = process.corral.transaction((tx) =>
          tx.updateTable('products').set({ price: 82 }).where('id', '=', 80).execute(),
        )
        expect((await next).fence).toBe('fenced')
      })
    })

    it('to plugins, which see nothing of what is added', async () => {
      const seen: string[][] = []
      const spy: KyselyPlugin = {
        transformQuery: ({ node }) => node,
        transformResult: async ({ result }) => {
          seen.push(Object.keys(result.rows[0] ?? {}))
          return result
        },
      }
      const process = lab.start({ plugins: [new CamelCasePlugin(), spy] })
      // biome-ignore lint/suspicious/noExplicitAny: the columns are called otherwise under the plugin
      const db = process.corral as any
      seen.length = 0
      const { value } = await db.transaction((tx: Kysely<{ products: { makerId: number; id: number } }>) =>
        tx.updateTable('products').set({ makerId: 1 }).where('id', '=', 50).returning(['id', 'makerId']).execute(),
      )
      expect(value).toEqual([{ id: 50, makerId: 1 }])
      expect(process.events.count('write.unseen')).toBe(0)
      expect(seen.at(-1)).toEqual(['id', 'makerId'])
    })

    it('in a pool of one connection', async () => {
      const process = lab.start({ poolSize: 1 })
      const { value } = await process.corral.transaction(async (tx) => {
        await tx.updateTable('products').set({ price: 70 }).where('id', '=', 60).execute()
        await tx.insertInto('notes').values({ text: 'one' }).execute()
        return (await process.products.in(tx).find(60))?.price
      })
      expect(value).toBe(70)
    })

    it('introspection', async () => {
      const { value } = await lab.start().corral.transaction((tx) => tx.introspection.getTables())
      expect(value.map(({ name }) => name)).toContain('products')
    })
  })

  describe('that nobody can follow are reported when they are committed', () => {
    it.each<[string, (tx: Transaction) => Promise<unknown>, object[]]>([
      [
        'raw SQL',
        (tx) => sql`update products set price = price where id = 70`.execute(tx),
        [{ statement: 'update', entity: undefined }],
      ],
      ['raw SQL that only reads', (tx) => sql`select * from products where id = 70 for update`.execute(tx), []],
      [
        'raw SQL about which something was said',
        async (tx) => {
          await sql`update products set price = price where id = 70`.execute(tx)
          await tx.touched('products')
        },
        [],
      ],
      [
        'rows changed inside WITH',
        (tx) =>
          tx
            .with('changed', (q) => q.updateTable('products').set({ price: 1 }).where('price', '=', 71).returning('id'))
            .selectFrom('changed')
            .selectAll()
            .execute(),
        [{ statement: 'update', entity: 'public.products' }],
      ],
      [
        'a key that is set',
        (tx) => tx.updateTable('products').set({ id: 72_000 }).where('id', '=', 72).execute(),
        [{ statement: 'update', entity: 'public.products' }],
      ],
      [
        'a merge',
        (tx) =>
          tx
            .mergeInto('products as p')
            .using('makers as m', 'm.id', 'p.id')
            .whenMatched()
            .thenUpdateSet({ price: 1 })
            .execute(),
        [
          { statement: 'unknown', entity: 'public.products' },
          { statement: 'unknown', entity: 'public.reviews' },
        ],
      ],
      [
        'an insert that goes on in raw SQL',
        (tx) =>
          tx
            .insertInto('products')
            .values({ id: 74, name: 'p74', price: 1 })
            .modifyEnd(sql`on conflict (id) do update set price = 740`)
            .execute(),
        [{ statement: 'replace', entity: 'public.products' }],
      ],
      [
        'a table that raw SQL names',
        (tx) =>
          tx
            .updateTable(sql<{ id: number; price: number }>`products`.as('p'))
            .set({ price: 72 })
            .where('p.id', '=', 72)
            .execute(),
        [{ statement: 'update', entity: undefined }],
      ],
      ['a plan', (tx) => tx.updateTable('products').set({ price: 0 }).explain(), []],
      [
        'a plan that is carried out',
        (tx) => tx.updateTable('products').set({ price: 73 }).where('id', '=', 73).explain('text', sql`analyze`),
        [],
      ],
      [
        'a table without a repository',
        (tx) =>
          tx
            .with('x', (q) => q.deleteFrom('notes').returning('id'))
            .selectFrom('x')
            .selectAll()
            .execute(),
        [],
      ],
    ])('%s', async (_, write, expected) => {
      const process = lab.start()
      await process.corral.transaction(write)
      expect(process.events.of('write.unseen').map(({ statement, entity }) => ({ statement, entity }))).toEqual(
        expected,
      )
    })

    describe('and so are rows of a stamped table that only other processes have a repository of', () => {
      interface Prices {
        prices: { id: number; price: number; corral_version: GeneratedAlways<string> }
      }

      async function open(...migrations: CorralMigration[]) {
        const own = await QueryLab.open()
        await own.run('create table prices (id int primary key, price int)')
        const [reader, writer] = [own.start(), own.start()]
        for (const migration of migrations) await migration.up(reader.db)
        const prices = (reader.corral as unknown as Corral<Prices>).repository('prices', { key: 'id' })
        await prices.insert({ id: 1, price: 1 })
        await prices.find(1)
        const corral = writer.corral as unknown as Corral<Prices>
        const write = async () => {
          const before = writer.events.count('write.unseen')
          await corral.transaction((tx) => tx.updateTable('prices').set({ price: 2 }).execute())
          return writer.events.of('write.unseen').slice(before)
        }
        return { prices, corral, write }
      }
      const stamp = stampTable({ table: 'prices', key: 'id' })

      it('until this one has one as well', async () => {
        const { prices, corral, write } = await open(stamp)
        expect(await write()).toMatchObject([{ statement: 'update', entity: 'public.prices' }])
        corral.repository('prices', { key: 'id' })
        expect(await write()).toEqual([])
        expect(await prices.find(1)).toMatchObject({ price: 2 })
      })

      it('but not where a relay is told', async () => {
        const { write } = await open(stamp, outboxTables(), outboxTable({ table: 'prices', key: 'id' }))
        expect(await write()).toEqual([])
      })

      it('nor where a slot publishes the table of which a partition is written by its own name', async () => {
        const own = await QueryLab.open()
        await own.run(`
          create table prices (id int primary key, price int) partition by range (id);
          create table prices_early partition of prices for values from (0) to (100);
          insert into prices values (1, 1)`)
        await own.stamp('prices')
        const { corral, events } = own.start()
        const partition = corral as unknown as Corral<{ prices_early: Prices['prices'] }>
        await partition.transaction((tx) => tx.updateTable('prices_early').set({ price: 2 }).execute())
        expect(events.of('write.unseen')).toMatchObject([{ statement: 'update', entity: 'public.prices' }])
        await own.run('create publication corral for table prices with (publish_via_partition_root = true)')
        const later = own.start()
        const there = later.corral as unknown as typeof partition
        await there.transaction((tx) => tx.updateTable('prices_early').set({ price: 3 }).execute())
        expect(later.events.of('write.unseen')).toEqual([])
      })
    })

    it('and so are rows that a foreign key takes along, where a repository may hold them', async () => {
      const process = lab.start()
      const makers = process.corral.repository('makers', { key: 'id', version: false })
      const unseen = async (write: () => Promise<unknown>) => {
        const before = process.events.count('write.unseen')
        await write()
        return process.events
          .of('write.unseen')
          .slice(before)
          .map(({ statement, entity }) => `${statement} ${entity}`)
      }
      // products.maker_id cascades on update, reviews.product_id on delete, votes.review_id too but has no repository.
      expect(await unseen(() => makers.insert({ id: 900, name: 'new' }))).toEqual([])
      expect(await unseen(() => makers.update(900, { name: 'newer' }))).toEqual([])
      expect(await unseen(() => makers.upsert({ id: 900, name: 'newest' }))).toEqual([])
      expect(await unseen(() => makers.update(900, { id: 901 }))).toEqual(['update public.products'])
      expect(await unseen(() => process.products.delete(90))).toEqual(['delete public.reviews'])
      expect(await unseen(() => process.products.delete(90)), 'nothing was deleted').toEqual([])
      expect(await unseen(() => process.reviews.insert({ id: 905, product_id: 41, author: 'z', stars: 1 }))).toEqual([])
      expect(await unseen(() => process.reviews.delete(905))).toEqual([])
      const deleteInVain = () =>
        process.corral
          .transaction(async (tx) => {
            await process.products.in(tx).delete(91)
            throw new Error('no')
          })
          .catch(() => {})
      expect(await unseen(deleteInVain), 'rolled back').toEqual([])
    })

    it('and not if they are rolled back', async () => {
      const process = lab.start()
      await process.corral.transaction((tx) =>
        tx
          .savepoint(async (inner) => {
            await sql`update products set price = 0`.execute(inner)
            throw new Error('no')
          })
          .catch(() => {}),
      )
      expect(process.events.of('write.unseen')).toEqual([])
    })

    it('what comes too late is refused: nobody would hear of it', async () => {
      const { corral } = lab.start()
      const { value: tx } = await corral.transaction(async (running) => ({ running }))
      const refusal = await tx.running.touched('products', [10]).catch((error: unknown) => error)
      expect(isCorralError(refusal, 'CONFIG_INVALID')).toBe(true)
      expect(String(refusal)).toContain('a transaction that is still running, found one that has ended')
    })

    it('unless what is said makes no sense', async () => {
      const { corral } = lab.start()
      const say = (table: string, ids?: unknown[]) =>
        corral
          .transaction((tx) => tx.touched(table as 'products', ids))
          .then(
            () => 'fine',
            (error) => error.code,
          )
      expect(await say('products', [1])).toBe('fine')
      expect(await say('nowhere')).toBe('CONFIG_INVALID')
      expect(await say('notes', [1])).toBe('CONFIG_INVALID')
      expect(await say('products', ['one'])).toBe('KEY_INVALID')
    })
  })
})
