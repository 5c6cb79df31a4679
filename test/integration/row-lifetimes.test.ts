import { beforeAll, describe, expect, it } from 'vitest'
import { WIRE } from '../../src/core/wire.js'
import { ShopLab, untilFilled } from '../support/shop-lab.js'

const OTHERWISE_MS = 50_000
const ABSENT_MS = 7_000

describe('how long rows count as fresh', () => {
  let shop: ShopLab
  beforeAll(async () => {
    shop = await ShopLab.open()
  })

  /** A repository whose rows say by their price how long they live. */
  function open(freshMs: (row: { price: number }) => number = ({ price }) => price) {
    const process = shop.start({ ttl: { freshMs: OTHERWISE_MS, jitter: 0, absentMs: ABSENT_MS } })
    const products = process.corral.repository('products', { key: 'id', unique: ['slug'], l1: false, ttl: { freshMs } })
    return { ...process, products }
  }

  /** The time that the one entry was given which this read has filled. */
  async function filledFor({ events, cache }: ReturnType<typeof open>, read: Promise<unknown>): Promise<number> {
    await read
    await untilFilled({ events })
    const [fill] = events.of('fill')
    events.events.length = 0
    const [bytes] = await cache.read(fill ? [fill.key] : [])
    const { at, width } = WIRE.freshMs
    return Number(Buffer.from(bytes ?? []).toString('latin1', at, at + width))
  }

  /** The store counts whole milliseconds, and a load takes its share. */
  function expectNearly(foundMs: number, wantedMs: number) {
    expect(foundMs).toBeLessThanOrEqual(wantedMs)
    expect(foundMs).toBeGreaterThan(wantedMs - 2_000)
  }

  it('is what the function says of each row', async () => {
    const shopped = open()
    const { row: short } = await shopped.products.insert({ price: 20_000 })
    const { row: long } = await shopped.products.insert({ price: 400_000 })
    expectNearly(await filledFor(shopped, shopped.products.find(short.id)), 20_000)
    expectNearly(await filledFor(shopped, shopped.products.find(long.id)), 400_000)
  })

  it('is what the instance says where the function has nothing of use to say, and that is told', async () => {
    for (const [freshMs, reason] of [
      [() => Number.NaN, 'no-number'],
      [() => 'soon' as never, 'no-number'],
      [() => undefined as never, 'no-number'],
      [
        () => {
          throw new Error('a mistake in the application')
        },
        'threw',
      ],
    ] as const) {
      const shopped = open(freshMs)
      const { row } = await shopped.products.insert({ price: 1 })
      const reading = shopped.products.find(row.id)
      await reading
      const [refused] = shopped.events.of('ttl.refused')
      expectNearly(await filledFor(shopped, reading), OTHERWISE_MS)
      expect(refused).toEqual({ type: 'ttl.refused', entity: 'public.products', reason, freshMs: OTHERWISE_MS })
    }
  })

  it('stays within bounds', async () => {
    for (const price of [0, -5]) {
      const shopped = open(() => price)
      const { row } = await shopped.products.insert({ price: 1 })
      expect((await shopped.products.find(row.id))?.price).toBe(1)
      expect(shopped.events.of('ttl.refused')[0]).toMatchObject({ reason: 'out-of-range', freshMs: 1 })
    }
    const shopped = open(() => Number.POSITIVE_INFINITY)
    const { row } = await shopped.products.insert({ price: 1 })
    expectNearly(await filledFor(shopped, shopped.products.find(row.id)), 10 ** 10 - 1)
  })

  it('is another time for absences, of rows and of looked-up values', async () => {
    const shopped = open()
    expectNearly(await filledFor(shopped, shopped.products.find(1_000_000)), ABSENT_MS)
    expectNearly(await filledFor(shopped, shopped.products.findBy({ slug: 'nowhere' })), ABSENT_MS)
  })

  it('is that of the row for what leads to it', async () => {
    const shopped = open()
    await shopped.products.insert({ slug: 'there', price: 30_000 })
    expectNearly(await filledFor(shopped, shopped.products.findBy({ slug: 'there' })), 30_000)
  })
})
