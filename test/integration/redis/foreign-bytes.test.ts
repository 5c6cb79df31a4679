import { beforeAll, describe, expect, it } from 'vitest'
import { type CacheKey, guardKey } from '../../../src/core/key.js'
import { KeyLab } from '../../contract/store-lab.js'
import { openCluster, openStandalone, type RedisLab } from '../../support/redis-lab.js'

/** What somebody else may have put under one of our keys. */
const FOREIGN: Record<string, (client: RedisLab['client'], key: string) => Promise<unknown>> = {
  'an empty string': (client, key) => client.set(key, ''),
  'a short string': (client, key) => client.set(key, 'C1'),
  'a long string': (client, key) => client.set(key, 'x'.repeat(500)),
  'a string that is almost ours': (client, key) => client.set(key, `C1${'9'.repeat(79)}{}`),
  'a list': (client, key) => client.rpush(key, 'a', 'b'),
  'a set': (client, key) => client.sadd(key, 'a', 'b'),
  'a hash': (client, key) => client.hset(key, { a: '1', b: '2' }),
  'a sorted set': (client, key) => client.zadd(key, 1, 'a'),
  'a stream': (client, key) => client.xadd(key, '*', 'a', '1'),
}

/** Hashes under the guard's key that use the guard's own fields in ways of their own. */
const FOREIGN_GUARDS: Record<string, Record<string, string>> = {
  'a lease without an end': { l: 'somebody' },
  'a lease that ends at no time': { l: 'somebody', le: 'tomorrow' },
  'an end without a lease': { le: '9999999999999' },
  'a fence that is no number': { f: 'yesterday' },
  'transactions that are no numbers': { x: 'a b c', xh: 'z' },
  'half a failure': { ft: 'somebody' },
  'a number of another width': { f: '5', x: '7', xh: '3' },
}

describe.each([
  ['standalone', openStandalone],
  ['cluster', openCluster],
])('foreign bytes under our keys, %s', (_, open) => {
  let test: RedisLab
  beforeAll(() => {
    test = open()
  })

  /** Every operation answers, and afterwards an entry can be stored and fenced as if nothing had been there. */
  async function expectRecovery(lab: KeyLab): Promise<void> {
    await lab.read()
    await lab.fill('nobody', '1')
    await lab.release('nobody', 'UNKNOWN')
    expect(await lab.put('5', { replacesNewer: true }).catch(() => 'refused')).toMatch(/filled|fenced|refused/)
    await lab.fence('6', { xid: '800', rememberAlways: true })
    // The foreign guard is gone at the latest when it runs out or is evicted.
    await lab.evictGuard()
    expect(await lab.put('7', { replacesNewer: true })).toBe('filled')
    expect(await lab.text()).toBe('v7')
    expect(await lab.fence('8')).toBe('dropped')
    expect(await lab.read()).toBeNull()
  }

  it.each(Object.keys(FOREIGN))('%s as the entry is a miss that can be filled', async (name) => {
    const lab = new KeyLab(test)
    await FOREIGN[name]?.(test.client, lab.key)
    expect(await lab.put('5', { replacesNewer: true })).toBe('filled')
    expect(await lab.text()).toBe('v5')
  })

  it.each(Object.keys(FOREIGN))('%s as the entry, and every operation answers', async (name) => {
    const lab = new KeyLab(test)
    await FOREIGN[name]?.(test.client, lab.key)
    await lab.fence('4')
    await FOREIGN[name]?.(test.client, test.newKey())
    await expectRecovery(lab)
  })

  it.each(Object.keys(FOREIGN))('%s as the guard, and every operation answers', async (name) => {
    const lab = new KeyLab(test)
    await FOREIGN[name]?.(test.client, guardKey(lab.key))
    await expectRecovery(lab)
  })

  it.each(Object.keys(FOREIGN))('%s as the guard does not stop a fill', async (name) => {
    const lab = new KeyLab(test)
    await FOREIGN[name]?.(test.client, guardKey(lab.key))
    expect(await lab.put('5')).toBe('filled')
  })

  it.each(Object.keys(FOREIGN_GUARDS))('a hash with %s as the guard, and every operation answers', async (name) => {
    for (const act of [
      (lab: KeyLab) => lab.lease('a'),
      (lab: KeyLab) => lab.fill('somebody', '5'),
      (lab: KeyLab) => lab.fill('somebody', undefined, { loadedFrom: 'standby' }),
      (lab: KeyLab) => lab.release('somebody', 'UNKNOWN'),
      (lab: KeyLab) => lab.fence('5', { xid: '800' }),
      (lab: KeyLab) => lab.fence(null),
    ]) {
      const lab = new KeyLab(test)
      await test.client.hset(guardKey(lab.key), FOREIGN_GUARDS[name] as Record<string, string>)
      await act(lab)
      await expectRecovery(lab)
    }
  })

  it('answers a whole batch when one key of it holds something else', async () => {
    const labs = Array.from({ length: 4 }, () => new KeyLab(test))
    const keys = labs.map(({ key }) => key) as [CacheKey, CacheKey, CacheKey, CacheKey]
    await labs[0]?.put('1')
    await test.client.rpush(keys[1], 'a')
    await test.client.hset(keys[2], 'a', '1')
    await labs[3]?.put('4')
    expect((await test.store.read(keys)).map((bytes) => bytes !== null)).toEqual([true, false, false, true])
  })

  it('leaves no guard behind that never ends', async () => {
    const lab = new KeyLab(test)
    await test.client.hset(guardKey(lab.key), { a: '1' })
    await lab.lease('a', { leaseMs: 1_000 })
    expect(await test.client.pttl(guardKey(lab.key))).toBeGreaterThan(0)
  })
})
