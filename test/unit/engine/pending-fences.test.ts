import { describe, expect, it } from 'vitest'
import { MemoryStore } from '../../../src/adapters/memory/memory-store.js'
import type { CacheKey } from '../../../src/core/key.js'
import type { FenceOutcome, FenceRequest } from '../../../src/core/ports.js'
import type { Version } from '../../../src/core/version.js'
import { PendingFences } from '../../../src/engine/pending-fences.js'
import { ManualClock, settle } from '../../support/manual-clock.js'
import { PausableStore } from '../../support/pausable-store.js'
import { Recorder } from '../../support/recorder.js'

function fence(name: string, version: string | null = '5', xid: string | null = null): FenceRequest {
  return {
    key: name as CacheKey,
    version: version as Version | null,
    xid,
    keepMs: 60_000,
    rememberAlways: false,
    replacement: null,
  }
}

function open(maxKeys = 1_000) {
  const clock = new ManualClock()
  const events = new Recorder()
  const sent: FenceRequest[][] = []
  class Listening extends PausableStore {
    override fence(requests: readonly FenceRequest[]) {
      sent.push([...requests])
      return super.fence(requests)
    }
  }
  const cache = new Listening(new MemoryStore({ clock, maxBytes: 10_000 }), clock)
  const announced: string[] = []
  const pending = new PendingFences({
    store: cache,
    clock,
    maxKeys,
    emit: events.emit,
    announce: (changes) => announced.push(...changes.map(({ key }) => key)),
  })
  return { clock, events, cache, sent, announced, pending }
}

describe('PendingFences', () => {
  it('are sent again until the cache has them', async () => {
    const { pending, cache, clock, events, announced } = open()
    cache.breakAlways('fail')
    pending.add([fence('a'), fence('b')])
    expect(pending.has('a' as CacheKey)).toBe(true)
    await clock.advance(60_000)
    expect(pending.size).toBe(2)
    const tries = cache.count('fence')
    expect(tries, 'more and more rarely, but at least once a second').toBeGreaterThan(55)
    expect(tries).toBeLessThan(70)
    cache.heal()
    await clock.advance(1_000)
    expect(pending.size).toBe(0)
    expect(pending.has('a' as CacheKey)).toBe(false)
    expect(events.of('fence.settled')).toEqual([{ type: 'fence.settled', keys: 2, outcome: 'fenced' }])
    expect(announced, 'others may have read the old entry until now').toEqual(['a', 'b'])
    expect(clock.timers).toBe(0)
  })

  it('are one for each key: the highest version, or none at all', async () => {
    const { pending, sent } = open()
    pending.add([fence('a', '9'), fence('a', '10'), fence('a', '9')])
    pending.add([fence('b', '9'), fence('b', null), fence('b', '10')])
    await pending.flush()
    expect(sent.flat().map(({ key, version }) => [key, version])).toEqual([
      ['a', '10'],
      ['b', null],
    ])
  })

  it('and the highest transaction, which stands for all before it: of a standby, only what is below every one of them is new enough', async () => {
    const { pending, sent } = open()
    pending.add([fence('a', null, '900'), fence('a', null, '1100'), fence('a', null, '1000'), fence('a', null, null)])
    pending.add([fence('b', null, null), fence('b', null, '7')])
    await pending.flush()
    expect(sent.flat().map(({ key, xid }) => [key, xid])).toEqual([
      ['a', '1100'],
      ['b', '7'],
    ])
  })

  it('and as long and as surely remembered as any of them asks for', async () => {
    const { pending, sent } = open()
    pending.add([{ ...fence('a'), keepMs: 90_000, rememberAlways: true }, fence('a', '6')])
    await pending.flush()
    expect(sent.flat()).toMatchObject([{ version: '6', keepMs: 90_000, rememberAlways: true }])
  })

  it('give up the oldest when there are too many, and say so', () => {
    const { pending, events } = open(3)
    pending.add([fence('a'), fence('b'), fence('c')])
    pending.add([fence('a'), fence('d'), fence('e')])
    expect(['a', 'b', 'c', 'd', 'e'].filter((name) => pending.has(name as CacheKey))).toEqual(['a', 'd', 'e'])
    expect(events.of('fence.settled')).toEqual([{ type: 'fence.settled', keys: 2, outcome: 'dropped' }])
    pending.stop()
  })

  it('keep waiting when a newer one comes while they are being sent', async () => {
    const { pending, cache, sent, clock } = open()
    pending.add([fence('a', '5')])
    const pause = cache.pause('before fence')
    const flushing = pending.flush()
    await pause.reached
    pending.add([fence('a', '6')])
    pause.resume()
    await flushing
    expect(pending.has('a' as CacheKey), 'only version 5 has arrived').toBe(true)
    await clock.advance(50)
    expect(pending.size).toBe(0)
    expect(sent.flat().map(({ version }) => version)).toEqual(['5', '6'])
  })

  it('are flushed once, however many ask for it', async () => {
    const { pending, cache } = open()
    pending.add([fence('a')])
    await Promise.all([pending.flush(), pending.flush()])
    expect(cache.count('fence')).toBe(1)
  })

  it('are sent at once where there is reason to, and soon again if that fails', async () => {
    const { pending, cache, clock } = open()
    pending.retryNow()
    cache.breakAlways('fail')
    pending.add([fence('a')])
    await clock.advance(10_000)
    const tries = cache.count('fence')
    pending.retryNow()
    await settle()
    expect(cache.count('fence')).toBe(tries + 1)
    cache.heal()
    await clock.advance(100)
    expect(pending.size).toBe(0)
    expect(clock.timers).toBe(0)
    pending.retryNow()
    await settle()
    expect(cache.count('fence'), 'there is nothing to send').toBe(tries + 2)
  })

  it('also where a try is under way: it began before there was reason to', async () => {
    const clock = new ManualClock()
    const tries: { fail(): void; succeed(): void }[] = []
    const store = {
      fence: () =>
        new Promise<readonly FenceOutcome[]>((resolve, reject) => {
          tries.push({ fail: () => reject(new Error('away')), succeed: () => resolve(['dropped']) })
        }),
    }
    const pending = new PendingFences({ store, clock, maxKeys: 10, emit: () => {}, announce: () => {} })
    pending.add([fence('a')])
    void pending.flush()
    pending.retryNow()
    await settle()
    expect(tries.length, 'one at a time').toBe(1)
    tries[0]?.fail()
    await settle()
    tries[1]?.succeed()
    await settle()
    expect(pending.size).toBe(0)
    expect(clock.timers).toBe(0)
  })

  it('travel in batches, and those after a failed one wait for the next try', async () => {
    const { pending, cache, clock, sent } = open(10_000)
    pending.add(Array.from({ length: 600 }, (_, at) => fence(String(at))))
    cache.breakNext('fence', { delayMs: 0 })
    cache.breakNext('fence', 'fail')
    const flushing = pending.flush()
    await clock.advance(0)
    await flushing
    expect(sent.map((batch) => batch.length)).toEqual([256, 256])
    expect(pending.size).toBe(344)
    await clock.advance(1_000)
    expect(pending.size).toBe(0)
  })

  it('finish with a last try, also of those that came while another one was under way', async () => {
    const { pending, cache, clock, events, sent } = open()
    const pause = cache.pause('before fence')
    pending.add([fence('a')])
    const trying = pending.flush()
    await pause.reached
    pending.add([fence('b')])
    const finishing = pending.finish()
    pause.resume()
    await Promise.all([trying, finishing])
    expect(sent.flat().map(({ key }) => key)).toEqual(['a', 'b'])
    expect(events.of('fence.settled').map(({ outcome }) => outcome)).toEqual(['fenced', 'fenced'])
    expect(clock.timers).toBe(0)
  })

  it('stop for good: nothing is sent and no timer is left, also by a write that ends later', async () => {
    const { pending, cache, clock, events } = open()
    cache.breakAlways('fail')
    pending.add([fence('a')])
    pending.stop()
    expect(pending.size).toBe(0)
    expect(events.of('fence.settled'), 'given up, and told').toMatchObject([{ keys: 1, outcome: 'dropped' }])
    pending.add([fence('b')])
    await clock.advance(10_000)
    await settle()
    expect(cache.count('fence')).toBe(0)
    expect(clock.timers).toBe(0)
    expect(pending.size).toBe(0)
  })
})
