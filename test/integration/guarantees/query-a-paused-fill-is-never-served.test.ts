import { beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { QueryLab, type QueryProcess } from '../../support/query-lab.js'

const RACES = 300

describe('a paused fill of a query is never served', () => {
  let lab: QueryLab
  beforeAll(async () => {
    lab = await QueryLab.open()
  })
  beforeEach(() => lab.emptyCache())

  function starsOf(process: QueryProcess, product: number) {
    const stars = process.corral.query('stars', (db, p: { product: number }) =>
      db.selectFrom('reviews').select(['id', 'stars']).where('product_id', '=', p.product).orderBy('id'),
    )
    return async () => (await stars({ product })).map((row) => row.stars)
  }

  it.each(['before fill', 'before mark', 'after mark'] as const)(
    'with the fill held %s, a write, and the fill let go',
    async (point) => {
      const [writer, reader, other] = [lab.start(), lab.start(), lab.start()]
      const { row } = await writer.reviews.insert({ product_id: 3, author: 'zoe', stars: 1 })
      const pause = reader.store.pause(point)
      const stars = starsOf(reader, 3)
      const before = stars()
      await pause.reached
      const { fence } = (await writer.reviews.update(row.id, { stars: 5 })) ?? {}
      expect(fence).toBe('fenced')
      pause.resume()
      await before
      await expect.poll(() => reader.events.count('fill')).toBe(1)
      expect((await stars()).at(-1), 'in the process whose fill was held').toBe(5)
      expect((await starsOf(other, 3)()).at(-1), 'in another process').toBe(5)
    },
  )

  it('with the whole load held, nobody who comes after the write joins it', async () => {
    const [writer, reader] = [lab.start(), lab.start()]
    const { row } = await writer.reviews.insert({ product_id: 3, author: 'yan', stars: 1 })
    const stars = starsOf(reader, 3)
    const pause = reader.store.pause('before fill')
    const early = stars()
    await early
    await pause.reached
    await writer.reviews.update(row.id, { stars: 4 })
    const late = stars()
    pause.resume()
    expect((await late).at(-1)).toBe(4)
  })

  it(`${RACES} races of readers with a writer: no read that begins after a write was acknowledged is older than it`, async () => {
    const [writer, ...readers] = [lab.start(), lab.start(), lab.start()] as [QueryProcess, QueryProcess, QueryProcess]
    const { row } = await writer.reviews.insert({ product_id: 2, author: 'xia', stars: 0 })
    const stars = readers.map((reader) => starsOf(reader, 2))
    let acknowledged = 0
    let stale = 0
    let reads = 0
    let isOver = false
    const read = async (one: () => Promise<number[]>) => {
      while (!isOver) {
        const least = acknowledged
        const seen = (await one()).at(-1) as number
        reads++
        if (seen < least) stale++
      }
    }
    const reading = stars.flatMap((one) => [read(one), read(one)])
    for (let value = 1; value <= RACES; value++) {
      const result = await writer.corral.transaction((tx) =>
        tx.updateTable('reviews').set({ stars: value }).where('id', '=', row.id).execute(),
      )
      if (result.fence === 'fenced') acknowledged = value
    }
    isOver = true
    await Promise.all(reading)
    expect({ stale, acknowledged }).toEqual({ stale: 0, acknowledged: RACES })
    expect(reads).toBeGreaterThan(RACES)
    const hits = readers.reduce((sum, { events }) => sum + events.count('hit'), 0)
    expect(hits, 'reads that the cache answered').toBeGreaterThan(0)
  })
})
