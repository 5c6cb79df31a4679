import { Buffer } from 'node:buffer'
import { describe, expect, it } from 'vitest'
import type { CacheKey } from '../../../src/core/key.js'
import { type Look, Looks } from '../../../src/engine/looks.js'
import type { ReplyPlace } from '../../../src/engine/read-batch.js'
import { collectGarbage } from '../../support/collect-garbage.js'

const KEY = 'shop:{public.products/42}' as CacheKey
const OTHER = 'shop:{public.products/43}' as CacheKey

describe('Looks', () => {
  function open() {
    const pending = new Set<CacheKey>()
    const asked: CacheKey[] = []
    const store = {
      departures: 0,
      ask: (key: CacheKey, place: ReplyPlace) => {
        place.replies = Promise.resolve(['another', Buffer.from('a row')] as never)
        place.at = 1
        asked.push(key)
      },
    }
    let now = 0
    let generation = 100
    const answered: Look<string, string>[] = []
    const looks = new Looks<string, string>({
      parts: { store, isPending: (key) => pending.has(key) },
      now: () => ++now,
      generation: () => ++generation,
      answer: (look, reply) => {
        answered.push(look)
        return `${look.id}: ${reply instanceof Error ? 'not asked' : String(reply)} (${answered.length})`
      },
    })
    const join = (key: CacheKey, id = 'an id') => looks.join(key, id)
    const answer = async (look: Look<string, string>) => looks.answer(look, await look.replies)
    return { store, asked, pending, answered, join, answer, looks }
  }

  it('are joined by readers of the same key until they leave', async () => {
    const { store, asked, answered, join, answer } = open()
    const [first, second, other] = [join(KEY), join(KEY), join(OTHER, 'another id')]
    expect(second).toBe(first)
    expect(other).not.toBe(first)
    store.departures++
    const late = join(KEY)
    expect(await Promise.all([first, second, other, late].map(answer))).toEqual([
      'an id: a row (1)',
      'an id: a row (1)',
      'another id: a row (2)',
      'an id: a row (3)',
    ])
    expect(answered.map(({ count }) => count)).toEqual([2, 1, 1])
    expect(asked).toEqual([KEY, OTHER, KEY])
  })

  it('know the generation of memory as it was before they left', () => {
    const { join } = open()
    expect([join(KEY), join(OTHER), join(KEY)].map(({ generation }) => generation)).toEqual([101, 102, 101])
  })

  it('can be had alone, too', async () => {
    const { asked, pending, looks, join, answer } = open()
    const [joined, alone] = [join(KEY), looks.alone(KEY, 'an id', 7)]
    expect(alone).not.toBe(joined)
    expect([alone.startedAt, asked]).toEqual([7, [KEY, KEY]])
    pending.add(KEY)
    expect(await answer(looks.alone(KEY, 'an id', 8))).toContain('not asked')
    expect(asked).toHaveLength(2)
  })

  it('began when the last of their readers did', () => {
    const { join } = open()
    expect([KEY, OTHER, KEY].map((key) => join(key)).map(({ startedAt }) => startedAt)).toEqual([3, 2, 3])
  })

  it('are not shared by readers of a key whose fence is pending, nor by those who come when it no longer is', async () => {
    const { asked, pending, join, answer } = open()
    const before = join(KEY)
    pending.add(KEY)
    const meanwhile = [join(KEY), join(KEY)]
    pending.delete(KEY)
    expect(join(KEY), 'the last one joined the first').toBe(before)
    expect(new Set([before, ...meanwhile]).size).toBe(3)
    expect(asked, 'the cache is not asked for them').toEqual([KEY])
    expect(await Promise.all(meanwhile.map(answer))).toEqual(['an id: not asked (1)', 'an id: not asked (2)'])
  })

  it('are joined once more by whoever has them in hand, as if they had been asked for by their key', () => {
    const { store, pending, looks, join } = open()
    const look = join(KEY)
    join(OTHER)
    expect(looks.rejoin(look)).toBe(true)
    expect([look.startedAt, look.count], 'began when the last one did').toEqual([3, 2])
    pending.add(KEY)
    expect(looks.rejoin(look), 'the cache may hold what this process has overwritten').toBe(false)
    pending.delete(KEY)
    store.departures++
    expect(looks.rejoin(look), 'it has left').toBe(false)
    const next = join(KEY)
    expect([looks.rejoin(look), looks.rejoin(next)]).toEqual([false, true])
    expect(look.count).toBe(2)
  })

  it('let go of the replies of their batch, and of one another, once they are answered', async () => {
    const { store, looks, join } = open()
    const look = join(KEY)
    const others = new WeakRef(join(OTHER))
    const replies = new WeakRef(await look.replies)
    store.departures++
    looks.answer(look, await look.replies)
    await collectGarbage()
    expect(replies.deref(), 'bytes of the whole batch').toBeUndefined()
    expect(others.deref(), 'a look of the batch that has left').toBeUndefined()
    expect(looks.rejoin(look)).toBe(false)
  })
})
