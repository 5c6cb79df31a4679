import { describe, expect, it } from 'vitest'
import { MemoryStore } from '../../src/adapters/memory/memory-store.js'
import { assemble } from '../../src/assembly.js'
import { resolveSettings } from '../../src/config.js'
import { cacheKey, keyPrefix } from '../../src/core/key.js'
import { ManualClock } from '../support/manual-clock.js'
import { noDatabase } from '../support/no-database.js'
import { PausableStore } from '../support/pausable-store.js'
import { Recorder } from '../support/recorder.js'

const KEY = cacheKey(keyPrefix('shop', 'row', 'public.products'), ['1'])
const CHANGE = { key: KEY, version: null, xid: '7', absent: false, hasFloor: true }

describe('closing', () => {
  it('tries pending fences a last time, though a question in the background is never answered', async () => {
    const clock = new ManualClock()
    const events = new Recorder()
    const store = new PausableStore(new MemoryStore({ clock, maxBytes: 1 << 20 }), clock)
    const settings = resolveSettings({ cache: { breakerFailures: 1_000 } })
    const assembly = assemble(
      { db: noDatabase(), redis: undefined, namespace: 'shop', secrets: [], settings, onEvent: events.emit },
      { clock, store, channel: null },
    )
    store.breakAlways('fail', ['fence'])
    expect(await assembly.fencer.afterCommit([CHANGE])).toBe('pending')
    // As a refresh over a connection that is half open.
    assembly.table.background.run('refresh', () => new Promise(() => {}))
    let isClosed = false
    const closing = assembly.close().then(() => {
      isClosed = true
    })
    await clock.advance(settings.load.hardTimeoutMs - 1)
    expect(isClosed, 'it is given its time').toBe(false)
    store.heal()
    await clock.advance(1)
    expect(isClosed).toBe(true)
    await closing
    expect(events.of('fence.settled')).toMatchObject([{ keys: 1, outcome: 'fenced' }])
    expect(clock.timers).toBe(0)
  })
})
