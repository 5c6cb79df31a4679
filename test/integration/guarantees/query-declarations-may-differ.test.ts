import { beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { QueryLab, type QueryProcess } from '../../support/query-lab.js'

/** Two releases run side by side while one replaces the other, and the columns they declare in `queryBy` differ. */
describe('queries stay right where processes declare other columns', () => {
  let lab: QueryLab
  beforeAll(async () => {
    lab = await QueryLab.open()
  })
  beforeEach(() => lab.emptyCache())

  function listsOf({ corral }: QueryProcess) {
    const byProduct = corral.query('by product', (db, p: { product: number }) =>
      db.selectFrom('reviews').select(['id', 'stars']).where('product_id', '=', p.product).orderBy('id'),
    )
    const byAuthor = corral.query('by author', (db, p: { author: string }) =>
      db.selectFrom('reviews').select(['id', 'stars']).where('author', '=', p.author).orderBy('id'),
    )
    return async (consistency: 'cached' | 'primary' = 'cached') => [
      await byProduct({ product: 1 }, { consistency }),
      await byProduct({ product: 2 }, { consistency }),
      await byAuthor({ author: 'ann' }, { consistency }),
    ]
  }

  const DECLARED = [[], ['product_id'], ['author'], ['product_id', 'author']] as const

  it.each(DECLARED.flatMap((reads) => DECLARED.map((writes) => [reads, writes] as const)))(
    'read by %j, written by %j',
    async (reads, writes) => {
      const [reader, writer] = [lab.start({ queryBy: reads }), lab.start({ queryBy: writes })]
      const [here, there] = [listsOf(reader), listsOf(writer)]
      const check = async (what: string, lists: readonly (typeof here)[]) => {
        const fresh = await here('primary')
        for (const each of lists) {
          expect(await each(), `${what}, where it is ${each === here ? 'read' : 'written'}`).toEqual(fresh)
        }
      }
      // Who comes first decides whose columns the mark names.
      for (const [round, order] of [[here, there] as const, [there, here] as const].entries()) {
        for (const each of [...order, ...order]) await each()
        await writer.reviews.update(1, { stars: round + 5 })
        await check(`update ${round}`, order)
        const { row } = await writer.reviews.insert({ product_id: 2, author: 'ann', stars: round })
        await check(`insert ${round}`, order)
        await writer.reviews.update(row.id, { product_id: 1 })
        await check(`move ${round}`, order)
        await writer.reviews.delete(row.id)
        await check(`delete ${round}`, order)
      }
    },
  )

  it('and where they agree, a write to one product leaves the lists of the others cached', async () => {
    const [reader, writer] = [lab.start(), lab.start()]
    const lists = listsOf(reader)
    await lists()
    await expect.poll(() => reader.events.count('fill')).toBe(3)
    for (let stars = 1; stars <= 20; stars++) await writer.reviews.insert({ product_id: 3, author: 'bob', stars })
    await lists()
    expect(reader.events.count('load')).toBe(3)
  })

  it('a process that joins with other columns takes nothing from those who agree', async () => {
    const [reader, writer, joining] = [lab.start(), lab.start(), lab.start({ queryBy: ['author'] })]
    const [lists, others] = [listsOf(reader), listsOf(joining)]
    await lists()
    await others()
    await expect.poll(() => joining.events.count('fill'), { message: 'by product; by author it finds theirs' }).toBe(2)
    await writer.reviews.insert({ product_id: 3, author: 'bob', stars: 1 })
    await lists()
    expect(reader.events.count('load'), 'still bound to their rows').toBe(3)
    await others()
    expect(joining.events.count('load'), 'bound to the table').toBe(4)
  })
})
