import clusterKeySlot from 'cluster-key-slot'
import { describe, expect, it } from 'vitest'
import { seededChance } from '../../../bench/simulator/seeded-chance.js'
import { type CacheKey, cacheKey, copyKey, guardKey, keyPrefix } from '../../../src/core/key.js'
import { copySuffix, copySuffixes, keySlot } from '../../../src/policy/slot-copies.js'

const products = keyPrefix('shop', 'row', 'public.products')
const copies = (key: CacheKey, count: number) => copySuffixes(key, count).map((suffix) => copyKey(key, suffix))

describe('keySlot', () => {
  it('agrees with cluster-key-slot', () => {
    for (const key of ['', 'a', '{}x', 'a{b}c{d}', '{a', 'a}b{', '{{a}}', 'schlüssel', 'ключ{тег}', '鍵🔑']) {
      expect(keySlot(key), key).toBe(clusterKeySlot(key))
    }
    const chance = seededChance(1)
    for (let i = 0; i < 2_000; i++) {
      const key = `${chance.token()}${i % 3 ? `{${chance.token()}}` : ''}`
      expect(keySlot(key)).toBe(clusterKeySlot(key))
    }
  })

  it('hashes the whole key after an empty tag, as CLUSTER KEYSLOT does and cluster-key-slot does not', () => {
    expect(keySlot('foo{}{bar}')).toBe(8_363)
    expect(keySlot('{}{a}')).toBe(13_650)
  })

  it('is CRC-16/XMODEM: the check value of its specification', () => {
    expect(keySlot('123456789')).toBe(0x31c3 % 16_384)
  })
})

describe('copySuffixes', () => {
  it('puts copy i into the i-th of n equal ranges of the slots', () => {
    for (const count of [1, 2, 3, 5, 6, 12, 16]) {
      for (let id = 0; id < 50; id++) {
        copies(cacheKey(products, [String(id)]), count).forEach((copy, i) => {
          const slot = clusterKeySlot(copy)
          expect(slot).toBeGreaterThanOrEqual((i * 16_384) / count)
          expect(slot).toBeLessThan(((i + 1) * 16_384) / count)
        })
      }
    }
  })

  it('writes :slot<copy>.<number> into the hash tag, without braces around a number', () => {
    const key = cacheKey(products, ['42'])
    copySuffixes(key, 12).forEach((suffix, copy) => {
      expect(suffix).toMatch(new RegExp(`^:slot${copy}\\.\\d+$`))
    })
    expect(copyKey(key, ':slot0.3')).toBe('shop:{public.products/42:slot0.3}')
  })

  it('takes the least number that falls into the range', () => {
    const key = cacheKey(products, ['42'])
    copySuffixes(key, 6).forEach((suffix, copy) => {
      const [stem, number] = suffix.split('.') as [string, string]
      for (let smaller = 0; smaller < Number(number); smaller++) {
        expect(Math.floor((clusterKeySlot(copyKey(key, `${stem}.${smaller}`)) * 6) / 16_384)).not.toBe(copy)
      }
    })
  })

  it('keeps a copy and its guard in one slot', () => {
    for (const copy of copies(cacheKey(products, ['42']), 6)) {
      expect(keySlot(guardKey(copy))).toBe(keySlot(copy))
    }
  })

  it('gives no key that a row could have', () => {
    const key = cacheKey(products, ['42'])
    const [suffix] = copySuffixes(key, 2) as [string]
    expect(cacheKey(products, [`42${suffix}`])).not.toBe(copyKey(key, suffix))
  })

  it('is the same each time, and another for another number of copies', () => {
    const key = cacheKey(products, ['42'])
    expect(copySuffixes(key, 6)).toEqual(copySuffixes(key, 6))
    expect(copySuffixes(key, 6).slice(0, 2)).not.toEqual(copySuffixes(key, 2))
    expect(copySuffixes(key, 6).map((_, copy) => copySuffix(key, 6, copy))).toEqual(copySuffixes(key, 6))
  })

  it('spreads n copies over n contiguous shards, one each', () => {
    for (const shards of [3, 6, 12]) {
      let reached = 0
      for (let id = 0; id < 100; id++) {
        const hit = copies(cacheKey(products, [String(id)]), shards).map((copy) =>
          Math.floor((keySlot(copy) * shards) / 16_384),
        )
        reached += new Set(hit).size
      }
      expect(reached / 100).toBe(shards)
    }
  })
})
