import { randomBytes } from 'node:crypto'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { EncryptionOptions } from '../../../src/adapters/codec/encryption-options.js'
import { waitUntil } from '../../support/servers/wait.js'
import { freshNamespace, redisUrl } from '../../support/services.js'
import { openProducts, productKey, ShopLab, type ShopProcess, untilFilled } from '../../support/shop-lab.js'

const [K1, K2] = [randomBytes(32), randomBytes(32)]
const BY_K1: EncryptionOptions = { current: 'k1', keys: { k1: K1 } }
const SECRET_TEXT = 'Keemun Hao Ya A'

/** Whoever can read Redis and its channels sees no row; whoever can write there makes no row appear under another key. */
describe('an encrypted entry opens nowhere else', () => {
  let shop: ShopLab
  const redis = new Redis(redisUrl())
  beforeAll(async () => {
    shop = await ShopLab.open()
  })
  afterAll(() => redis.disconnect())

  async function stored(process: ShopProcess, namespace: string, id: number): Promise<Buffer> {
    await process.products.find(id)
    await waitUntil('it is stored', 5_000, async () => (await redis.exists(productKey(namespace, id))) === 1)
    return (await redis.getBuffer(productKey(namespace, id))) as Buffer
  }

  it('a row, its lookup and a query lie there unreadable, and are read', async () => {
    const namespace = freshNamespace()
    const [writer, reader] = [1, 2].map(() => shop.start({ namespace, encryption: BY_K1 })) as [
      ShopProcess,
      ShopProcess,
    ]
    const slug = 'a-very-secret-slug'
    const { row } = await writer.products.insert({ slug, price: 77_123, details: { text: SECRET_TEXT } })
    const query = (of: ShopProcess) =>
      of.corral.query('dear', (db, p: { least: number }) =>
        db.selectFrom('products').selectAll().where('price', '>', p.least),
      )
    await writer.products.find(row.id)
    await writer.products.findBy({ slug })
    await query(writer)({ least: 77_000 })
    await untilFilled(writer, 3)
    const keys = (await redis.keys(`${namespace}:{*`)).filter((key) => !key.endsWith('#'))
    for (const key of keys) {
      const bytes = (await redis.getBuffer(key)) as Buffer
      for (const text of [SECRET_TEXT, '77123']) expect(bytes.includes(text), `${key} shows ${text}`).toBe(false)
      if (!key.includes('=')) expect(bytes.includes(slug), `${key} shows ${slug}`).toBe(false)
    }
    expect(await reader.products.findBy({ slug })).toEqual(row)
    expect(await query(reader)({ least: 77_000 })).toEqual([row])
    expect(reader.events.of('hit').length, 'all from the cache').toBe(3)
    expect(reader.events.count('load')).toBe(0)
  })

  it('not under the key of another row, nor of another namespace that shares the key', async () => {
    const namespace = freshNamespace()
    const process = shop.start({ namespace, encryption: BY_K1 })
    const [mine, other] = await Promise.all([1, 2].map((price) => process.products.insert({ price })))
    const bytes = await stored(process, namespace, mine?.row.id as number)
    const at = productKey(namespace, other?.row.id as number)
    await redis.set(at, bytes)
    expect((await process.products.find(other?.row.id as number))?.price).toBe(2)
    expect(process.events.of('entry.unreadable')).toMatchObject([{ key: at, reason: 'forged' }])

    const elsewhere = freshNamespace()
    const neighbour = shop.start({ namespace: elsewhere, encryption: BY_K1 })
    await redis.set(productKey(elsewhere, mine?.row.id as number), bytes)
    expect((await neighbour.products.find(mine?.row.id as number))?.price).toBe(1)
    expect(neighbour.events.of('entry.unreadable')).toMatchObject([{ reason: 'forged' }])
  })

  it('nothing in the clear is believed', async () => {
    const namespace = freshNamespace()
    const open = shop.start({ namespace })
    const { row } = await open.products.insert({ price: 5 })
    await stored(open, namespace, row.id)
    const strict = shop.start({ namespace, encryption: BY_K1 })
    expect((await strict.products.find(row.id))?.price).toBe(5)
    expect(strict.events.of('entry.unreadable')).toMatchObject([{ reason: 'unencrypted' }])
    await untilFilled(strict)
    expect((await open.products.find(row.id))?.price).toBe(5)
    expect(open.events.of('entry.unreadable')).toMatchObject([{ reason: 'unknown-key' }])
  })

  it('while keys rotate, no entry is lost', async () => {
    const namespace = freshNamespace()
    const keys = { k1: K1, k2: K2 }
    const steps: EncryptionOptions[] = [BY_K1, { current: 'k1', keys }, { current: 'k2', keys }]
    const { row } = await shop.start({ namespace, encryption: BY_K1 }).products.insert({ price: 3 })
    const writers = steps.map((encryption) => shop.start({ namespace, encryption }))
    await stored(writers[0] as ShopProcess, namespace, row.id)
    for (const process of writers) expect((await process.products.find(row.id))?.price).toBe(3)
    expect(writers.flatMap(({ events }) => events.of('load')).length).toBe(1)
    const last = writers[2] as ShopProcess
    await last.products.update(row.id, { price: 4 })
    await stored(last, namespace, row.id)
    const turned = shop.start({ namespace, encryption: { current: 'k2', keys: { k2: K2 } } })
    for (const process of [writers[1] as ShopProcess, turned]) {
      expect((await process.products.find(row.id))?.price).toBe(4)
      expect(process.events.of('entry.unreadable')).toEqual([])
    }
  })

  it('a published row travels encrypted, and is taken over', async () => {
    const namespace = freshNamespace()
    const options = {
      namespace,
      encryption: BY_K1,
      bus: { heartbeatMs: 100, trustMs: 20_000 },
      l1: { maxEntries: 100 },
    }
    const [writer, reader] = [1, 2].map(() => shop.start(options)) as [ShopProcess, ShopProcess]
    const said: string[] = []
    const listener = redis.duplicate()
    listener.on('message', (_, message: string) => said.push(message))
    await listener.subscribe(`${namespace}:bus`)
    const [ours, theirs] = [writer, reader].map(({ corral }) => openProducts(corral, { onWrite: 'publish' })) as [
      ReturnType<typeof openProducts>,
      ReturnType<typeof openProducts>,
    ]
    const { row } = await ours.insert({ price: 1 })
    await waitUntil(
      'the reader holds it',
      5_000,
      async () => (await theirs.find(row.id)) !== undefined && theirs.peek(row.id) !== undefined,
    )
    await waitUntil('it is stored', 5_000, async () => (await redis.exists(productKey(namespace, row.id))) === 1)
    await ours.update(row.id, { price: 2, details: { text: SECRET_TEXT } })
    await waitUntil('the new row is taken over', 5_000, async () => theirs.peek(row.id)?.price === 2)
    const messages = said.filter((message) => message.includes(`products/${row.id}}`))
    const rows = messages.flatMap((message) => JSON.parse(message)[3].map((change: string[]) => change[3] ?? ''))
    expect(rows.some((base64: string) => base64 !== '')).toBe(true)
    for (const base64 of rows) expect(Buffer.from(base64, 'base64').includes(SECRET_TEXT)).toBe(false)
    listener.disconnect()
  })
})

describe('a large row', () => {
  let shop: ShopLab
  const redis = new Redis(redisUrl())
  beforeAll(async () => {
    shop = await ShopLab.open()
  })
  afterAll(() => redis.disconnect())
  const keyOf = (id: number) => productKey(shop.namespace, id)

  it('is compressed where it lies', async () => {
    const [writer, reader] = [shop.start(), shop.start()]
    const details = { text: 'tea '.repeat(25_000) }
    const { row } = await writer.products.insert({ details })
    await writer.products.find(row.id)
    await untilFilled(writer)
    expect(await redis.strlen(keyOf(row.id))).toBeLessThan(2_000)
    expect((await reader.products.find(row.id))?.details).toEqual(details)
    expect(reader.events.count('hit')).toBe(1)
  })

  it('above the limit is served, not stored, and reported', async () => {
    const process = shop.start({ codec: { maxEntryBytes: 10_000 } })
    const { row } = await process.products.insert({ details: { text: 'x'.repeat(20_000) } })
    for (let reads = 0; reads < 2; reads++) expect((await process.products.find(row.id))?.id).toBe(row.id)
    await untilFilled(process, 2)
    expect(await redis.exists(keyOf(row.id))).toBe(0)
    expect(process.events.of('entry.oversized')).toMatchObject([
      { entity: 'public.products', key: keyOf(row.id), maxBytes: 10_000 },
      { maxBytes: 10_000 },
    ])
    expect(process.events.of('shape.changed'), 'nobody doubts the table').toEqual([])
  })

  it('of which a forger claims that it is small is a miss', async () => {
    const process = shop.start({ codec: { maxEntryBytes: 10_000 } })
    const [large, small] = [shop.start(), process]
    const { row } = await large.products.insert({ details: { text: 'x'.repeat(50_000) } })
    await large.products.find(row.id)
    await untilFilled(large)
    expect((await small.products.find(row.id))?.id).toBe(row.id)
    expect(small.events.of('entry.unreadable')).toMatchObject([{ reason: 'oversized' }])
  })
})
