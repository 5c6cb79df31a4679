import { sql } from 'kysely'
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { waitUntil } from '../../support/servers/wait.js'
import { ShopLab, type ShopProcess, untilFilled } from '../../support/shop-lab.js'
import { TcpProxy } from '../../support/tcp-proxy.js'

describe('an unknown commit counts as committed', () => {
  let shop: ShopLab
  beforeAll(async () => {
    shop = await ShopLab.open()
  })

  /** A writer whose way to the database can be cut, a reader beside it, and a product that both have cached. */
  async function open() {
    const database = new URL(shop.databaseUrl)
    const proxy = await TcpProxy.start({ host: database.hostname, port: Number(database.port) })
    onTestFinished(() => proxy.close())
    const [writer, reader] = [shop.start({ databaseUrl: proxy.through(shop.databaseUrl) }), shop.start()]
    const { row } = await reader.products.insert({ price: 1 })
    for (const process of [writer, reader]) {
      await process.products.find(row.id)
      await process.products.find(row.id)
    }
    await untilFilled(writer)
    return { proxy, writer, reader, id: row.id }
  }

  /** Lets nothing through in one direction, and after a while cuts the connections. */
  async function cut(proxy: TcpProxy, way: 'up' | 'down', isDone: () => Promise<boolean>): Promise<void> {
    proxy.set({ blackHole: way })
    void (async () => {
      await waitUntil('the server has done its part', 5_000, isDone)
      proxy.reset()
      proxy.heal()
    })()
  }

  const priceIs = (process: ShopProcess, id: number, price: number) => async () => {
    const { rows } = await sql<{ price: number }>`select price from products where id = ${id}`.execute(process.db)
    return rows[0]?.price === price
  }

  it('that did commit: the new row is read everywhere, though the writer got an error', async () => {
    const { proxy, writer, reader, id } = await open()
    const writing = writer.corral.transaction(async (tx) => {
      await writer.products.in(tx).update(id, { price: 2 })
      await cut(proxy, 'down', priceIs(reader, id, 2))
    })
    await expect(writing).rejects.toThrow()
    expect((await reader.products.find(id))?.price).toBe(2)
    expect((await writer.products.find(id))?.price).toBe(2)
  })

  it('that did not commit: the old row is read everywhere, and cached again', async () => {
    const { proxy, writer, reader, id } = await open()
    const writing = writer.corral.transaction(async (tx) => {
      await writer.products.in(tx).update(id, { price: 2 })
      await cut(proxy, 'up', async () => true)
    })
    await expect(writing).rejects.toThrow()
    for (const process of [reader, writer]) {
      expect((await process.products.find(id))?.price).toBe(1)
      process.events.story()
    }
    await waitUntil('it is cached again', 5_000, async () => {
      await reader.products.find(id)
      return reader.events.count('hit') > 0
    })
    expect((await reader.products.find(id))?.price).toBe(1)
  })

  it('that was still being decided when a reader cached the old row once more', async () => {
    const { proxy, writer, reader, id } = await open()
    const writing = writer.corral.transaction(async (tx) => {
      await writer.products.in(tx).update(id, { price: 2 })
      await cut(proxy, 'up', async () => true)
    })
    await expect(writing).rejects.toThrow()
    // The server has not noticed the end of the connection, or is waiting for a standby: as if it were deciding still.
    expect((await reader.products.find(id))?.price).toBe(1)
    await shop.run(`update products set price = 3 where id = ${id}`)
    await reader.products.update(id, { price: 4 })
    expect((await writer.products.find(id))?.price).toBe(4)
  })

  it('of a single statement: its row, and what its unique columns point to', async () => {
    const { proxy, writer, reader, id } = await open()
    const slug = `cut-${id}`
    expect(await reader.products.findBy({ slug })).toBeUndefined()
    await untilFilled(reader)
    await cut(proxy, 'down', priceIs(reader, id, 2))
    await expect(writer.products.update(id, { price: 2, slug })).rejects.toThrow()
    expect((await reader.products.find(id))?.price).toBe(2)
    expect((await reader.products.findBy({ slug }))?.id).toBe(id)
    expect((await writer.products.find(id))?.price).toBe(2)
  })

  it('of a single statement that gives a row another key: what was known of either', async () => {
    const { proxy, writer, reader, id } = await open()
    const moved = id + 1_000_000
    expect(await reader.products.find(moved)).toBeUndefined()
    await untilFilled(reader)
    await cut(proxy, 'down', async () => (await shop.run(`select 1 from products where id = ${moved}`)).length > 0)
    await expect(writer.products.update(id, { id: moved })).rejects.toThrow()
    expect(await reader.products.find(id)).toBeUndefined()
    expect((await reader.products.find(moved))?.id).toBe(moved)
  })

  it('and closing does not wait until it is sure that nothing more can come', async () => {
    const { proxy, writer, id, reader } = await open()
    await cut(proxy, 'down', priceIs(reader, id, 2))
    await expect(writer.products.update(id, { price: 2 })).rejects.toThrow()
    const startedMs = performance.now()
    await writer.corral.close()
    expect(performance.now() - startedMs).toBeLessThan(1_000)
  })
})
