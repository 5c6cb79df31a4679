import { type RootOperationNode, sql } from 'kysely'
import { describe, expect, it } from 'vitest'
import { isOwnStatement, movesNames, withReturning, writesOf } from '../../../src/adapters/postgres/write-statement.js'
import { noDatabase } from '../../support/no-database.js'

// biome-ignore lint/suspicious/noExplicitAny: the tables of these tests exist in their names only
const db = noDatabase<any>()

type Statement = { compile(executor: typeof db): { readonly query: RootOperationNode } }

function treeOf(statement: Statement): RootOperationNode {
  return statement.compile(db).query
}

/** `update products(price)`, in brackets for one inside. */
function told(statement: Statement): string[] {
  const { tables, raw } = writesOf(treeOf(statement))
  const words = tables.map(({ table, kind, touched, isOuter }) => {
    const name = table.schema === undefined ? table.name : `${table.schema}.${table.name}`
    const text = `${kind} ${name}${touched ? `(${touched.join()})` : ''}`
    return isOuter ? text : `[${text}]`
  })
  return raw === undefined ? words : [...words, `raw ${raw}`]
}

describe('what a statement writes', () => {
  it.each<[string, Statement, string[]]>([
    ['a SELECT', db.selectFrom('products').selectAll().forUpdate(), []],
    ['an INSERT', db.insertInto('products').values({ id: 1 }), ['insert products']],
    ['an INSERT from a query', db.insertInto('a').expression(db.selectFrom('b').selectAll()), ['insert a']],
    [
      'an INSERT that does nothing to rows there are',
      db
        .insertInto('products')
        .values({ id: 1 })
        .onConflict((c) => c.doNothing()),
      ['insert products'],
    ],
    [
      'an INSERT that changes rows there are',
      db
        .insertInto('products')
        .values({ id: 1 })
        .onConflict((c) => c.column('id').doUpdateSet({ price: 1 })),
      ['replace products'],
    ],
    [
      'an UPDATE',
      db.updateTable('sales.orders as o').set({ price: 1, name: 'a' }),
      ['update sales.orders(price,name)'],
    ],
    ['an UPDATE with a join', db.updateTable('a').from('b').set({ x: 1 }), ['update a(x)']],
    [
      'an UPDATE of a table that raw SQL stands for',
      db.updateTable(sql.table('sales.orders').as('o')).set({ price: 1 }),
      ['update sales.orders(price)'],
    ],
    ['an UPDATE of what raw SQL names', db.updateTable(sql`orders`.as('o')).set({ price: 1 }), ['raw update']],
    [
      'a DELETE of what raw SQL names, inside WITH',
      db
        .with('gone', (q) => q.deleteFrom(sql`orders`.as('o')).returningAll())
        .insertInto('b')
        .expression(db.selectFrom('gone').selectAll()),
      ['insert b', 'raw delete'],
    ],
    ['a DELETE', db.deleteFrom('products as p').using('b').whereRef('b.id', '=', 'p.id'), ['delete products']],
    [
      'statements that go on in raw SQL',
      sql`${db.insertInto('a').values({ id: 1 }).modifyEnd(sql`on conflict (id) do update set x = 1`)} ${db
        .updateTable('b')
        .set({ x: 1 })
        .modifyEnd(
          sql`, y = 2`,
        )} ${db.updateTable('c').set({ x: 1 }).where('id', '=', 1).modifyEnd(sql`returning id`)}`,
      ['[replace a]', '[update b]', '[update c(x)]'],
    ],
    [
      'statements that end with a comment',
      db.updateTable('a').set({ x: 1 }).modifyEnd(sql`-- on conflict`).modifyEnd(sql`/* where */`),
      ['update a(x)'],
    ],
    ['a MERGE', db.mergeInto('a').using('b', 'b.id', 'a.id').whenMatched().thenDelete(), ['unknown a']],
    [
      'a DELETE inside WITH',
      db
        .with('gone', (q) => q.deleteFrom('a').returningAll())
        .insertInto('b')
        .expression(db.selectFrom('gone').selectAll()),
      ['insert b', '[delete a]'],
    ],
    ['raw SQL', sql`with x as (update products set a = 1 returning *) select * from x`, ['raw update']],
    [
      'raw SQL around a statement',
      sql`with x as (${db.deleteFrom('a').returningAll()}) select * from x`,
      ['[delete a]'],
    ],
    ['a raw SELECT', sql`select 'delete' as "update" from t /* insert */ for no key update`, []],
    ['a raw lock', sql`select 1 from t for update`, []],
    ['a savepoint', sql`savepoint a`, []],
    ['a raw call', sql`call settle(1)`, ['raw call']],
    ['raw SQL that cannot be read', sql`select 'x`, ['raw raw SQL']],
  ])('%s', (_, statement, expected) => {
    expect(told(statement)).toEqual(expected)
  })

  it('is for the SDK to say where the statement is its own', () => {
    const own = db.updateTable('a').set({ x: 1 }).returning(sql`pg_current_xact_id()::text`.as('corralxid'))
    expect([own, db.updateTable('a').set({ x: 1 }).returningAll()].map((each) => isOwnStatement(treeOf(each)))).toEqual(
      [true, false],
    )
  })
})

describe('a statement made to tell its rows', () => {
  function sqlOf(statement: Statement): string | undefined {
    const returning = withReturning(treeOf(statement), ['id', 'slug'])
    return returning && db.getExecutor().compileQuery(returning.node, { queryId: 'test' } as never).sql
  }

  it.each<[string, Statement, string]>([
    [
      'an INSERT',
      db.insertInto('a').values({ x: 1 }),
      'insert into "a" ("x") values ($1) returning cast("id" as text) as "corralcolumn0", cast("slug" as text) as "corralcolumn1", pg_current_xact_id()::text as "corralxid"',
    ],
    [
      'an UPDATE that returns something already',
      db.updateTable('sales.a as t').from('b').set({ x: 1 }).returning('b.y'),
      'update "sales"."a" as "t" set "x" = $1 from "b" returning "b"."y", cast("t"."id" as text) as "corralcolumn0", cast("t"."slug" as text) as "corralcolumn1", pg_current_xact_id()::text as "corralxid"',
    ],
    [
      'an UPDATE of a table that raw SQL stands for',
      db.updateTable(sql.table('a').as('t')).set({ x: 1 }),
      'update "a" as "t" set "x" = $1 returning cast("t"."id" as text) as "corralcolumn0", cast("t"."slug" as text) as "corralcolumn1", pg_current_xact_id()::text as "corralxid"',
    ],
    [
      'a DELETE',
      db.deleteFrom('sales.a'),
      'delete from "sales"."a" returning cast("sales"."a"."id" as text) as "corralcolumn0", cast("sales"."a"."slug" as text) as "corralcolumn1", pg_current_xact_id()::text as "corralxid"',
    ],
  ])('%s', (_, statement, expected) => {
    expect(sqlOf(statement)).toBe(expected)
  })

  it('is none where RETURNING cannot be had', () => {
    expect(sqlOf(db.mergeInto('a').using('b', 'b.id', 'a.id').whenMatched().thenDelete())).toBeUndefined()
    expect(sqlOf(db.selectFrom('a').selectAll())).toBeUndefined()
    // It would stand in front of what has to be there before it, or twice.
    for (const end of [sql`where x = 1`, sql`returning id`]) {
      expect(sqlOf(db.updateTable('a').set({ x: 1 }).modifyEnd(end))).toBeUndefined()
    }
    expect(sqlOf(db.deleteFrom('a').modifyEnd(sql`-- made by the shop`))).toMatch(/ returning .* -- made by the shop$/)
  })

  it('gives back rows as the application asked for them', () => {
    const returning = withReturning(treeOf(db.deleteFrom('a').returning('name')), ['id', 'slug'])
    const rows = [{ name: 'tea', corralcolumn0: '1', corralcolumn1: null, corralxid: '77' }]
    expect(returning?.read(rows)).toEqual({
      rows: [
        new Map([
          ['id', '1'],
          ['slug', null],
        ]),
      ],
      xid: '77',
      ownRows: [{ name: 'tea' }],
    })
  })
})

it('holds its rows to the conditions on its own table, and not on one of the same name in another schema', () => {
  const boundsOf = (statement: Statement) => writesOf(treeOf(statement)).tables.map(({ bounds }) => bounds)
  const update = db.updateTable('archive.orders').from('sales.orders').set({ kind: 'old' })
  expect(boundsOf(update.where('sales.orders.id', '=', 5))).toEqual([[]])
  expect(boundsOf(db.deleteFrom('a').where('id', '=', 6).modifyEnd(sql`or kind = 'old'`))).toEqual([[]])
  expect(boundsOf(update.where('archive.orders.id', '=', 6))).toEqual(
    [[{ column: 'id', values: [6] }]].map((each) => each.map((bound) => expect.objectContaining(bound))),
  )
})

describe('a statement behind which a name may mean another table', () => {
  it.each<[string, Statement]>([
    ['makes one', sql`create temp table products (id int)`],
    ['makes one, by the builder', db.schema.createTable('products').temporary().addColumn('id', 'integer')],
    ['makes one, behind others', sql`select 1; create temp table products as select 1 as id`],
    ['makes one out of rows', sql`select * into temp products from ${sql.table('products')}`],
    ['renames one', sql`alter table products rename to former`],
    ['renames one, by the builder', db.schema.alterTable('products').renameTo('former')],
    ['drops one', sql`drop table products`],
    ['drops one, by the builder', db.schema.dropTable('products')],
    ['looks elsewhere', sql`set local search_path = elsewhere`],
    ['looks elsewhere, in other words', sql`set schema 'elsewhere'`],
    ['looks elsewhere, by a function', sql`select set_config('search_path', ${'elsewhere'}, true)`],
    ['looks elsewhere, by a value', sql`select set_config(${'search_path'}, 'elsewhere', true)`],
    ['may do anything', sql`do $$ begin end $$`],
    ['may do anything, elsewhere', sql`call prepare_all()`],
    ['cannot be read', sql`select '`],
  ])('%s', (_, statement) => {
    expect(movesNames(treeOf(statement))).toBe(true)
  })

  it.each<[string, Statement]>([
    ['reads', sql`select id, "create", 'drop' from products where note = ${'alter'}`],
    ['writes', sql`insert into products (id) values (1) on conflict do nothing`],
    ['writes, by the builder', db.insertInto('products').values({ id: 1 })],
    ['sets something else', sql`select set_config('app.tenant', ${'7'}, true)`],
    ['takes another role', sql`set local role reader`],
    ['empties a table', sql`truncate products`],
  ])('is none that %s', (_, statement) => {
    expect(movesNames(treeOf(statement))).toBe(false)
  })
})
