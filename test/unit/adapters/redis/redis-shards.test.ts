import { EventEmitter } from 'node:events'
import { beforeEach, describe, expect, it } from 'vitest'
import type { RedisConnection } from '../../../../src/adapters/redis/connection.js'
import { RedisShards } from '../../../../src/adapters/redis/redis-shards.js'

let cluster: EventEmitter & { slots: (string[] | undefined)[] }
let shards: RedisShards

beforeEach(() => {
  cluster = Object.assign(new EventEmitter(), { isCluster: true, slots: [], defineCommand: () => {} })
  shards = new RedisShards({ connection: cluster as unknown as RedisConnection, namespace: 'shop' })
})

/** The cluster is looked at anew: whose each of its slots is, of which it has few here. */
function become(...owners: (string | undefined)[]): void {
  cluster.slots = owners.map((owner) => (owner === undefined ? undefined : [owner, `replica of ${owner}`]))
  cluster.emit('refresh')
}

const moves = () =>
  shards
    .takeMoves()
    .map(({ from, to }) => `${from}>${to}`)
    .sort()

describe('what RedisShards tells of keys that have moved', () => {
  it('is each pair of shards once, and only what came since the last call', () => {
    become('a', 'a', 'b', 'b')
    expect(moves()).toEqual([])
    become('b', 'b', 'b', 'a')
    expect(moves()).toEqual(['a>b', 'b>a'])
    expect(moves()).toEqual([])
    become('b', 'b', 'b', 'a')
    expect(moves()).toEqual([])
  })

  it('is nothing of before the first call: whoever begins to follow the shards has seen none of them yet', () => {
    become('a', 'a', 'b', 'b')
    become('b', 'b', 'b', 'b')
    expect(moves()).toEqual([])
    become('b', 'b', 'b', 'a')
    expect(moves()).toEqual(['b>a'])
  })

  it('is also from where the keys had come that a shard handed on, in whatever order', () => {
    become('a', 'b', 'b', 'c', 'a')
    moves()
    become('a', 'b', 'c', 'c', 'a')
    become('b', 'b', 'c', 'c', 'a')
    become('c', 'b', 'c', 'c', 'a')
    expect(moves()).toEqual(['a>b', 'a>c', 'b>c'])
  })

  it('is that they came from no shard that there is, where the one they came from is gone', () => {
    become('a', 'b', 'c')
    moves()
    become('b', 'b', 'c')
    expect(moves()).toEqual(['>b'])
    become('b', 'c', 'c')
    become('c', 'c', 'c')
    become('b', 'c', 'c')
    expect(moves(), 'b was gone for a while').toEqual(['>b', '>c', 'c>b'])
  })

  it('is the same where nobody had the slot for a while', () => {
    become('a', 'b')
    moves()
    become(undefined, 'b')
    become('b', 'b')
    expect(moves()).toEqual(['>b'])
  })

  it('does not grow with the nodes that come and go, however long nobody asks', () => {
    const churn = () => {
      for (let nth = 0; nth < 10_000; nth++)
        become(`node ${nth}`, `node ${nth + 1}`, `node ${nth % 5}`, 'one that stays')
    }
    churn()
    expect(shards.takeMoves().length, 'nobody has ever asked').toBe(0)
    churn()
    expect(shards.takeMoves().length, 'each of four from each other, or from none').toBeLessThanOrEqual(16)
  })
})
