import type { ColumnType, Generated, JSONColumnType, Kysely } from 'kysely'
import { describe, expectTypeOf, it } from 'vitest'
import type { Corral, createCorral, Explanation } from '../../src/index.js'

interface Database {
  products: {
    id: Generated<number>
    slug: string
    barcode: string | null
    name: string
    price: ColumnType<string, string | number, string | number>
    attributes: JSONColumnType<{ colour: string }>
    createdAt: ColumnType<Date, never, never>
  }
  orderLines: { orderId: string; line: number; quantity: number; tenantId: bigint }
  accounts: { id: Generated<string>; balance: bigint }
}

declare const corral: Corral<Database>
declare const create: typeof createCorral
declare const db: Kysely<Database>

const products = corral.repository('products', { key: 'id', unique: ['slug', 'barcode', ['name', 'slug']] })
const lines = corral.repository('orderLines', { key: ['orderId', 'line'] })
const accounts = corral.repository('accounts', { key: 'id' })

describe('createCorral', () => {
  it('infers the schema from the Kysely instance', () => {
    expectTypeOf(create({ db, namespace: 'shop' })).toEqualTypeOf<Corral<Database>>()
  })
  it('wants a namespace and a Kysely instance', () => {
    // @ts-expect-error namespace is missing
    create({ db })
    // @ts-expect-error a connection string is no Kysely instance
    create({ db: 'postgres://…', namespace: 'shop' })
  })
})

describe('a repository', () => {
  it('knows its rows', async () => {
    const row = await products.find(1)
    expectTypeOf(row).toEqualTypeOf<
      | Readonly<{
          id: number
          slug: string
          barcode: string | null
          name: string
          price: string
          attributes: { colour: string }
          createdAt: Date
        }>
      | undefined
    >()
    expectTypeOf(products.peek(1)).toEqualTypeOf(row)
    expectTypeOf(await products.findMany([1, 2])).toEqualTypeOf<(typeof row)[]>()
    expectTypeOf(await products.explain(1)).toEqualTypeOf<Explanation>()
  })
  it('fit what takes such objects, lists in them included', async () => {
    const row = await products.find(1)
    const take = (_product: { name: string; attributes: { colour: string } }) => {}
    if (row) take(row)
  })
  it('does not let a row be changed', async () => {
    const row = await products.find(1)
    // @ts-expect-error rows are read-only
    if (row) row.name = 'x'
  })
  it('knows its ids', async () => {
    // @ts-expect-error the key is a number
    await products.find('1')
    // @ts-expect-error the key is text
    await accounts.find(1)
    expectTypeOf(lines.find).parameter(0).toEqualTypeOf<{ readonly orderId: string; readonly line: number }>()
    // @ts-expect-error a composite id needs all its columns
    await lines.find({ orderId: 'a' })
  })
  it('looks up by what was declared, and nothing else', async () => {
    await products.findBy({ slug: 'tea' })
    await products.findBy({ barcode: '4006381333931' })
    await products.findBy({ name: 'Tea', slug: 'tea' })
    // @ts-expect-error null is never looked up
    await products.findBy({ barcode: null })
    // @ts-expect-error the columns of two lookups
    await products.findBy({ barcode: '4006381333931', name: 'Tea', slug: 'tea' })
    const byName: Parameters<typeof products.findBy>[0] = { name: 'Tea', slug: 'tea' }
    await products.findBy(byName)
    // @ts-expect-error price was not declared
    await products.findBy({ price: '1' })
    // @ts-expect-error nothing was declared, and the message says what to do
    await accounts.findBy({ id: '1' })
    expectTypeOf(accounts.findBy)
      .parameter(0)
      .toHaveProperty('__problem__')
      .toEqualTypeOf<'declare the column in `unique` to look rows up by it'>()
  })
  it('takes only columns that exist and can be keys', () => {
    // @ts-expect-error no such table
    corral.repository('product', { key: 'id' })
    // @ts-expect-error no such column
    corral.repository('products', { key: 'idd' })
    // @ts-expect-error a date cannot be a key
    corral.repository('products', { key: 'createdAt' })
    // @ts-expect-error a nullable column cannot be a key
    corral.repository('products', { key: 'barcode' })
    // @ts-expect-error json cannot be looked up
    corral.repository('products', { key: 'id', unique: ['attributes'] })
    // @ts-expect-error a date is no version
    corral.repository('products', { key: 'id', version: 'createdAt' })
    // @ts-expect-error unknown option
    corral.repository('products', { key: 'id', tttl: {} })
  })
  it('derives a TTL from the row', () => {
    corral.repository('products', { key: 'id', ttl: { freshMs: (row) => row.name.length } })
    // @ts-expect-error no such column
    corral.repository('products', { key: 'id', ttl: { freshMs: (row) => row.nam.length } })
  })
})

describe('writes', () => {
  it('take what Kysely takes', async () => {
    const written = await products.insert({ slug: 'tea', name: 'Tea', price: 3.5, attributes: '{}' })
    expectTypeOf(written.row.id).toEqualTypeOf<number>()
    expectTypeOf(written.fence).toEqualTypeOf<'fenced' | 'pending'>()
    await products.update(1, { price: 4 }, { expectVersion: written.version ?? '0' })
    // @ts-expect-error name is missing
    await products.insert({ slug: 'tea', price: 3.5, attributes: '{}' })
    // @ts-expect-error createdAt can be neither inserted nor updated
    await products.update(1, { createdAt: new Date() })
    // @ts-expect-error no such column
    await products.update(1, { pricee: 4 })
    // @ts-expect-error a version is text
    await products.update(1, { price: 4 }, { expectVersion: 5 })
  })
  it('say when there may have been no row', async () => {
    expectTypeOf(await products.delete(1))
      .extract<undefined>()
      .toEqualTypeOf<undefined>()
    expectTypeOf(await products.insert({ slug: 't', name: 'T', price: 1, attributes: '{}' }))
      .extract<undefined>()
      .toBeNever()
  })
  it('let a decision be made on the row', async () => {
    await products.mutate(1, (row) => ({ price: Number(row.price) + 1 }))
    await products.mutate(1, async () => undefined)
    // @ts-expect-error no such column
    await products.mutate(1, () => ({ pricee: 1 }))
  })
  it('can be part of a transaction', async () => {
    const done = await corral.transaction(async (tx) => {
      const written = await products.in(tx).update(1, { price: 2 })
      expectTypeOf(written?.fence).toEqualTypeOf<'at-commit' | undefined>()
      await tx.updateTable('accounts').set({ balance: 1n }).execute()
      return tx.savepoint(async (inner) => (await lines.in(inner).findMany([{ orderId: 'a', line: 1 }])).length)
    })
    expectTypeOf(done).toEqualTypeOf<{ readonly value: number; readonly fence: 'fenced' | 'pending' }>()
    // @ts-expect-error only a transaction that corral opened
    products.in(db)
  })
})
