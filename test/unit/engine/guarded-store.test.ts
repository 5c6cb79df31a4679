import { describe, expect, it } from 'vitest'
import { MemoryStore } from '../../../src/adapters/memory/memory-store.js'
import { CacheUnavailableError, isCorralError } from '../../../src/core/errors.js'
import type { CacheKey } from '../../../src/core/key.js'
import { PartAnswer } from '../../../src/core/part-answer.js'
import { GuardedStore } from '../../../src/engine/guarded-store.js'
import { ShardBreakers } from '../../../src/engine/shard-breakers.js'
import { type Deferred, deferred } from '../../support/deferred.js'
import { ManualClock, settle } from '../../support/manual-clock.js'
import { PausableStore } from '../../support/pausable-store.js'
import { Recorder } from '../../support/recorder.js'

const KEY = 'shop:{public.products/42}' as CacheKey
const LEASE = { key: KEY, token: 'a', leaseMs: 1_000, seen: null, waitedFor: null }

function open({ giveUpMs = 50 } = {}) {
  const clock = new ManualClock()
  const events = new Recorder()
  const memory = new MemoryStore({ clock, maxBytes: 10_000 })
  const cache = new PausableStore(memory, clock)
  const breakers = new ShardBreakers({
    shards: cache.shards,
    ...{ clock, failures: 3, probeMs: 100 },
    onChange: (shard, state) => events.emit({ type: 'breaker', shard, state }),
    onVanish: () => {},
  })
  const limits = { deadlineMs: 50, fenceDeadlineMs: 200, giveUpMs }
  const store = new GuardedStore({ store: cache, clock, breakers, limits, emit: events.emit })
  return { clock, events, memory, cache, store }
}

describe('GuardedStore', () => {
  it('passes answers on, and leaves no timer behind', async () => {
    const { store, clock } = open()
    expect(await store.read([KEY])).toEqual([null])
    expect(await store.lease([LEASE])).toEqual([{ outcome: 'leased' }])
    expect(clock.timers).toBe(0)
  })

  it('turns every failure into one error, with what happened as its cause', async () => {
    const { store, cache, clock, events } = open()
    cache.breakNext('read', 'fail')
    const error = await store.read([KEY]).catch((reason: unknown) => reason)
    expect(isCorralError(error, 'CACHE_UNAVAILABLE')).toBe(true)
    expect((error as Error).cause).toMatchObject({ message: 'the store was told to fail read' })
    expect(events.of('cache.unavailable')).toMatchObject([{ operation: 'read' }])
    expect(clock.timers).toBe(0)
  })

  it('gives up after its deadline, and not sooner', async () => {
    const { store, cache, clock } = open()
    cache.breakNext('read', { delayMs: 49 })
    const inTime = store.read([KEY])
    await clock.advance(49)
    expect(await inTime).toEqual([null])

    cache.breakNext('read', 'hang')
    let failed = false
    const late = store.read([KEY]).catch(() => {
      failed = true
    })
    await clock.advance(49)
    expect(failed).toBe(false)
    await clock.advance(1)
    await late
    expect(failed).toBe(true)
  })

  it('drops an answer that comes after the deadline; what it did at the store stays done', async () => {
    const { store, cache, clock, memory } = open()
    cache.breakNext('lease', { delayMs: 80 })
    const lease = store.lease([LEASE]).catch(() => 'unavailable')
    await clock.advance(50)
    expect(await lease).toBe('unavailable')
    await clock.advance(30)
    expect((await memory.lease([{ ...LEASE, token: 'b' }]))[0], 'as after a crash of this process').toMatchObject({
      outcome: 'held',
      token: 'a',
    })
  })

  it('goes on asking a cache that answers late, and stops asking one that does not answer at all', async () => {
    const { store, cache, clock } = open({ giveUpMs: 500 })
    for (let i = 0; i < 6; i++) {
      cache.breakNext('read', { delayMs: 400 })
      void store.read([KEY]).catch(() => undefined)
      await clock.advance(400)
    }
    expect(store.breakerState, 'six late answers').toBe('closed')

    cache.breakAlways('hang')
    for (let i = 0; i < 3; i++) void store.read([KEY]).catch(() => undefined)
    await clock.advance(499)
    expect(store.breakerState).toBe('closed')
    await clock.advance(1)
    expect(store.breakerState, 'three that never came').toBe('open')
    expect(clock.timers).toBe(0)
  })

  it('counts a call once that it had given up before it failed', async () => {
    const { store, memory, clock } = open({ giveUpMs: 500 })
    const calls: Deferred<never>[] = []
    memory.read = () => {
      const call = deferred<never>()
      calls.push(call)
      return call.promise
    }
    for (let i = 0; i < 2; i++) void store.read([KEY]).catch(() => undefined)
    await clock.advance(500)
    for (const call of calls) call.reject(new Error('the connection is gone'))
    await clock.advance(0)
    expect(store.breakerState, 'two of three').toBe('closed')
  })

  it.each<[string, (call: Deferred<null[]>) => void]>([
    ['succeeds', (call) => call.resolve([null])],
    ['fails', (call) => call.reject(new Error('the connection is gone'))],
    ['is given up', () => {}],
  ])('hears of its probe how the cache is, and not of a call begun before that %s meanwhile', async (_, end) => {
    const { store, memory, clock } = open({ giveUpMs: 150 })
    const calls: Deferred<null[]>[] = []
    memory.read = () => {
      const call = deferred<null[]>()
      calls.push(call)
      return call.promise
    }
    const begin = async () => {
      void store.read([KEY]).catch(() => undefined)
      await settle()
      return calls.at(-1) as Deferred<null[]>
    }
    const old = await begin()
    for (let i = 0; i < 3; i++) (await begin()).reject(new Error('the connection is gone'))
    await clock.advance(100)
    const probe = await begin()
    expect(store.breakerState).toBe('half-open')
    end(old)
    await clock.advance(50)
    expect(store.breakerState).toBe('half-open')
    await expect(store.read([KEY])).rejects.toThrow('did not reach the cache')
    probe.resolve([null])
    await settle()
    expect(store.breakerState).toBe('closed')
  })

  it('hands on what a shard serves of what it was asked, and why not the rest, and never leaves it alone for that', async () => {
    const { store, memory, events } = open()
    const other = 'shop:{public.products/43}' as CacheKey
    const refused = (operation: string) => new CacheUnavailableError(operation, new Error('TRYAGAIN later'))
    const refuse = (operation: string, reply: unknown) => async (requests: readonly unknown[]) => {
      throw new PartAnswer(requests.map((_, at) => (at === 0 ? refused(operation) : reply)))
    }
    const bytes = Buffer.from('bytes')
    Object.assign(memory, {
      read: refuse('read', bytes),
      lease: refuse('lease', { outcome: 'leased' }),
      fence: refuse('fence', 'dropped'),
    })
    const fence = { version: null, xid: null, keepMs: 1_000, rememberAlways: false, replacement: null }
    const code = { code: 'CACHE_UNAVAILABLE' }
    for (let round = 0; round < 5; round++) {
      expect(await store.readParts([KEY, other])).toMatchObject([code, bytes])
      expect(await store.lease([LEASE, { ...LEASE, key: other }])).toMatchObject([code, { outcome: 'leased' }])
      expect(await store.fence([KEY, other].map((key) => ({ ...fence, key })))).toMatchObject([code, 'dropped'])
      await expect(store.read([KEY, other]), 'what makes sense as a whole').rejects.toMatchObject(code)
      await expect(store.fence([{ ...fence, key: KEY }]), 'nothing has arrived').rejects.toMatchObject(code)
    }
    expect(store.breakerState).toBe('closed')
    expect(String(events.of('cache.unavailable')[0]?.error)).toContain('1 of 2 were refused: Error: TRYAGAIN later')
  })

  it('gives a fence more time than a read', async () => {
    const { store, cache, clock } = open({ giveUpMs: 500 })
    cache.breakNext('fence', { delayMs: 199 })
    const fence = store.fence([
      { key: KEY, version: null, xid: null, keepMs: 1_000, rememberAlways: false, replacement: null },
    ])
    await clock.advance(199)
    expect(await fence).toEqual(['absent'])
  })

  it('asks nothing any more after some failures in a row, until a probe succeeds', async () => {
    const { store, cache, clock, events } = open()
    cache.breakAlways('fail')
    for (let i = 0; i < 5; i++) await store.read([KEY]).catch(() => undefined)
    expect(cache.calls).toHaveLength(3)
    expect(store.breakerState).toBe('open')
    await clock.advance(100)
    cache.heal()
    const probe = cache.pause('before read')
    const first = store.read([KEY])
    await probe.reached
    await expect(store.read([KEY]), 'one probe at a time').rejects.toThrow('did not reach the cache')
    probe.resume()
    await first
    expect(await store.read([KEY])).toEqual([null])
    expect(events.of('breaker').map(({ state }) => state)).toEqual(['open', 'half-open', 'closed'])
  })

  it('lets the next probe try when one is swallowed', async () => {
    const { store, cache, clock } = open()
    cache.breakAlways('hang')
    for (let i = 0; i < 3; i++) void store.read([KEY]).catch(() => undefined)
    await clock.advance(50)
    await clock.advance(100)
    void store.read([KEY]).catch(() => undefined)
    await clock.advance(50)
    cache.heal()
    await clock.advance(200)
    expect(await store.read([KEY])).toEqual([null])
  })

  it('guards every operation', async () => {
    const { store, cache } = open()
    const fence = { key: KEY, version: null, xid: null, keepMs: 1, rememberAlways: false, replacement: null }
    const calls = [
      () => store.read([KEY]),
      () => store.lease([LEASE]),
      () => store.fill([]),
      () => store.release([]),
      () => store.fence([fence]),
      () => store.mark([]),
    ]
    for (const call of calls) {
      cache.heal()
      await store.read([KEY])
      cache.breakAlways('fail')
      await expect(call()).rejects.toMatchObject({ code: 'CACHE_UNAVAILABLE' })
    }
    await settle()
  })
})
