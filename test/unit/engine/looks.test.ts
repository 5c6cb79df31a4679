import { describe, expect, it } from 'vitest'
import type { CacheKey } from '../../../src/core/key.js'
import { Looks, type Readers } from '../../../src/engine/looks.js'

const KEY = 'shop:{public.products/42}' as CacheKey
const OTHER = 'shop:{public.products/43}' as CacheKey

describe('Looks', () => {
  function open() {
    const pending = new Set<CacheKey>()
    const store = { departures: 0 }
    let now = 0
    const passes: Readers[] = []
    const looks = new Looks<string, string>({
      parts: { store: store as never, isPending: (key) => pending.has(key) },
      now: () => ++now,
      pass: async (_, id, readers) => {
        passes.push(readers)
        return `pass ${passes.length} for ${id}`
      },
    })
    const join = (key: CacheKey, id = 'a row') => looks.join(key, id)
    return { store, pending, passes, join }
  }

  it('are joined by readers of the same key until they leave', async () => {
    const { store, passes, join } = open()
    const [first, second, other] = [join(KEY), join(KEY), join(OTHER, 'another')]
    expect(second).toBe(first)
    expect(other).not.toBe(first)
    store.departures++
    const late = join(KEY)
    expect(await Promise.all([first, other, late].map(({ answer }) => answer))).toEqual([
      'pass 1 for a row',
      'pass 2 for another',
      'pass 3 for a row',
    ])
    expect(passes.map(({ count }) => count)).toEqual([2, 1, 1])
  })

  it('began when the last of their readers did', () => {
    const { passes, join } = open()
    for (const key of [KEY, OTHER, KEY]) join(key)
    expect(passes.map(({ startedAt }) => startedAt)).toEqual([3, 2])
  })

  it('are not shared by readers of a key whose fence is pending, nor by those who come when it no longer is', () => {
    const { pending, passes, join } = open()
    join(KEY)
    pending.add(KEY)
    join(KEY)
    join(KEY)
    pending.delete(KEY)
    join(KEY)
    expect(
      passes.map(({ count }) => count),
      'the last one joined the first',
    ).toEqual([2, 1, 1])
  })
})
