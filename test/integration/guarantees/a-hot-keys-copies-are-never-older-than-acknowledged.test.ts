import { beforeAll, describe, expect, it } from 'vitest'
import { COPIES, type HotProcess, HotShop, spreadProduct } from '../../support/hot-shop.js'

const WRITES = 40

describe("a hot key's copies are never older than acknowledged, on a real cluster", () => {
  let shop: HotShop
  beforeAll(async () => {
    shop = await HotShop.open()
  })

  it('they lie on all shards, and each process reads its own', async () => {
    const { processes, id, eyes, copies } = await spreadProduct(shop)
    const shards = await eyes.shardsOf(copies)
    expect(new Set(shards).size).toBe(3)
    for (const shard of new Set(shards)) expect(shards.filter((other) => other === shard)).toHaveLength(COPIES / 3)
    for (const [copy, { products, cache }] of processes.entries()) {
      cache.calls.length = 0
      expect((await products.find(id))?.price).toBe(1)
      expect(cache.calls[0], 'nobody is told where to look').toEqual({ operation: 'read', keys: [copies[copy]] })
    }
  })

  it('a write has reached all of them when `fenced` is returned, however often', async () => {
    const { processes, writer, id, eyes, entry, copies } = await spreadProduct(shop)
    for (let price = 2; price < 2 + WRITES; price++) {
      const written = await writer.products.update(id, { price })
      expect(written?.fence).toBe('fenced')
      const held = await eyes.versions([entry, ...copies])
      const older = held.filter((version) => version !== undefined && BigInt(version) < BigInt(written?.version ?? 0))
      expect(older, `write ${price}`).toEqual([])
      const rows = await Promise.all(processes.map(({ products }) => products.find(id)))
      expect(rows.map((row) => row?.price)).toEqual(processes.map(() => price))
    }
    const [copied] = processes.map(({ events }) => events.of('fill').filter(({ reason }) => reason === 'copy').length)
    expect(copied, 'copies were made in between').toBeGreaterThan(1)
  })

  it('also while all of them are read without a pause', async () => {
    const { processes, writer, id } = await spreadProduct(shop)
    let acknowledged = 1
    let isOver = false
    const stale: string[] = []
    const readOn = async ({ products }: HotProcess) => {
      let reads = 0
      for (; !isOver; reads++) {
        const least = acknowledged
        const price = (await products.find(id))?.price ?? 0
        if (price < least) stale.push(`${price} after ${least}`)
      }
      return reads
    }
    const reading = processes.map(readOn)
    for (let price = 2; price < 2 + WRITES; price++) {
      expect((await writer.products.update(id, { price }))?.fence).toBe('fenced')
      acknowledged = price
    }
    isOver = true
    const reads = await Promise.all(reading)
    expect(stale).toEqual([])
    expect(Math.min(...reads)).toBeGreaterThan(1)
  })
})
