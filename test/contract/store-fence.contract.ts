import { beforeEach, describe, expect, it } from 'vitest'
import { envelope } from '../../src/adapters/codec/envelope.js'
import { LEASE_KEEP_MS } from '../../src/core/ports.js'
import { KeyLab, newEntry, type StoreUnderTest, snapshotFrom } from './store-lab.js'

/** The part of the store's contract that fences are about. */
export function fenceContract(opened: () => StoreUnderTest): void {
  let lab: KeyLab
  beforeEach(() => {
    lab = new KeyLab(opened())
  })
  /** Fills as a standby would: only the fences decide whether it lags behind. */
  const fillFromStandby = async (version: string | undefined, xmin = 1) => {
    await lab.leaseOver('standby')
    return lab.fill('standby', version, { loadedFrom: 'standby', snapshot: snapshotFrom(xmin) })
  }

  describe('fence', () => {
    it('finds nothing to do where nothing is, and remembers nothing', async () => {
      expect(await lab.fence('5')).toBe('absent')
      expect(await fillFromStandby('4')).toBe('filled')
    })

    it('is remembered all the same when asked to', async () => {
      expect(await lab.fence('5', { rememberAlways: true })).toBe('dropped')
      expect(await fillFromStandby('4')).toBe('fenced')
      expect(await fillFromStandby('5')).toBe('filled')
    })

    it('drops what is older', async () => {
      await lab.put('4')
      expect(await lab.fence('5')).toBe('dropped')
      expect(await lab.read()).toBeNull()
    })

    it('revokes a fill under way', async () => {
      await lab.lease('a')
      expect(await lab.fence('5')).toBe('dropped')
      expect(await lab.fill('a', '4')).toBe('lease-lost')
      expect(await lab.read()).toBeNull()
    })

    it('keeps what is as new, and a refresh that began beside it', async () => {
      await lab.put('5')
      await lab.leaseOver('refresh')
      expect(await lab.fence('5')).toBe('kept')
      expect(await lab.fence('4')).toBe('kept')
      expect(await lab.fill('refresh', '6')).toBe('filled')
    })

    it.each([
      ['9007199254740992', '9007199254740993'],
      ['9223372036854775806', '9223372036854775807'],
      ['999', '1000'],
    ])('tells %s from %s', async (lower, higher) => {
      await lab.put(lower)
      expect(await lab.fence(higher)).toBe('dropped')
      await lab.put(higher)
      expect(await lab.fence(lower)).toBe('kept')
      expect(await lab.fence(higher)).toBe('kept')
    })

    it('without a version drops whatever is there, and revokes', async () => {
      await lab.put('9223372036854775807')
      await lab.leaseOver('a')
      expect(await lab.fence(null)).toBe('dropped')
      expect(await lab.read()).toBeNull()
      expect(await lab.fill('a', '9223372036854775807')).toBe('lease-lost')
    })

    it('drops an absence and a lookup whatever their version: neither can prove to be newer', async () => {
      await lab.put(undefined)
      expect(await lab.fence('1')).toBe('dropped')
      await lab.put('9', { kind: 'lookup' })
      expect(await lab.fence('1')).toBe('dropped')
      expect(await lab.read()).toBeNull()
    })

    it('may come twice, late and in any order: the highest counts', async () => {
      await lab.lease('a')
      for (const version of ['5', '7', '6', '7', '1']) await lab.fence(version)
      expect(await fillFromStandby('6')).toBe('fenced')
      expect(await fillFromStandby('7')).toBe('filled')
      expect(await lab.fence('6')).toBe('kept')
    })

    it('is forgotten when its time is over', async () => {
      await lab.fence('5', { rememberAlways: true, keepMs: 30 })
      await lab.pass(50)
      expect(await fillFromStandby('4')).toBe('filled')
    })

    it('is forgotten when its time is over, also where leases keep its guard', async () => {
      await lab.fence('5', { xid: '800', rememberAlways: true, keepMs: 30 })
      await lab.lease('a')
      await lab.pass(50)
      expect(await lab.fill('a', '4'), 'a table that was restored is cached again').toBe('filled')
      await lab.fence('3', { xid: '700', keepMs: 5_000 })
      expect(await fillFromStandby('3'), 'the old fence does not come back with a new one').toBe('older')
      await lab.evictEntry()
      expect(await fillFromStandby('3')).toBe('filled')
      expect(await fillFromStandby(undefined, 701)).toBe('filled')
    })

    it('is not forgotten sooner because another one is shorter', async () => {
      await lab.fence('5', { rememberAlways: true, keepMs: 5_000 })
      await lab.fence('4', { rememberAlways: true, keepMs: 20 })
      await lab.pass(40)
      expect(await fillFromStandby('4')).toBe('fenced')
    })

    it('that has nothing to be remembered keeps what is beside it no longer', async () => {
      const { store } = opened()
      await lab.lease('a')
      await lab.release('a', '57014')
      expect(await lab.fence(null, { keepMs: 3 * LEASE_KEEP_MS })).toBe('dropped')
      expect((await store.inspect(lab.key)).failure).toBe('57014')
      await lab.pass(2 * LEASE_KEEP_MS)
      expect((await store.inspect(lab.key)).failure).toBeNull()
    })

    it('that is remembered keeps it as long as itself', async () => {
      const { store } = opened()
      await lab.lease('a')
      await lab.release('a', '57014')
      await lab.fence('5', { keepMs: 3 * LEASE_KEEP_MS })
      await lab.pass(2 * LEASE_KEEP_MS)
      expect(await store.inspect(lab.key)).toMatchObject({ fence: '5', failure: '57014' })
      await lab.pass(2 * LEASE_KEEP_MS)
      expect(await store.inspect(lab.key)).toMatchObject({ fence: null, failure: null })
    })

    it('takes a time that is no whole number', async () => {
      await lab.put('4')
      expect(await lab.fence('5', { keepMs: 5_000.5 })).toBe('dropped')
    })

    it('refuses fills of an older version also after its entry was evicted', async () => {
      await lab.put('4')
      await lab.fence('5')
      expect(await fillFromStandby('4')).toBe('fenced')
    })

    it('answers a batch in order', async () => {
      const { store } = opened()
      const other = new KeyLab(opened())
      await lab.put('4')
      await other.put('5')
      const keys = [lab.key, other.key, opened().newKey()]
      const common = { xid: null, keepMs: 5_000, rememberAlways: false, replacement: null }
      const version = '5' as never
      expect(await store.fence(keys.map((key) => ({ key, version, ...common })))).toEqual(['dropped', 'kept', 'absent'])
    })

    it('answers a large batch in order, each key by what it holds and what is asked of it', async () => {
      const { store } = opened()
      const labs = Array.from({ length: 40 }, () => new KeyLab(opened()))
      for (const [at, each] of labs.entries()) if (at % 4 !== 0) await each.put(String(100 + at))
      const sealed = (version: string) => envelope.seal(newEntry('row', version, `new ${version}`))
      const outcomes = await store.fence(
        labs.map(({ key }, at) => ({
          key,
          version: String(at % 4 === 1 ? 50 + at : 150 + at) as never,
          xid: at % 2 === 0 ? String(at + 1) : null,
          keepMs: 5_000 + at,
          rememberAlways: false,
          replacement: at % 4 === 3 ? { sealed: sealed(String(150 + at)), keepMs: 9_000 } : null,
        })),
      )
      expect(outcomes).toEqual(labs.map((_, at) => ['absent', 'kept', 'dropped', 'replaced'][at % 4]))
      const texts = await Promise.all(labs.map((each) => each.text()))
      expect(texts).toEqual(labs.map((_, at) => [null, `v${100 + at}`, null, `new ${150 + at}`][at % 4]))
    })
  })

  describe('fence with the new row', () => {
    const replacement = { sealed: envelope.seal(newEntry('row', '5', 'five')), keepMs: 5_000 }

    it('puts it in place of an older one, and revokes a fill of the older', async () => {
      await lab.put('4')
      await lab.leaseOver('a')
      expect(await lab.fence('5', { replacement })).toBe('replaced')
      expect(await lab.text()).toBe('five')
      expect(await lab.fill('a', '4')).toBe('lease-lost')
    })

    it('never puts it where nothing is: a fill of something newer may have been evicted', async () => {
      expect(await lab.fence('5', { replacement })).toBe('absent')
      await lab.lease('a')
      expect(await lab.fence('5', { replacement })).toBe('dropped')
      expect(await lab.read()).toBeNull()
    })

    it('never puts it over something as new, nor over an absence', async () => {
      await lab.put('6')
      expect(await lab.fence('5', { replacement })).toBe('kept')
      expect(await lab.text()).toBe('v6')
      await lab.put(undefined)
      expect(await lab.fence('5', { replacement })).toBe('dropped')
      expect(await lab.read()).toBeNull()
    })
  })

  describe('a fill from a standby', () => {
    it('that is refused keeps its lease, so that the primary can be asked under it', async () => {
      await lab.put('4')
      await lab.fence('5', { rememberAlways: true })
      expect(await fillFromStandby('4')).toBe('fenced')
      expect(await lab.fill('standby', '5')).toBe('filled')
      expect(await lab.text()).toBe('v5')
    })

    it('that something newer is stored of keeps it as well, and a fence still revokes it', async () => {
      await lab.put('5')
      expect(await fillFromStandby('4')).toBe('older')
      await lab.fence('6')
      expect(await lab.fill('standby', '6')).toBe('lease-lost')
    })

    it('uses its lease up', async () => {
      expect(await fillFromStandby('4')).toBe('filled')
      expect(await lab.fill('standby', '5')).toBe('lease-lost')
    })

    it('is refused when its time is over, also where no fence is left', async () => {
      const { store } = opened()
      await lab.lease('a')
      const standby = { loadedFrom: 'standby', snapshot: snapshotFrom(1_000) } as const
      expect(await lab.fill('a', '4', { ...standby, untilMs: store.nowMs() - 500 })).toBe('fenced')
      expect(await lab.fill('a', '4', { ...standby, untilMs: store.nowMs() + 5_000 })).toBe('filled')
    })

    it('has seen a write that has no version only where that lies below its snapshot', async () => {
      await lab.fence(null, { xid: '801', rememberAlways: true })
      await lab.fence(null, { xid: '800', rememberAlways: true })
      expect(await fillFromStandby('4', 801)).toBe('fenced')
      expect(await fillFromStandby('4', 802)).toBe('filled')
    })

    it('cannot have seen a write of which nothing is known', async () => {
      await lab.fence(null, { rememberAlways: true, keepMs: 60 })
      expect(await fillFromStandby('4', 1_000_000)).toBe('fenced')
      expect(await fillFromStandby(undefined, 1_000_000)).toBe('fenced')
      await lab.pass(80)
      expect(await fillFromStandby('4', 1_000_000)).toBe('filled')
    })
  })

  describe('fence by transaction, where a version cannot order things', () => {
    it('refuses an absence from a standby that may not have seen the writer', async () => {
      await lab.fence(null, { xid: '800', rememberAlways: true })
      expect(await fillFromStandby(undefined, 800)).toBe('fenced')
      expect(await fillFromStandby(undefined, 801)).toBe('filled')
    })

    it('compares transaction ids as numbers, also beyond what a double holds', async () => {
      await lab.fence(null, { xid: '999', rememberAlways: true })
      expect(await fillFromStandby(undefined, 1_000)).toBe('filled')
      await lab.fence(null, { xid: '9007199254740993' })
      await lab.leaseOver('a')
      const snapshot = '9007199254740993:9007199254740993:'
      expect(await lab.fill('a', undefined, { loadedFrom: 'standby', snapshot })).toBe('fenced')
    })

    it('remembers every writer, and of more than sixteen at least the highest', async () => {
      for (const xid of ['950', '801', '802']) await lab.fence(null, { xid, rememberAlways: true })
      expect(await fillFromStandby(undefined, 900)).toBe('fenced')
      for (let xid = 803; xid <= 820; xid++) await lab.fence(null, { xid: String(xid) })
      expect(await fillFromStandby(undefined, 900), '950 no longer fits, but is not forgotten').toBe('fenced')
      expect(await fillFromStandby(undefined, 951)).toBe('filled')
    })

    it('counts a writer that is told of twice once', async () => {
      await lab.fence(null, { xid: '950', rememberAlways: true })
      for (let times = 0; times < 20; times++) await lab.fence(null, { xid: '801' })
      expect(await fillFromStandby(undefined, 900)).toBe('fenced')
    })

    it('refuses an absence from a standby where only a version is known', async () => {
      await lab.fence('5', { rememberAlways: true })
      expect(await fillFromStandby(undefined, 1_000)).toBe('fenced')
    })

    it('does not ask it of the primary: the lease has shown that the load began later', async () => {
      await lab.fence('5', { xid: '800', rememberAlways: true })
      await lab.lease('a')
      expect(await lab.fill('a', undefined, { snapshot: snapshotFrom(1) })).toBe('filled')
    })
  })
}
