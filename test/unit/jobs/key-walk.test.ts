import { describe, expect, it } from 'vitest'
import type { CacheKey } from '../../../src/core/key.js'
import type { StoreShards } from '../../../src/core/ports.js'
import { inParts, sampleKeys, WALK_START, type WalkPosition, walkKeys } from '../../../src/jobs/key-walk.js'
import { ManualClock } from '../../support/manual-clock.js'
import { seededChance } from '../../support/seeded-chance.js'

/** Shards with numbered keys, paged two by two; a cursor is the number of keys behind it. */
class Shards {
  readonly servers = new Map<string, string>()
  readonly keys = new Map<string, string[]>()
  onScan: (shard: string, cursor: string | null) => void = () => {}

  constructor(shards: Record<string, number>) {
    for (const [shard, count] of Object.entries(shards)) {
      this.servers.set(shard, `${shard}-server`)
      this.keys.set(
        shard,
        Array.from({ length: count }, (_, at) => `${shard}${at}`),
      )
    }
  }

  get port(): StoreShards {
    const state = (shard: string) => ({ server: this.servers.get(shard) as string, isKnown: true, tick: undefined })
    return {
      list: () => [...this.keys.keys()],
      of: () => '',
      tickKey: () => '' as CacheKey,
      takeMoves: () => [],
      look: async (shard) => state(shard),
      tick: async (shard) => state(shard),
      scan: async (shard, cursor) => {
        this.onScan(shard, cursor)
        const keys = this.keys.get(shard) as CacheKey[]
        const from = cursor === null ? 0 : Number(cursor) % Math.max(1, keys.length)
        return { keys: keys.slice(from, from + 2), next: from + 2 < keys.length ? String(from + 2) : null }
      },
    }
  }
}

function walkOver(shards: Shards) {
  return { shards: shards.port, clock: new ManualClock(), signal: undefined, pageSize: 2 }
}

async function walk(shards: Shards, from: WalkPosition = WALK_START, most = Number.POSITIVE_INFINITY) {
  const keys: string[] = []
  let last = from
  for await (const { keys: page, position } of walkKeys(walkOver(shards), from)) {
    keys.push(...page)
    last = position
    if (keys.length >= most) break
  }
  return { keys, last }
}

describe('walkKeys', () => {
  it('tells every key of every shard', async () => {
    expect((await walk(new Shards({ a: 5, b: 2, c: 0 }))).keys).toEqual(['a0', 'a1', 'a2', 'a3', 'a4', 'b0', 'b1'])
  })

  it('goes on where another one has stopped', async () => {
    const shards = new Shards({ a: 2, b: 6 })
    const { keys, last } = await walk(shards, WALK_START, 4)
    expect(keys).toEqual(['a0', 'a1', 'b0', 'b1'])
    expect((await walk(shards, last)).keys).toEqual(['b2', 'b3', 'b4', 'b5'])
  })

  it('begins a shard anew that is on another server than the one that gave the cursor', async () => {
    const shards = new Shards({ a: 2, b: 6 })
    const { last } = await walk(shards, WALK_START, 4)
    shards.servers.set('b', 'promoted')
    expect((await walk(shards, last)).keys).toEqual(['b0', 'b1', 'b2', 'b3', 'b4', 'b5'])
  })

  it('walks a shard again whose server was replaced meanwhile, and one that has come in the place of another', async () => {
    const shards = new Shards({ a: 4, c: 2 })
    let replaced = false
    shards.onScan = (shard, cursor) => {
      if (shard !== 'a' || cursor === null || replaced) return
      replaced = true
      shards.servers.set('a', 'promoted')
      shards.keys.set('b', ['b0'])
    }
    expect((await walk(shards)).keys).toEqual(['a0', 'a1', 'a2', 'a3', 'a0', 'a1', 'a2', 'a3', 'b0', 'c0', 'c1'])
  })

  it('gives up on a shard that never stays on one server', async () => {
    const shards = new Shards({ a: 2 })
    let server = 0
    shards.onScan = () => shards.servers.set('a', `server ${++server}`)
    await expect(walk(shards)).rejects.toMatchObject({ code: 'CACHE_UNAVAILABLE' })
  })

  const refuse = () => Promise.reject(new Error('LOADING'))
  const never = () => new Promise<never>(() => {})
  const throwing = () => {
    throw new Error('no cluster yet')
  }
  it.each<[string, Partial<StoreShards>]>([
    ['list shards did not reach the cache: no cluster yet', { list: throwing }],
    ['look did not reach the cache: LOADING', { look: refuse }],
    ['look did not reach the cache: no answer within 5000 ms', { look: never }],
    ['scan did not reach the cache: LOADING', { scan: refuse }],
    ['scan did not reach the cache: no answer within 5000 ms', { scan: never }],
  ])('ends with what could not be done: %s', async (expected, broken) => {
    const walking = walkOver(new Shards({ a: 2 }))
    const first = walkKeys({ ...walking, shards: { ...walking.shards, ...broken } }, WALK_START).next()
    const message = first.catch((error: Error) => error.message)
    await walking.clock.advance(60_000)
    expect(await message).toBe(expected)
  })
})

describe('inParts', () => {
  it('cuts large pages up, and moves the position only behind the last part', async () => {
    const at = (cursor: string) => ({ done: [], at: { shard: 'a', server: 's', cursor } })
    const keys = (count: number) => Array.from({ length: count }, (_, each) => `k${each}` as CacheKey)
    async function* pages() {
      for (const count of [5, 0, 4]) yield { keys: keys(count), position: at(String(count)) }
    }
    const parts: [number, string | undefined][] = []
    for await (const part of inParts(pages(), WALK_START, 2)) parts.push([part.keys.length, part.position.at?.cursor])
    expect(parts).toEqual([
      [2, undefined],
      [2, undefined],
      [1, '5'],
      [0, '0'],
      [2, '0'],
      [2, '4'],
    ])
  })
})

describe('sampleKeys', () => {
  it('takes about as many as it is asked for, of every shard, and ends where there are fewer', async () => {
    const take = async (shards: Shards, most: number) => {
      const keys: string[] = []
      const walking = { ...walkOver(shards), chance: seededChance(7) }
      for await (const page of sampleKeys(walking, most)) keys.push(...page.keys)
      return keys
    }
    const many = await take(new Shards({ a: 100, b: 100 }), 20)
    expect(many.length).toBe(20)
    expect(many.filter((key) => key.startsWith('a')).length).toBe(10)
    expect(new Set(await take(new Shards({ a: 3 }), 20)).size).toBe(3)
  })
})
