import { setFlagsFromString } from 'node:v8'
import { type KyselyPlugin, sql } from 'kysely'
import pg from 'pg'
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import type { Corral } from '../../src/client.js'
import { isCorralError } from '../../src/core/errors.js'
import { stampTable } from '../../src/migrations.js'
import { QueryLab } from '../support/query-lab.js'
import { waitUntil } from '../support/servers/wait.js'
import { freshNamespace } from '../support/services.js'
import { ShopLab, type ShopProcess, untilFilled } from '../support/shop-lab.js'
import { TcpProxy } from '../support/tcp-proxy.js'

/** A repository of products that looks none up. */
const openPlain = ({ corral }: ShopProcess) => corral.repository('products', { key: 'id' })
type Plain = ReturnType<typeof openPlain>

describe('writes of a repository', () => {
  let shop: ShopLab
  let tables: QueryLab
  beforeAll(async () => {
    shop = await ShopLab.open()
    tables = await QueryLab.open()
  })

  it.each<[string, object]>([
    ['nothing', {}],
    ['nothing but what is undefined', { price: undefined, slug: undefined }],
  ])('insert a row of defaults when they are given %s', async (_, values) => {
    const { corral, products, events } = shop.start()
    const { row, fence, version } = await products.insert(values)
    expect(row).toMatchObject({ slug: null, price: 0, details: { tags: ['new'] } })
    expect([fence, version]).toEqual(['fenced', row.corral_version])
    expect(await products.find(row.id)).toEqual(row)
    const upserted = await products.upsert(values)
    expect(upserted.row).toMatchObject({ slug: null, price: 0 })
    expect(upserted.row.id).not.toBe(row.id)
    const { value } = await corral.transaction(async (tx) => (await products.in(tx).insert(values)).row)
    expect(await products.find(value.id)).toEqual(value)
    expect(events.of('fence').every(({ outcome }) => outcome === 'fenced')).toBe(true)
  })

  it('give rows that are as fast as a literal: what was returned beside them left no trace in how they are stored', async () => {
    setFlagsFromString('--allow-natives-syntax')
    const hasFastProperties = new Function('row', 'return %HasFastProperties(row)') as (row: object) => boolean
    setFlagsFromString('--no-allow-natives-syntax')
    const emptied: Record<string, number> = { first: 1, second: 2 }
    delete emptied.first
    expect(hasFastProperties(emptied), 'what it looks like otherwise').toBe(false)
    const { products } = shop.start()
    const { row } = await products.insert({ price: 1 })
    expect(hasFastProperties(row)).toBe(true)
    expect(hasFastProperties((await products.update(row.id, { price: 2 }))?.row ?? {})).toBe(true)
    expect(hasFastProperties((await products.delete(row.id))?.row ?? {})).toBe(true)
  })

  describe('in a transaction that holds the only connection', () => {
    const start = () => {
      const process = tables.start({ poolSize: 1, load: { hardTimeoutMs: 2_000 } })
      return { ...process, nowhere: process.corral.repository('nowhere' as 'notes', { key: 'id' }) }
    }

    it('say what keeps a table from being opened, and do not wait for a connection to look once more', async () => {
      const { corral, db, nowhere } = start()
      for (const call of ['find', 'lock', 'delete'] as const) {
        const error = await corral
          .transaction(async (tx) => void (await nowhere.in(tx)[call](1)))
          .catch((caught: unknown) => caught)
        expect(isCorralError(error, 'CONFIG_INVALID')).toBe(true)
        expect(String(error)).toContain('nowhere')
      }
      // Migrated in between: a transaction looks again when it begins.
      await tables.run('create table nowhere (id int primary key, text text)')
      await stampTable({ table: 'nowhere', key: 'id' }).up(db as never)
      onTestFinished(async () => void (await tables.run('drop table nowhere')))
      expect((await corral.transaction((tx) => nowhere.in(tx).find(1))).value).toBeUndefined()
    })

    it('do not wait for another table that cannot be opened, either', async () => {
      await tables.run(
        `insert into products values (800, null, 'p800', 1); insert into reviews values (800, 800, 'a', 1)`,
      )
      const { corral, products, events } = start()
      const { fence } = await corral.transaction((tx) => products.in(tx).delete(800))
      expect(fence).toBe('fenced')
      expect(events.of('write.unseen')).toMatchObject([{ statement: 'delete', entity: 'public.reviews' }])
    })

    it('wait for one that is declared meanwhile no longer than for a load', async () => {
      const { corral } = start()
      const late = corral.transaction((tx) => corral.repository('votes', { key: 'id' }).in(tx).find(1))
      const error = await late.catch((caught: unknown) => caught)
      expect(isCorralError(error, 'FILL_TIMEOUT')).toBe(true)
      expect((await corral.transaction(async () => 1)).value, 'the connection is free again').toBe(1)
    })
  })

  describe('beside a table that cannot be opened yet', () => {
    async function lockProducts() {
      const client = new pg.Client({ connectionString: shop.databaseUrl })
      await client.connect()
      await client.query('begin; lock table products in access exclusive mode')
      let ending: Promise<void> | undefined
      const unlock = () => {
        ending ??= client.end()
        return ending
      }
      onTestFinished(unlock)
      return unlock
    }

    it('do not wait for it longer than a read would, if they are about something else', async () => {
      const unlock = await lockProducts()
      const { corral } = shop.start({ load: { softTimeoutMs: 100, hardTimeoutMs: 300 } })
      // Before the process is closed, which waits for its connections.
      onTestFinished(unlock)
      expect((await corral.transaction(async (tx) => (await sql`select 1`.execute(tx)).rows)).value).toHaveLength(1)
    })

    it('open it on the connection of the transaction that writes it', async () => {
      const reader = shop.start()
      const { row } = await reader.products.insert({ price: 1 })
      await reader.products.find(row.id)
      await untilFilled(reader)
      const unlock = await lockProducts()
      const impatient = new URL(shop.databaseUrl)
      impatient.searchParams.set('options', '-c lock_timeout=100ms')
      const { corral } = shop.start({ databaseUrl: impatient.href, isMute: true })
      const { fence } = await corral.transaction(async (tx) => {
        await unlock()
        await tx.updateTable('products').set({ price: 2 }).where('id', '=', row.id).execute()
      })
      expect(fence).toBe('fenced')
      expect((await reader.products.find(row.id))?.price).toBe(2)
    })

    it('report what they have written there if it still cannot be', async () => {
      await shop.run('create table unfit (id int primary key)')
      const { corral, events } = shop.start()
      corral.repository('unfit' as 'products', { key: 'id' })
      await corral.transaction((tx) => sql`insert into unfit values (1)`.execute(tx))
      expect(events.of('write.unseen').map(({ entity }) => entity)).toEqual([undefined])
      await corral.transaction((tx) =>
        tx
          .insertInto('unfit' as 'products')
          .values({ id: 2 } as never)
          .execute(),
      )
      expect(events.of('write.unseen').at(-1)).toMatchObject({ statement: 'insert', entity: 'unfit' })
    })
  })

  describe('that fail here and not at the database', () => {
    /** A process whose plugin fails on the way to the database or back, while it is told to. */
    function start() {
      let fails: 'out' | 'back' | undefined
      const fail = (way: 'out' | 'back') => {
        if (fails === way) throw new TypeError(`the plugin fails on the way ${way}`)
      }
      const plugin: KyselyPlugin = {
        transformQuery: ({ node }) => {
          fail('out')
          return node
        },
        transformResult: async ({ result }) => {
          fail('back')
          return result
        },
      }
      const process = tables.start({ plugins: [plugin] })
      const failing = async (way: typeof fails, write: () => Promise<unknown>) => {
        fails = way
        await expect(write()).rejects.toThrow(`the way ${way}`)
        fails = undefined
      }
      return { process, failing }
    }

    it('before anything was sent are no reason for a fence', async () => {
      const { process, failing } = start()
      await process.products.find(1)
      await failing('out', () => process.products.update(1, { price: 50 }))
      await failing('out', () => process.products.insert({ id: 50, name: 'x', price: 1 }))
      await failing('out', () => process.products.delete(1))
      expect(process.events.count('fence')).toBe(0)
      expect((await process.products.find(1))?.price).not.toBe(50)
    })

    it('because there is no way to it are none either', async () => {
      const database = new URL(shop.databaseUrl)
      const proxy = await TcpProxy.start({ host: database.hostname, port: Number(database.port) })
      onTestFinished(() => proxy.close())
      const { products, events } = shop.start({ databaseUrl: proxy.through(shop.databaseUrl) })
      const { row } = await products.insert({ price: 1 })
      const before = events.count('fence')
      proxy.set({ refuse: true })
      proxy.reset()
      await waitUntil('its connections are gone', 5_000, () => proxy.connections === 0)
      await expect(products.update(row.id, { price: 2 })).rejects.toThrow()
      expect(events.count('fence')).toBe(before)
    })

    it('after it was carried out count as written', async () => {
      const { process, failing } = start()
      const reader = tables.start()
      await process.products.find(2)
      await expect.poll(() => process.events.count('fill')).toBe(1)
      await failing('back', () => process.products.update(2, { price: 51 }))
      expect(process.events.count('fence')).toBe(1)
      for (const { products } of [process, reader]) expect((await products.find(2))?.price).toBe(51)
    })
  })

  it.each<[string, (shop: ShopProcess, plain: Plain, slug: string) => Promise<unknown>]>([
    ['an insert', (_, plain, slug) => plain.insert({ slug, price: 2 })],
    ['an update', async ({ products }, plain, slug) => plain.update((await products.insert({})).row.id, { slug })],
    ['a transaction', ({ corral }, plain, slug) => corral.transaction((tx) => plain.in(tx).insert({ slug }))],
  ])('of %s tell what only another repository of the table knows: a lookup', async (_, write) => {
    const [writer, reader] = [shop.start(), shop.start()]
    const plain = openPlain(writer)
    const slug = `other-${_}`
    expect(await reader.products.findBy({ slug })).toBeUndefined()
    await untilFilled(reader)
    await write(writer, plain, slug)
    expect(await reader.products.findBy({ slug }), 'elsewhere').toMatchObject({ slug })
    expect(await writer.products.findBy({ slug }), 'here').toMatchObject({ slug })
  })

  it('of a key that is an enum change no row, and fail nothing, where the id is none of its labels', async () => {
    await shop.run(`create type size as enum ('s', 'm'); create table shirts (size size primary key, price int);
      insert into shirts values ('s', 1), ('m', 2)`)
    await stampTable({ table: 'shirts', key: 'size' }).up(shop.start().db)
    const corral = shop.start().corral as unknown as Corral<{ shirts: { size: string; price: number } }>
    const shirts = corral.repository('shirts', { key: 'size' })
    expect((await shirts.update('m', { price: 3 }))?.row).toMatchObject({ size: 'm', price: 3 })
    for (const call of [
      () => shirts.update('xl', { price: 4 }),
      () => shirts.delete('xl'),
      () => shirts.mutate('xl', () => ({ price: 5 })),
    ]) {
      expect(await call()).toBeUndefined()
    }
    const { value } = await corral.transaction(async (tx) => {
      expect(await shirts.in(tx).lock('xl')).toBeUndefined()
      return shirts.in(tx).update('s', { price: 6 })
    })
    expect(value?.row).toMatchObject({ size: 's', price: 6 })
    expect((await shirts.delete('m'))?.row).toMatchObject({ size: 'm' })
  })

  it('know what a trigger has made of a unique column', async () => {
    await shop.run(`
      create function shout() returns trigger language plpgsql as $$ begin
        if new.price >= 1000 then new.slug := 'expensive-' || new.price; end if; return new; end $$;
      create trigger shout before insert or update on products for each row execute function shout()`)
    const namespace = freshNamespace()
    const [writer, reader] = [shop.start({ namespace }), shop.start({ namespace })]
    const { row } = await writer.products.insert({ price: 1 })
    expect(await reader.products.findBy({ slug: 'expensive-1001' })).toBeUndefined()
    expect(await reader.products.findBy({ slug: 'expensive-1002' })).toBeUndefined()
    await untilFilled(reader, 2)
    await writer.products.update(row.id, { price: 1001 })
    expect((await reader.products.findBy({ slug: 'expensive-1001' }))?.id).toBe(row.id)
    await writer.corral.transaction((tx) =>
      tx.updateTable('products').set({ price: 1002 }).where('id', '=', row.id).execute(),
    )
    expect((await reader.products.findBy({ slug: 'expensive-1002' }))?.id).toBe(row.id)
    expect(await reader.products.findBy({ slug: 'expensive-1001' })).toBeUndefined()
  })
})
