import { describe, expect, it } from 'vitest'
import { cacheKey, copyKey, keyPrefix } from '../../../src/core/key.js'
import { HotKeys } from '../../../src/engine/hot-keys.js'
import { copySuffixes, keySlot } from '../../../src/policy/slot-copies.js'
import { ManualClock } from '../../support/manual-clock.js'

const RULES = { counters: 16, share: 0.05, perSecond: 100, cooldownMs: 30_000 }
const products = keyPrefix('shop', 'row', 'public.products')
const users = keyPrefix('shop', 'row', 'public.users')
const key = (id: string, prefix = products) => cacheKey(prefix, [id])

function open(token = 'process') {
  const clock = new ManualClock()
  const hotKeys = new HotKeys({ clock, rules: RULES, token })
  hotKeys.register({ prefix: products, entity: 'public.products', copies: 6 })
  /** `times` reads of each second, for `seconds`. */
  const read = async (seconds: number, times: number, one: () => void) => {
    for (let second = 0; second < seconds; second++) {
      for (let at = 0; at < times; at++) one()
      await clock.advance(1_000)
    }
  }
  return { clock, hotKeys, read }
}

describe('HotKeys', () => {
  it('leads reads of a key to one of its copies once it is hot, always to the same one', async () => {
    const { hotKeys, read } = open()
    expect(hotKeys.copyFor(key('42'), 6)).toBeUndefined()
    await read(4, 200, () => hotKeys.copyFor(key('42'), 6))
    const copy = hotKeys.copyFor(key('42'), 6)
    expect(copy).toBe(copyKey(key('42'), copySuffixes(key('42'), 6)[keySlot('process') % 6] as string))
    expect(hotKeys.copyFor(key('42'), 6)).toBe(copy)
    expect(hotKeys.copyFor(key('7'), 6), 'another key').toBeUndefined()
  })

  it('spreads processes over all copies', async () => {
    const copies = new Set<string>()
    for (let process = 0; process < 100; process++) {
      const { hotKeys, read } = open(`process-${process}`)
      await read(3, 300, () => hotKeys.copyFor(key('42'), 6))
      copies.add(hotKeys.copyFor(key('42'), 6) as string)
    }
    expect(copies.size).toBe(6)
  })

  it('does not lead reads to copies that memory keeps away from Redis', async () => {
    const { hotKeys, read } = open()
    await read(5, 1_000, () => hotKeys.record(key('42')))
    expect(hotKeys.copyFor(key('42'), 6)).toBeUndefined()
    expect(hotKeys.report()[0]).toMatchObject({ key: key('42'), hotSinceMs: expect.any(Number), copies: 0 })
  })

  it('gives writers every copy, hot or not, of the tables that have copies', () => {
    const { hotKeys } = open()
    expect(hotKeys.copiesOf(key('42'))).toEqual(copySuffixes(key('42'), 6).map((it) => copyKey(key('42'), it)))
    expect(hotKeys.copiesOf(key('42', users))).toEqual([])
    expect(hotKeys.copiesOf(cacheKey(keyPrefix('shop', 'lookup', 'public.products', 'slug'), ['tea']))).toEqual([])
  })

  it('gives writers the copies of all repositories of a table', () => {
    const { hotKeys } = open()
    hotKeys.register({ prefix: products, entity: 'public.products', copies: 2 })
    hotKeys.register({ prefix: products, entity: 'public.products', copies: 6 })
    expect(hotKeys.copiesOf(key('42'))).toHaveLength(8)
  })

  it('reports keys with their rates, and since when they are hot', async () => {
    const { clock, hotKeys, read } = open()
    hotKeys.register({ prefix: users, entity: 'public.users', copies: 0 })
    const startedMs = clock.wallMs()
    await read(10, 100, () => {
      hotKeys.copyFor(key('42'), 6)
      hotKeys.copyFor(key('42'), 6)
      hotKeys.record(key('42'))
      hotKeys.record(key('ada', users))
    })
    const [first, second] = hotKeys.report()
    expect(first).toMatchObject({ key: key('42'), entity: 'public.products', errorPerSecond: 0, copies: 6 })
    expect(first?.perSecond).toBeCloseTo(300, -1)
    expect(first?.cachePerSecond).toBeCloseTo(200, -1)
    expect(first?.share).toBeCloseTo(0.75)
    expect(first?.hotSinceMs).toBe(startedMs + 1_000)
    expect(second).toMatchObject({ key: key('ada', users), entity: 'public.users', cachePerSecond: 0, copies: 0 })
    expect(second?.hotSinceMs, 'just below 100 a second').toBeUndefined()
    expect(hotKeys.report(1)).toHaveLength(1)
  })

  it('has nothing to say, and counts nothing, while no repository has asked', () => {
    const hotKeys = new HotKeys({ clock: new ManualClock(), rules: RULES, token: 'process' })
    hotKeys.record(key('42'))
    expect(hotKeys.copyFor(key('42'), 6)).toBeUndefined()
    expect(hotKeys.report()).toEqual([])
    expect(hotKeys.copiesOf(key('42'))).toEqual([])
  })
})
