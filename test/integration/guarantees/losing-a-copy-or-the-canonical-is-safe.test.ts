import { beforeAll, describe, expect, it } from 'vitest'
import { type HotProcess, HotShop, spreadProduct } from '../../support/hot-shop.js'

describe("losing a hot key's copy or the entry it is made of is safe, on a real cluster", () => {
  let shop: HotShop
  beforeAll(async () => {
    shop = await HotShop.open()
  })

  async function pricesOf(processes: readonly HotProcess[], id: number) {
    return (await Promise.all(processes.map(({ products }) => products.find(id)))).map((row) => row?.price)
  }

  const KEYS = {
    'one copy': (_: string, copies: readonly string[]) => copies.slice(2, 3),
    'every copy': (_: string, copies: readonly string[]) => copies,
    'the entry': (entry: string) => [entry],
    'every guard': (entry: string, copies: readonly string[]) => [entry, ...copies].map((key) => `${key}#`),
    everything: (entry: string, copies: readonly string[]) => [entry, ...copies].flatMap((key) => [key, `${key}#`]),
  }

  it.each(Object.entries(KEYS))('%s, at every moment of a write', async (_, lost) => {
    const { processes, writer, id, eyes, entry, copies } = await spreadProduct(shop)
    const evict = () => eyes.evict(...lost(entry, copies))
    let price = 1
    for (const moment of ['before', 'between the fences', 'after'] as const) {
      price++
      if (moment === 'before') await evict()
      // The first fence is the entry's, the second that of its copies.
      writer.cache.pause('before fence').resume()
      const copiesFence = writer.cache.pause('before fence')
      const writing = writer.products.update(id, { price })
      await copiesFence.reached
      if (moment === 'between the fences') {
        await evict()
        await pricesOf(processes, id)
      }
      copiesFence.resume()
      expect((await writing)?.fence).toBe('fenced')
      if (moment === 'after') await evict()
      const expected = processes.map(() => price)
      expect(await pricesOf(processes, id), moment).toEqual(expected)
      expect(await pricesOf(processes, id), `${moment}, and then`).toEqual(expected)
    }
  })

  it('at any time, while the row is read and written without a pause', async () => {
    const { processes, writer, id, eyes, entry, copies } = await spreadProduct(shop)
    const keys = KEYS.everything(entry, copies)
    let acknowledged = 1
    let isOver = false
    const stale: string[] = []
    const readOn = async ({ products }: HotProcess) => {
      while (!isOver) {
        const least = acknowledged
        const price = (await products.find(id))?.price ?? 0
        if (price < least) stale.push(`${price} after ${least}`)
      }
    }
    let evictions = 0
    const evictOn = async () => {
      for (; !isOver; evictions++) await eyes.evict(keys[evictions % keys.length] as string)
    }
    const busy = [...processes.map(readOn), evictOn()]
    for (let price = 2; price < 80; price++) {
      expect((await writer.products.update(id, { price }))?.fence).toBe('fenced')
      acknowledged = price
    }
    isOver = true
    await Promise.all(busy)
    expect(stale).toEqual([])
    expect(evictions).toBeGreaterThan(keys.length)
  })
})
