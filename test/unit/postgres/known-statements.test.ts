import { CamelCasePlugin, type CompiledQuery, type KyselyPlugin, sql } from 'kysely'
import { describe, expect, it } from 'vitest'
import { KnownStatements } from '../../../src/adapters/postgres/known-statements.js'
import { noDatabase } from '../../support/no-database.js'

interface Shop {
  products: { id: number; stock: number; details: unknown }
}

/** A database that notes what it is asked, and an UPDATE on it that notes how often it is put together. */
function open(plugins: KyselyPlugin[] = []) {
  const asked: CompiledQuery[] = []
  const db = noDatabase<Shop>({ plugins, log: ({ query }) => void asked.push(query) })
  let made = 0
  const statements = new KnownStatements()
  const update = async (stock: unknown, id: number, on = db) => {
    await statements.run(on as never, 'update stock', [stock, id], () => {
      made++
      return on
        .updateTable('products')
        .set({ stock: stock as number })
        .where('id', '=', id)
        .returningAll()
    })
    return asked.at(-1) as CompiledQuery
  }
  return { db, update, made: () => made }
}

const TEXT = 'update "products" set "stock" = $1 where "id" = $2 returning *'

describe('a statement that differs in nothing but its values', () => {
  it('is put together once, and asked with the values of each', async () => {
    const { update, made } = open()
    for (const [stock, id] of [
      [5, 1],
      [6, 2],
      [null, 3],
    ] as const) {
      expect(await update(stock, id)).toMatchObject({ sql: TEXT, parameters: [stock, id] })
    }
    expect(made()).toBe(1)
  })

  it('is kept without what the first of them was', async () => {
    const { update } = open()
    await update('a secret', 1)
    const { query } = await update('another', 2)
    expect(JSON.stringify(query)).not.toContain('secret')
    expect(query).toMatchObject({ kind: 'UpdateQueryNode', returning: { selections: [{}] } })
  })

  it('is made anew where a value is an expression, also between others', async () => {
    const { update, made } = open()
    await update(5, 1)
    const added = await update(sql`stock + ${7}`, 2)
    expect(added).toMatchObject({ sql: TEXT.replace('$1', 'stock + $1'), parameters: [7, 2] })
    expect(await update(8, 3)).toMatchObject({ sql: TEXT, parameters: [8, 3] })
    expect(made()).toBe(2)
  })

  it('is made anew each time where the first was an expression', async () => {
    const { update, made } = open()
    await update(sql`stock + ${7}`, 2)
    await update(8, 3)
    expect(await update(9, 4)).toMatchObject({ sql: TEXT, parameters: [9, 4] })
    expect(made()).toBe(2)
  })

  it('is made anew each time for plugins of which nobody knows what they do', async () => {
    let times = 0
    const counting: KyselyPlugin = {
      transformQuery: ({ node }) => {
        times++
        return node
      },
      transformResult: async ({ result }) => result,
    }
    const { update, made } = open([counting])
    await update(5, 1)
    await update(6, 2)
    expect([made(), times]).toEqual([2, 2])
  })

  it('is put together once for plugins that only change names', async () => {
    const { update, made } = open([new CamelCasePlugin()])
    await update(5, 1)
    expect(await update(6, 2)).toMatchObject({ sql: TEXT, parameters: [6, 2] })
    expect(made()).toBe(1)
  })

  it('is made anew on the same database with other plugins', async () => {
    const { db, update, made } = open()
    await update(5, 1)
    expect(await update(6, 2, db.withSchema('other'))).toMatchObject({ sql: TEXT.replace('"pro', '"other"."pro') })
    expect(await update(7, 3)).toMatchObject({ sql: TEXT, parameters: [7, 3] })
    expect(made()).toBe(2)
  })
})
