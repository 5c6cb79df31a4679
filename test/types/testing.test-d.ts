import type { Cluster, Redis } from 'ioredis'
import type { Generated, Kysely } from 'kysely'
import { describe, expectTypeOf, it } from 'vitest'
import type { Corral } from '../../src/index.js'
import { type AtRest, compareAtRest, History, Observer, type ScannableRedis } from '../../src/testing.js'

interface Database {
  products: { id: Generated<number>; slug: string }
}

declare const corral: Corral<Database>
declare const db: Kysely<Database>
declare const redis: Redis
declare const cluster: Cluster

describe('corral/testing', () => {
  it('gives back a repository as it was', () => {
    const observer = new Observer({ process: 'web-1', history: new History() })
    const products = corral.repository('products', { key: 'id', unique: ['slug'] })
    expectTypeOf(observer.watch(products, { name: 'products', key: 'id' })).toEqualTypeOf<typeof products>()
  })

  it('listens to what createCorral tells', () => {
    const observer = new Observer({ process: 'web-1', history: new History() })
    expectTypeOf(observer.onEvent).toBeCallableWith({ type: 'epoch', number: 1 })
  })

  it('takes both clients of ioredis, and the repository of a process', () => {
    expectTypeOf<Redis>().toExtend<ScannableRedis>()
    expectTypeOf<Cluster>().toExtend<ScannableRedis>()
    const repository = corral.repository('products', { key: 'id' })
    const tables = [{ table: 'products', key: 'id', memory: { repository, ids: [1] } }]
    expectTypeOf(compareAtRest({ db, redis, namespace: 'shop', tables })).resolves.toEqualTypeOf<AtRest>()
    expectTypeOf(compareAtRest({ db, redis: cluster, namespace: 'shop', tables })).resolves.toEqualTypeOf<AtRest>()
  })
})
