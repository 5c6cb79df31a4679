import { describe, expect, it } from 'vitest'
import { UseOrder } from '../../../src/engine/use-order.js'

/** All places in use, those used longest ago first; frees them. */
function drain(order: UseOrder): number[] {
  const places: number[] = []
  for (let place = order.oldest; place !== undefined; place = order.oldest) {
    places.push(place)
    order.free(place)
  }
  return places
}

describe('UseOrder', () => {
  it('gives places from 1, the oldest first', () => {
    const order = new UseOrder(3)
    expect(order.oldest).toBeUndefined()
    expect([order.take(), order.take(), order.take()]).toEqual([1, 2, 3])
    expect(() => order.take()).toThrow('all 3 places are in use')
    expect(drain(order)).toEqual([1, 2, 3])
  })

  it.each([
    [1, [2, 3, 1]],
    [2, [1, 3, 2]],
    [3, [1, 2, 3]],
  ])('a use of %i puts it last', (used, left) => {
    const order = new UseOrder(3)
    for (let at = 0; at < 3; at++) order.take()
    order.touch(used)
    expect(drain(order)).toEqual(left)
  })

  // Two widths of links, and more places than there is room for at first.
  it.each([300, 70_000])('does as a list does: %i places', (most) => {
    const order = new UseOrder(most)
    const list: number[] = []
    let seed = 1
    const below = (end: number) => {
      seed = (seed * 48_271) % 2_147_483_647
      return seed % end
    }
    for (let step = 0; step < 5_000; step++) {
      const at = below(list.length || 1)
      const what = below(10)
      if (list.length < most && (what < 5 || list.length === 0)) {
        const place = order.take()
        expect(list).not.toContain(place)
        expect(order.capacity).toBeGreaterThan(place)
        list.push(place)
      } else {
        const [place] = list.splice(at, 1) as [number]
        if (what < 8) {
          order.touch(place)
          list.push(place)
        } else order.free(place)
      }
      expect(order.oldest).toBe(list[0])
    }
    expect(drain(order)).toEqual(list)
  })

  it('has every place up to its bound', () => {
    const order = new UseOrder(65_535)
    const places = Array.from({ length: 65_535 }, () => order.take())
    expect(places.at(-1)).toBe(65_535)
    expect(order.capacity).toBe(65_536)
    expect(drain(order)).toEqual(places)
  })
})
