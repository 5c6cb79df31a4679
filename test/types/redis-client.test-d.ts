import type { Cluster, Redis } from 'ioredis'
import { describe, expectTypeOf, it } from 'vitest'
import type { RedisClient } from '../../src/adapters/redis/connection.js'

describe('the slice of ioredis that is asked for', () => {
  it('fits both clients', () => {
    expectTypeOf<Redis>().toExtend<RedisClient>()
    expectTypeOf<Cluster>().toExtend<RedisClient>()
  })
  it('fits nothing else by chance', () => {
    expectTypeOf<Map<string, string>>().not.toExtend<RedisClient>()
  })
})
