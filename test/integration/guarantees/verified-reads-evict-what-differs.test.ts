import type { KyselyPlugin } from 'kysely'
import { beforeAll, describe, expect, it } from 'vitest'
import { QueryLab } from '../../support/query-lab.js'
import { waitUntil } from '../../support/servers/wait.js'
import { freshNamespace } from '../../support/services.js'
import { ShopLab, type ShopProcess } from '../../support/shop-lab.js'

type Products = ShopProcess['products']
type Prices = Promise<(number | undefined)[]>

const VERIFIED = { consistency: 'verified' } as const

/** Every way to read rows `id` and `id + 1` and have them verified, or not. */
const KINDS: Record<string, (products: Products, id: number, asked?: typeof VERIFIED) => Prices> = {
  find: (products, id, asked) =>
    Promise.all([id, id + 1].map(async (each) => (await products.find(each, asked))?.price)),
  findMany: async (products, id, asked) => (await products.findMany([id, id + 1], asked)).map((row) => row?.price),
  findBy: (products, id, asked) =>
    Promise.all([id, id + 1].map(async (each) => (await products.findBy({ slug: `s${each}` }, asked))?.price)),
}

/** What befalls row `id` behind our backs, and the price it has then. The row beside it stays. */
const DRIFTS: Record<string, { readonly sql: (id: number) => string; readonly price: number | undefined }> = {
  'a row that was changed': { sql: (id) => `update products set price = 2 where id = ${id}`, price: 2 },
  'a row that was deleted': { sql: (id) => `delete from products where id = ${id}`, price: undefined },
  'a row that was deleted and made anew': {
    sql: (id) =>
      `delete from products where id = ${id}; insert into products (id, slug, price) values (${id}, 's${id}', 3)`,
    price: 3,
  },
  'a row that went back to an older state': {
    sql: (id) => `alter table products disable trigger zz_corral_stamp;
      update products set price = 4, corral_version = 5 where id = ${id};
      alter table products enable always trigger zz_corral_stamp`,
    price: 4,
  },
}

describe('verified reads evict what differs', () => {
  let shop: ShopLab
  let tables: QueryLab
  let lastId = 0
  beforeAll(async () => {
    shop = await ShopLab.open()
    tables = await QueryLab.open()
  })

  /** Two rows that one process holds in its memory, and Redis for all. */
  async function warmed(more: { rows?: number } = {}) {
    lastId += 10
    const [id, namespace] = [lastId, freshNamespace()]
    const { rows = 2 } = more
    await shop.run(
      `insert into products (id, slug, price) select n, 's' || n, 1 from generate_series(${id}, ${id + rows - 1}) n`,
    )
    const near = shop.start({ namespace, l1: { maxEntries: 100 } })
    const far = shop.start({ namespace })
    for (const each of [id, id + 1]) {
      await near.products.findBy({ slug: `s${each}` })
      await waitUntil('it is cached', 5_000, async () => {
        await near.products.find(each)
        return near.events.of('hit').some(({ tier }) => tier === 'l1')
      })
    }
    await waitUntil('lookups are cached', 5_000, async () => near.events.count('fill') >= 2 + rows)
    return { id, near, far }
  }

  describe.each(Object.entries(DRIFTS))('%s', (_, { sql, price }) => {
    it.each(Object.entries(KINDS))(
      'by %s: from memory and from Redis, for later reads of any kind',
      async (_, read) => {
        const { id, near, far } = await warmed()
        await shop.run(sql(id))
        for (const { products } of [near, far]) expect(await read(products, id), 'without it').toEqual([1, 1])
        expect(await read(near.products, id, VERIFIED)).toEqual([price, 1])
        for (const [kind, readAgain] of Object.entries(KINDS)) {
          expect(await readAgain(near.products, id), `here, then by ${kind}`).toEqual([price, 1])
          await waitUntil(`there, then by ${kind}`, 2_000, async () => (await readAgain(far.products, id))[0] === price)
        }
      },
    )
  })

  it.each(Object.entries(KINDS))('an absence that is none any more, by %s', async (_, read) => {
    const { id, near, far } = await warmed({ rows: 1 })
    for (let times = 0; times < 2; times++) {
      for (const { products } of [near, far]) expect(await read(products, id)).toEqual([1, undefined])
      await waitUntil('the absence is cached', 2_000, async () => near.events.count('fill') >= 3)
    }
    await shop.run(`insert into products (id, slug, price) values (${id + 1}, 's${id + 1}', 2)`)
    for (const { products } of [near, far]) expect(await read(products, id), 'without it').toEqual([1, undefined])
    expect(await read(near.products, id, VERIFIED)).toEqual([1, 2])
    expect(await read(near.products, id)).toEqual([1, 2])
  })

  it.each(Object.entries(KINDS))('and load nothing that is the same, by %s', async (kind, read) => {
    const { id, near } = await warmed()
    const loads = near.events.count('load')
    expect(await read(near.products, id, VERIFIED)).toEqual([1, 1])
    expect(near.events.count('load'), kind).toBe(loads)
  })

  it('of many, only those that differ are loaded, by one statement', async () => {
    const { id, near } = await warmed()
    await shop.run(
      `insert into products (id, slug, price) select n, 's' || n, 1 from generate_series(${id + 2}, ${id + 9}) n`,
    )
    const ids = Array.from({ length: 10 }, (_, at) => id + at)
    await near.products.findMany(ids)
    await shop.run(`update products set price = 2 where id in (${id + 3}, ${id + 6})`)
    const loads = near.events.count('load')
    const prices = (await near.products.findMany([...ids, id + 3], VERIFIED)).map((row) => row?.price)
    expect(prices).toEqual([1, 1, 1, 2, 1, 1, 2, 1, 1, 1, 2])
    expect(
      near.events
        .of('load')
        .slice(loads)
        .map(({ ids }) => ids),
    ).toEqual([2])
    lastId += 10
  })

  it('a value that moved to another row, whatever pointer and rows are cached', async () => {
    const { id, near } = await warmed()
    await shop.run(`update products set slug = null where id = ${id}`)
    await shop.run(`update products set slug = 's${id}' where id = ${id + 1}`)
    const slug = `s${id}`
    expect((await near.products.findBy({ slug }))?.id, 'without it').toBe(id)
    expect((await near.products.findBy({ slug }, VERIFIED))?.id).toBe(id + 1)
    expect((await near.products.findBy({ slug }))?.id, 'afterwards').toBe(id + 1)
  })

  it('on a table without a stamp, where there is nothing to compare: all of it', async () => {
    const { id } = await warmed({ rows: 1 })
    const { corral } = shop.start({ namespace: freshNamespace() })
    const products = corral.repository('products', { key: 'id', unique: ['slug'], version: false }) as never as Products
    for (const read of Object.values(KINDS)) {
      for (let times = 0; times < 3; times++) expect(await read(products, id)).toEqual([1, undefined])
    }
    await shop.run(`update products set price = 2 where id = ${id}`)
    await shop.run(`insert into products (id, slug, price) values (${id + 1}, 's${id + 1}', 2)`)
    for (const [kind, read] of Object.entries(KINDS)) {
      expect(await read(products, id, VERIFIED), kind).toEqual([2, 2])
    }
  })

  it.each(['refresh', 'verified'] as const)(
    'and findBy, %s, never shows a row that has another value by now',
    async (consistency) => {
      const { id, near } = await warmed()
      const slug = `s${id}`
      // Pointer in hand, the row not yet read.
      const [pointer, row] = [near.cache.pause('after read'), near.cache.pause('after read')]
      if (consistency === 'verified') row.resume()
      await shop.run(`update products set price = 5 where id = ${id}`)
      const reading = near.products.findBy({ slug }, { consistency })
      await pointer.reached
      if (consistency === 'verified') await shop.run(`update products set slug = 'x${id}' where id = ${id}`)
      pointer.resume()
      if (consistency === 'refresh') {
        await row.reached
        await shop.run(`update products set slug = 'x${id}' where id = ${id}`)
        row.resume()
      }
      expect(await reading).toBeUndefined()
      expect(await near.products.findBy({ slug }), 'afterwards').toBeUndefined()
    },
  )

  it('the stamps of all rows of a tick are one statement', async () => {
    let statements = 0
    const counter: KyselyPlugin = {
      transformQuery: ({ node }) => {
        statements++
        return node
      },
      transformResult: async ({ result }) => result,
    }
    const { products } = tables.start({ plugins: [counter] })
    await products.findMany([1, 2, 3])
    await waitUntil('they are cached', 2_000, async () => {
      statements = 0
      await products.findMany([1, 2, 3])
      return statements === 0
    })
    const verified = [products.find(1, VERIFIED), products.findMany([1, 2, 1, 3], VERIFIED), products.find(9, VERIFIED)]
    await Promise.all(verified)
    expect(statements).toBe(2)
    const [, many] = await Promise.all([products.find(2, VERIFIED), products.findMany([3, 2, 3], VERIFIED)])
    expect(statements, 'when nothing differs').toBe(3)
    expect(many.map((row) => row?.name)).toEqual(['pot', 'cup', 'pot'])
  })
})
