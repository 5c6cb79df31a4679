import { beforeAll, describe, expect, it } from 'vitest'
import type { Session } from '../../../src/session.js'
import type { Consistency } from '../../../src/table/repository-types.js'
import { waitUntil } from '../../support/servers/wait.js'
import { freshNamespace } from '../../support/services.js'
import { ShopLab, type ShopProcess } from '../../support/shop-lab.js'

const LEVELS: readonly Consistency[] = ['cached', 'verified', 'primary', 'refresh']

interface Asked {
  readonly consistency?: Consistency
  readonly session?: Session
}

/** Every way to read row `id`, whose slug is `s<id>`: the prices it gives, as often as it gives the row. */
const KINDS: Record<string, (process: ShopProcess, id: number, asked: Asked) => Promise<(number | undefined)[]>> = {
  find: async ({ products }, id, asked) => [(await products.find(id, asked))?.price],
  findMany: async ({ products }, id, asked) => (await products.findMany([id, id + 1], asked)).slice(0, 1).map(priceOf),
  'findMany with duplicates': async ({ products }, id, asked) => {
    const [first, , second] = await products.findMany([id, id + 1, id], asked)
    return [first, second].map(priceOf)
  },
  findBy: async ({ products }, id, asked) => [(await products.findBy({ slug: `s${id}` }, asked))?.price],
}

function priceOf(row: { readonly price: number } | undefined): number | undefined {
  return row?.price
}

describe('a session holds for every kind of read', () => {
  let shop: ShopLab
  let lastId = 0
  beforeAll(async () => {
    shop = await ShopLab.open()
  })

  /** A row that `there` holds in its memory and Redis in its own; `here` can tell neither of them anything. */
  async function warmed(options: { maxFloors?: number } = {}) {
    const namespace = freshNamespace()
    lastId += 10
    const id = lastId
    await shop.run(
      `insert into products (id, slug, price) select ${id} + n, 's' || (${id} + n), 1 from generate_series(0, 3) n`,
    )
    const here = shop.start({ namespace, isMute: true })
    here.cache.breakAlways('fail', ['fence'])
    const cache = { deadlineMs: 1_000, ...options }
    const there = shop.start({ namespace, l1: { maxEntries: 100 }, cache })
    for (let at = id; at < id + 4; at++) {
      await there.products.findBy({ slug: `s${at}` })
      await waitUntil('it is held', 5_000, async () => {
        await there.products.find(at)
        return there.products.peek(at)?.price === 1
      })
    }
    return { id, here, there, continued: (session: Session) => there.corral.session(session.token) }
  }

  describe.each(Object.entries(KINDS))('by %s', (_, read) => {
    it.each(LEVELS)('%s: it reads its writes', async (consistency) => {
      const { id, here, there, continued } = await warmed()
      const session = here.corral.session()
      const written = await here.products.update(id, { price: 2 }, { session })
      expect(written?.fence).toBe('pending')
      expect(new Set(await read(there, id, {})), 'without the session it is shown the old row').toEqual(new Set([1]))
      const shown = await read(there, id, { consistency, session: continued(session) })
      expect(new Set(shown)).toEqual(new Set([2]))
    })

    it.each(LEVELS)('%s: it does not go back behind what it was shown', async (consistency) => {
      const { id, here, there, continued } = await warmed()
      const session = here.corral.session()
      await shop.run(`update products set price = 2 where id = ${id}`)
      // Here the cache is passed by in one way or the other, or it is verified. There it is not.
      const level = consistency === 'cached' ? 'primary' : consistency
      expect(new Set(await read(here, id, { consistency: level, session }))).toEqual(new Set([2]))
      for (const [kind, readThere] of Object.entries(KINDS)) {
        const shown = await readThere(there, id, { session: continued(session) })
        expect(new Set(shown), `then by ${kind}`).toEqual(new Set([2]))
      }
    })

    it.each(LEVELS)('%s: a row that it saw go does not come back', async (consistency) => {
      const { id, here, there, continued } = await warmed()
      const session = here.corral.session()
      expect(new Set(await read(here, id, { session }))).toEqual(new Set([1]))
      await shop.run(`delete from products where id = ${id}`)
      const level = consistency === 'cached' ? 'primary' : consistency
      expect(new Set(await read(here, id, { consistency: level, session }))).toEqual(new Set([undefined]))
      // Redis hears of it by `verified` and `refresh`, for which a findBy would be shown that, too.
      if (level === 'primary')
        expect(new Set(await read(there, id, {})), 'without the session it does').toEqual(new Set([1]))
      expect(new Set(await read(there, id, { session: continued(session) }))).toEqual(new Set([undefined]))
    })
  })

  it('a value that it saw lead to a row leads there, whatever absence is cached', async () => {
    const { here, there, continued } = await warmed()
    const [slug, session] = [`late${lastId}`, here.corral.session()]
    expect(await there.products.findBy({ slug })).toBeUndefined()
    await waitUntil('it is cached that there is none', 5_000, async () => {
      await there.products.findBy({ slug })
      return there.events.of('hit').some(({ tier }) => tier === 'l2')
    })
    await shop.run(`insert into products (id, slug, price) values (${lastId + 5}, '${slug}', 7)`)
    expect((await here.products.findBy({ slug }, { consistency: 'primary', session }))?.price).toBe(7)
    expect(await there.products.findBy({ slug }), 'without the session it does not').toBeUndefined()
    expect((await there.products.findBy({ slug }, { session: continued(session) }))?.price).toBe(7)
  })

  it('a value that it saw lead nowhere any more does not lead back', async () => {
    const { id, here, there, continued } = await warmed()
    const session = here.corral.session()
    const slug = `s${id}`
    await here.products.findBy({ slug }, { session })
    await shop.run(`update products set slug = null where id = ${id}`)
    expect(await here.products.findBy({ slug }, { consistency: 'primary', session })).toBeUndefined()
    expect((await there.products.findBy({ slug }))?.id, 'without the session it does').toBe(id)
    expect(await there.products.findBy({ slug }, { session: continued(session) })).toBeUndefined()
  })

  it('also for more rows at once than the process remembers floors of', async () => {
    const { id, here, there, continued } = await warmed({ maxFloors: 1 })
    const session = here.corral.session()
    const ids = [id, id + 1, id + 2, id + 3]
    for (const each of ids) await here.products.update(each, { price: 2 }, { session })
    const shown = await there.products.findMany(ids, { session: continued(session) })
    expect(shown.map(priceOf)).toEqual([2, 2, 2, 2])
  })

  it.each(['cached', 'primary', 'refresh'] as const)(
    'by a cached query, %s: it reads its writes',
    async (consistency) => {
      const { id, here, there, continued } = await warmed()
      const prices = there.corral.query('prices', (db, given: { id: number }) =>
        db.selectFrom('products').select('price').where('id', '=', given.id),
      )
      await prices({ id })
      const session = here.corral.session()
      await here.products.update(id, { price: 2 }, { session })
      await waitUntil('the query is cached', 5_000, async () =>
        there.events.of('fill').some(({ key }) => key.includes('prices')),
      )
      expect(await prices({ id }, { session: continued(session), consistency })).toEqual([{ price: 2 }])
    },
  )

  it('and a level that is none is refused by every kind of read, whether a table is open or not', async () => {
    const { corral, products } = shop.start({ namespace: freshNamespace() })
    const query = corral.query('any', (db) => db.selectFrom('products').select('id'))
    for (const consistency of ['Cached', 'bypass', '', null, 5] as never[]) {
      const asked = { consistency }
      const refused = { code: 'CONFIG_INVALID', message: expect.stringMatching(/consistency.*`cached`.*found/) }
      await expect(products.find(1, asked)).rejects.toMatchObject(refused)
      await expect(products.findMany([1], asked)).rejects.toMatchObject(refused)
      await expect(products.findMany([], asked)).rejects.toMatchObject(refused)
      await expect(products.findBy({ slug: 's1' }, asked)).rejects.toMatchObject(refused)
      await expect(query(undefined, asked)).rejects.toMatchObject(refused)
    }
    await expect(query(undefined, { consistency: 'verified' as never })).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
    })
  })
})
