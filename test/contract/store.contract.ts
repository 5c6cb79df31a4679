import { Buffer } from 'node:buffer'
import { beforeEach, describe, expect, it } from 'vitest'
import { envelope } from '../../src/adapters/codec/envelope.js'
import type { CacheKey } from '../../src/core/key.js'
import { SEEN_BYTES, WIRE } from '../../src/core/wire.js'
import { fenceContract } from './store-fence.contract.js'
import { filledAtMs, KeyLab, newEntry, payloadOf, type StoreUnderTest } from './store-lab.js'

/** Each pair differs by one where a double, or a comparison as text, would not notice or would get it wrong. */
const NEIGHBOURS = [
  ['999', '1000'],
  ['9007199254740992', '9007199254740993'],
  ['1795207238308940', '1795207238308941'],
  ['9223372036854775806', '9223372036854775807'],
] as const

/** What every `CacheStore` promises, run over each implementation. */
export function storeContract(name: string, open: () => StoreUnderTest | Promise<StoreUnderTest>): void {
  describe(`${name}: a cache store`, () => {
    let test: StoreUnderTest
    let lab: KeyLab
    beforeEach(async () => {
      test = await open()
      lab = new KeyLab(test)
    })

    describe('read', () => {
      it('answers each key in the order asked, duplicates and holes included', async () => {
        const other = new KeyLab(test)
        await lab.put('1', { text: 'one' })
        await other.put('2', { text: 'two' })
        const keys: CacheKey[] = [other.key, test.newKey(), lab.key, other.key]
        const found = await test.store.read(keys)
        expect(found.map(payloadOf)).toEqual(['two', null, 'one', 'two'])
      })

      it('gives the bytes as they were sealed, with the store time of the fill in front', async () => {
        const before = test.store.nowMs()
        await lab.put('7', { text: 'tea' })
        const bytes = Buffer.from((await lab.read()) as Uint8Array)
        const sealed = Buffer.from(envelope.seal(newEntry('row', '7', 'tea')))
        expect(bytes.toString('latin1', 0, WIRE.filledAt.at)).toBe(WIRE.magic)
        expect(bytes.subarray(WIRE.checksum.at).equals(sealed)).toBe(true)
        expect(Math.abs(filledAtMs(bytes) - before)).toBeLessThan(1_000)
      })

      it('forgets an entry when its time is over', async () => {
        await lab.put('1', { keepMs: 40 })
        expect(await lab.text()).toBe('v1')
        await lab.pass(60)
        expect(await lab.read()).toBeNull()
      })

      it('takes a lifetime that is no whole number', async () => {
        expect(await lab.put('1', { keepMs: 10_000.5 })).toBe('filled')
        expect(await lab.text()).toBe('v1')
      })
    })

    describe('lease', () => {
      it('goes to the first and tells the others who has it and for how long', async () => {
        expect(await lab.lease('a', { leaseMs: 5_000 })).toEqual({ outcome: 'leased' })
        const reply = await lab.lease('b')
        expect(reply).toMatchObject({ outcome: 'held', token: 'a' })
        const { remainingMs } = reply as { remainingMs: number }
        expect(remainingMs).toBeGreaterThan(4_000)
        expect(remainingMs).toBeLessThanOrEqual(5_000)
      })

      it('tells the others for how long it has been held, whatever a lease lasts', async () => {
        await lab.lease('a', { leaseMs: 5_000 })
        await lab.pass(60)
        const { heldForMs } = (await lab.lease('b', { leaseMs: 9_000 })) as { heldForMs: number }
        expect(heldForMs).toBeGreaterThanOrEqual(59)
        expect(heldForMs).toBeLessThan(1_000)
      })

      it('begins anew with each holder', async () => {
        await lab.lease('a', { leaseMs: 60 })
        await lab.pass(80)
        expect(await lab.lease('b', { leaseMs: 5_000 })).toEqual({ outcome: 'leased' })
        expect((await lab.lease('c')) as { heldForMs: number }).toMatchObject({ token: 'b' })
        expect(((await lab.lease('c')) as { heldForMs: number }).heldForMs).toBeLessThan(60)
      })

      it('may last any time, a long one and a part of a millisecond', async () => {
        expect(await lab.lease('a', { leaseMs: 10_000.3 })).toEqual({ outcome: 'leased' })
        expect(await lab.lease('b')).toMatchObject({ outcome: 'held', token: 'a' })
      })

      it('is not granted when something is stored that the caller has not seen, which is given to it instead', async () => {
        await lab.put('1', { text: 'new' })
        const reply = await lab.lease('b')
        expect(reply.outcome).toBe('changed')
        expect(payloadOf((reply as { bytes: Uint8Array }).bytes)).toBe('new')
        expect((await lab.leaseOver('c')).outcome, 'nothing was leased').toBe('leased')
      })

      it('is not granted when what the caller has seen is gone', async () => {
        await lab.put('1')
        const seen = await lab.read()
        await lab.fence('2')
        expect(await lab.lease('a', { seen })).toEqual({ outcome: 'changed', bytes: null })
        expect((await lab.lease('b')).outcome, 'nothing was leased').toBe('leased')
      })

      it('tells two fills apart by their first bytes alone', async () => {
        await lab.put('1')
        const seen = Buffer.from((await lab.read()) as Uint8Array)
        const start = Buffer.concat([seen.subarray(0, SEEN_BYTES), Buffer.from('whatever')])
        expect((await lab.lease('a', { seen: start })).outcome).toBe('leased')
        await lab.release('a')
        seen[SEEN_BYTES - 1] = (seen[SEEN_BYTES - 1] as number) ^ 1
        expect((await lab.lease('b', { seen })).outcome).toBe('changed')
      })

      it('may be taken over when it has run out, and then the former holder stores nothing', async () => {
        await lab.lease('a', { leaseMs: 30 })
        await lab.pass(50)
        expect((await lab.lease('b')).outcome).toBe('leased')
        expect(await lab.fill('a', '1')).toBe('lease-lost')
        expect(await lab.fill('b', '1')).toBe('filled')
      })

      it('is not revoked by time: until somebody takes it over its holder may fill', async () => {
        await lab.lease('a', { leaseMs: 30 })
        await lab.pass(50)
        expect(await lab.fill('a', '1')).toBe('filled')
      })

      it('is one for each key of a batch, answered in order', async () => {
        const keys = [lab.key, test.newKey(), test.newKey()]
        await lab.lease('first')
        const replies = await test.store.lease(
          keys.map((key, at) => ({ key, token: `t${at}`, leaseMs: 5_000, seen: null, waitedFor: null })),
        )
        expect(replies.map(({ outcome }) => outcome)).toEqual(['held', 'leased', 'leased'])
      })
    })

    describe('fill', () => {
      it('needs the lease: without one, with another token, or a second time nothing is stored', async () => {
        expect(await lab.fill('a', '1')).toBe('lease-lost')
        await lab.lease('a')
        expect(await lab.fill('b', '1')).toBe('lease-lost')
        expect(await lab.read()).toBeNull()
        expect(await lab.fill('a', '1'), "another's attempt took nothing away").toBe('filled')
        expect(await lab.fill('a', '2')).toBe('lease-lost')
        expect(await lab.text()).toBe('v1')
      })

      it('gives the lease up, whether it stores something or not', async () => {
        await lab.put('5')
        await lab.leaseOver('a')
        expect(await lab.fill('a', '4')).toBe('older')
        expect((await lab.leaseOver('b')).outcome).toBe('leased')
      })

      it.each(NEIGHBOURS)('never puts %s in place of %s, only the other way round', async (lower, higher) => {
        await lab.put(higher)
        expect(await lab.put(lower)).toBe('older')
        expect(await lab.text()).toBe(`v${higher}`)
        const other = new KeyLab(test)
        await other.put(lower)
        expect(await other.put(higher)).toBe('filled')
        expect(await other.text()).toBe(`v${higher}`)
      })

      it('replaces an entry of the same version: its time starts again', async () => {
        await lab.put('5', { text: 'first' })
        expect(await lab.put('5', { text: 'second' })).toBe('filled')
        expect(await lab.text()).toBe('second')
      })

      it('replaces a newer entry that was of no use to the caller', async () => {
        await lab.put('5')
        expect(await lab.put('4', { replacesNewer: true })).toBe('filled')
        expect(await lab.text()).toBe('v4')
      })

      it('puts an absence over a row, and a row over an absence: the lease has shown that it is newer', async () => {
        await lab.put('5')
        expect(await lab.put(undefined)).toBe('filled')
        expect(await lab.text()).toBe('')
        expect(await lab.put('6')).toBe('filled')
        expect(await lab.text()).toBe('v6')
      })
    })

    describe('eviction', () => {
      it('of the guard refuses the fill that was under way', async () => {
        await lab.lease('a')
        await lab.evictGuard()
        expect(await lab.fill('a', '1')).toBe('lease-lost')
        expect(await lab.read()).toBeNull()
      })

      it('of the guard after a fence refuses it too', async () => {
        await lab.lease('a')
        await lab.fence('2')
        await lab.evictGuard()
        expect(await lab.fill('a', '1')).toBe('lease-lost')
      })

      it('of the entry is a miss, and lets a fill under way go on', async () => {
        await lab.put('1')
        await lab.leaseOver('a')
        await lab.evictEntry()
        expect(await lab.read()).toBeNull()
        expect(await lab.fill('a', '2')).toBe('filled')
      })

      it('of the entry does not hide the fence beside it from a fill under way', async () => {
        await lab.put('1')
        await lab.leaseOver('a')
        await lab.evictEntry()
        expect(await lab.fence('2')).toBe('dropped')
        expect(await lab.fill('a', '1')).toBe('lease-lost')
      })
    })

    describe('release', () => {
      it('lets the next one in', async () => {
        await lab.lease('a')
        await lab.release('a')
        expect((await lab.lease('b')).outcome).toBe('leased')
        expect(await lab.fill('a', '1')).toBe('lease-lost')
      })

      it('leaves a lease alone that is not its own', async () => {
        await lab.lease('a')
        await lab.release('b', 'UNKNOWN')
        expect(await lab.lease('c', { waitedFor: 'b' })).toMatchObject({ outcome: 'held', token: 'a' })
      })

      it('tells of a failure those who waited for that token, and nobody else', async () => {
        await lab.lease('a')
        await lab.release('a', '57014')
        expect(await lab.lease('b', { waitedFor: 'a' })).toEqual({ outcome: 'failed', code: '57014' })
        expect(await lab.lease('c', { waitedFor: 'x' })).toEqual({ outcome: 'leased' })
        expect(await lab.lease('d', { waitedFor: 'a' }), 'also while the next one loads').toMatchObject({
          outcome: 'failed',
        })
      })

      it('tells of nothing when there was no failure', async () => {
        await lab.lease('a')
        await lab.release('a')
        expect((await lab.lease('b', { waitedFor: 'a' })).outcome).toBe('leased')
      })
    })

    fenceContract(() => test)

    describe('mark', () => {
      const mark = async (fresh: string, keepMs = 5_000) => {
        const [found] = await test.store.mark([{ key: lab.key, fresh, keepMs }])
        return found
      }

      it('is the first that was offered, for everybody', async () => {
        expect(await mark('a')).toBe('a')
        expect(await mark('b')).toBe('a')
      })

      it('is removed by a fence, and never comes back', async () => {
        await mark('a')
        expect(await lab.fence(null, { xid: '800' })).toBe('dropped')
        expect(await mark('b')).toBe('b')
        expect(await mark('a')).toBe('b')
      })

      it('lives at least as long as the last who asked wants', async () => {
        await mark('a', 40)
        await mark('b', 5_000)
        await mark('c', 10)
        await lab.pass(60)
        expect(await mark('d')).toBe('a')
      })

      it('is forgotten when its time is over, whole number or not', async () => {
        await mark('a', 30.5)
        await lab.pass(50)
        expect(await mark('b')).toBe('b')
      })

      it('is one for each key of a batch', async () => {
        await mark('a')
        const keys = [test.newKey(), lab.key]
        expect(await test.store.mark(keys.map((key) => ({ key, fresh: 'b', keepMs: 5_000 })))).toEqual(['b', 'a'])
      })
    })

    describe('inspect', () => {
      it('shows nothing where nothing is', async () => {
        const nothing = { bytes: null, remainingMs: null, fence: null, lease: null, failure: null }
        expect(await test.store.inspect(lab.key)).toEqual(nothing)
      })

      it('shows entry, fence, lease and failure, and changes none of them', async () => {
        await lab.put('7', { text: 'tea', keepMs: 8_000 })
        await lab.fence('6', { keepMs: 5_000 })
        await lab.leaseOver('a')
        await lab.release('a', '57014')
        await lab.leaseOver('b', { leaseMs: 4_000 })
        for (let i = 0; i < 2; i++) {
          const state = await test.store.inspect(lab.key)
          expect(payloadOf(state.bytes)).toBe('tea')
          expect(state.remainingMs).toBeGreaterThan(7_000)
          expect(state).toMatchObject({ fence: '6', lease: { token: 'b' }, failure: '57014' })
          expect(state.lease?.remainingMs).toBeGreaterThan(3_000)
          expect(state.lease?.remainingMs).toBeLessThanOrEqual(4_000)
        }
        expect(await lab.fill('b', '8')).toBe('filled')
      })

      it('shows no fence whose time is over', async () => {
        await lab.fence('6', { rememberAlways: true, keepMs: 30 })
        await lab.lease('a')
        await lab.pass(50)
        expect((await test.store.inspect(lab.key)).fence).toBeNull()
      })
    })

    it('knows the time of the store that stamps the entries', async () => {
      await lab.put('1')
      const filled = filledAtMs((await lab.read()) as Uint8Array)
      expect(Math.abs(test.store.nowMs() - filled)).toBeLessThan(200)
    })
  })
}
