import { describe, expect, it } from 'vitest'
import { MemoryStore } from '../../../src/adapters/memory/memory-store.js'
import { cacheKey, epochKey, keyPrefix } from '../../../src/core/key.js'
import type { Version } from '../../../src/core/version.js'
import type { AnnouncedChange } from '../../../src/engine/bus-message.js'
import { Epoch } from '../../../src/engine/epoch.js'
import { Floors } from '../../../src/engine/floors.js'
import { Invalidation } from '../../../src/engine/invalidation.js'
import { Singleflight } from '../../../src/engine/singleflight.js'
import { ManualClock, settle } from '../../support/manual-clock.js'
import { PausableStore } from '../../support/pausable-store.js'
import { Recorder } from '../../support/recorder.js'

const ROW = cacheKey(keyPrefix('shop', 'row', 'public.products'), ['1'])

/** Processes over one store; what one announces is carried by hand. */
function start(clock = new ManualClock(), inner = new MemoryStore({ clock, maxBytes: 1 << 20 })) {
  const store = new PausableStore(inner, clock)
  const flights = new Singleflight<unknown>()
  const invalidation = new Invalidation({ floors: new Floors(10), flights })
  let cleared = 0
  invalidation.register({ prefix: 'shop:{public.products/', forget: () => {}, clear: () => cleared++ })
  const announced: AnnouncedChange[] = []
  const events = new Recorder()
  const epoch = new Epoch({
    namespace: 'shop',
    store,
    clock,
    invalidation,
    flights,
    lookEveryMs: 1_000,
    emit: events.emit,
    announce: (changes) => announced.push(...changes),
  })
  return { clock, inner, store, flights, invalidation, epoch, announced, events, cleared: () => cleared }
}

describe('the epoch', () => {
  it('has eight characters and is zero where nothing was ever told', () => {
    const { epoch } = start()
    expect(epoch.text()).toBe('00000000')
    epoch.learn(36 * 36)
    expect(epoch.text()).toBe('00000100')
  })

  it('only rises; a new one empties the near tier, and loads under way can no longer be joined', () => {
    const { epoch, flights, cleared, events } = start()
    epoch.learn(0)
    flights.start(ROW, () => new Promise(() => {}))
    epoch.learn(2)
    expect([cleared(), flights.size]).toEqual([1, 0])
    epoch.learn(2)
    epoch.learn(1)
    epoch.learn(Number.NaN)
    expect([cleared(), epoch.number, events.count('epoch')]).toEqual([1, 2, 1])
  })

  it('is none of the news to a process that begins: the first it learns takes effect without an event', () => {
    const { epoch, flights, cleared, events } = start()
    flights.start(ROW, () => new Promise(() => {}))
    epoch.learn(Number.NaN)
    epoch.learn(7)
    expect([epoch.number, epoch.text(), cleared(), flights.size]).toEqual([7, '00000007', 1, 0])
    expect(events.count('epoch')).toBe(0)
    epoch.learn(7)
    epoch.learn(8)
    expect(events.of('epoch')).toEqual([{ type: 'epoch', number: 8 }])
  })

  it('is learned from the announcement of another process', async () => {
    const [one, other] = [start(), start()]
    await one.epoch.publish(3)
    for (const change of one.announced) other.invalidation.apply(change)
    expect(other.epoch.number).toBe(3)
  })

  it('is learned from the cache at the next heartbeat where no announcement arrives', async () => {
    const one = start()
    const other = start(one.clock, one.inner)
    other.epoch.watch()
    await one.epoch.publish(3)
    await one.epoch.publish(4)
    await one.clock.advance(999)
    expect(other.epoch.number).toBe(0)
    await one.clock.advance(1)
    await settle()
    expect(other.epoch.number).toBe(4)
    other.epoch.close()
    expect(one.clock.timers).toBe(0)
  })

  it('is never set back in the cache by one who knows less, who learns from it instead', async () => {
    const one = start()
    const other = start(one.clock, one.inner)
    await one.epoch.publish(5)
    await other.epoch.publish(2)
    expect(other.epoch.number).toBe(5)
    expect(String(await one.inner.read([epochKey('shop')]))).toBe('5')
  })

  it.each(['a word', '-1', '1.5', String(36 ** 8), '9223372036854775807'])(
    'is not what the cache holds if that is %s',
    async (text) => {
      const { clock, inner, epoch, events } = start()
      await inner.mark([{ key: epochKey('shop'), fresh: text, keepMs: 60_000 }])
      epoch.watch()
      await clock.advance(1_000)
      await epoch.publish(0)
      expect([epoch.number, epoch.text(), events.count('epoch')]).toEqual([0, '00000000', 0])
      await epoch.publish(3)
      expect(String(await inner.read([epochKey('shop')])), 'and gives way to one').toBe('3')
      epoch.close()
    },
  )

  it('is not what somebody announces if that does not fit into an entry', () => {
    const { epoch, invalidation } = start()
    const version = '9223372036854775807' as Version
    invalidation.apply({ key: epochKey('shop'), version, absent: false, hasFloor: false })
    expect(epoch.text()).toBe('00000000')
    epoch.learn(36 ** 8 - 1)
    expect(epoch.text()).toBe('zzzzzzzz')
  })

  it('is announced once, when the cache has it', async () => {
    const { epoch, store, announced } = start()
    store.breakNext('mark', 'fail')
    await expect(epoch.publish(1)).rejects.toThrow()
    expect(announced).toEqual([])
    await epoch.publish(1)
    await epoch.publish(1)
    expect(announced).toEqual([{ key: epochKey('shop'), version: '1' as Version, absent: false, hasFloor: false }])
  })
})
