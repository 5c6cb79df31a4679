import { beforeEach, describe, expect, it } from 'vitest'
import { Background } from '../../../src/engine/background.js'
import { ReplicaTrust, type Sight } from '../../../src/engine/replica-trust.js'
import { ManualClock } from '../../support/manual-clock.js'
import { Recorder } from '../../support/recorder.js'

/** A horizon is asked for each 7.5 s and used for 30 s. */
const FENCE_MS = 60_000

let clock: ManualClock
let events: Recorder
let xmax: number
let source: Sight['loadedFrom']
let isLive: boolean
let asked: number
let answer: Promise<void> | undefined
/** Questions without an answer, in their order, each on a connection of its own. Undefined: none hangs. */
let hanging: { readonly reply: () => void; readonly fail: () => void }[] | undefined
let trust: ReplicaTrust

beforeEach(() => {
  clock = new ManualClock()
  events = new Recorder()
  xmax = 100
  source = 'primary'
  isLive = true
  asked = 0
  answer = undefined
  hanging = undefined
  const ask = async () => {
    asked++
    // What a snapshot shows is decided when it is taken, however late the answer.
    const sight: Sight = { snapshot: `${xmax - 10}:${xmax}:${xmax - 10}`, loadedFrom: source }
    await answer
    if (hanging !== undefined) {
      await new Promise<void>((reply, reject) => hanging?.push({ reply, fail: () => reject(new Error('timed out')) }))
    }
    return sight
  }
  const background = new Background(events.emit)
  trust = new ReplicaTrust({
    ...{ clock, ask, background, emit: events.emit },
    fenceMs: FENCE_MS,
    limitMs: 1_000,
    isLive: () => isLive,
  })
})

const sees = (xmin: number) => trust.storableForMs(`${xmin}:${xmin + 50}:`)

describe('ReplicaTrust', () => {
  it('believes nothing before the primary was asked, and asks once', async () => {
    expect(trust.isUsable()).toBe(false)
    expect(sees(1_000_000)).toBeUndefined()
    trust.start()
    trust.start()
    await clock.advance(0)
    expect(trust.isUsable()).toBe(true)
    expect(asked).toBe(1)
  })

  it('counts only what lies below xmin as seen, up to all that the primary may have shown', async () => {
    trust.start()
    await clock.advance(0)
    expect(sees(99)).toBeUndefined()
    expect(sees(100)).toBe(FENCE_MS)
  })

  it('compares transaction ids as numbers', async () => {
    xmax = 1_000
    trust.start()
    await clock.advance(0)
    expect(sees(999)).toBeUndefined()
    expect(sees(10_000)).toBe(FENCE_MS)
  })

  it('asks for less of a standby than the primary shows now, for as long as fences are surely remembered', async () => {
    trust.start()
    await clock.advance(0)
    xmax = 200
    await clock.advance(7_500)
    expect(sees(100)).toBe(FENCE_MS - 7_500)
    await clock.advance(22_000)
    expect(sees(100)).toBe(FENCE_MS - 29_500)
    await clock.advance(1_000)
    expect(sees(100)).toBeUndefined()
    expect(sees(200)).toBe(FENCE_MS - 23_000)
  })

  it('holds a horizon for as old as the question, not the answer', async () => {
    let reply = () => {}
    answer = new Promise((resolve) => {
      reply = resolve
    })
    trust.start()
    await clock.advance(5_000)
    reply()
    await clock.advance(0)
    expect(sees(100)).toBe(FENCE_MS - 5_000)
  })

  it('takes no word for the primary of a server in recovery', async () => {
    source = 'standby'
    trust.start()
    await clock.advance(0)
    expect(trust.isUsable()).toBe(false)
  })

  it('stops believing when the primary does not answer any more', async () => {
    trust.start()
    await clock.advance(0)
    answer = Promise.reject(new Error('away'))
    answer.catch(() => {})
    await clock.advance(29_000)
    expect(trust.isUsable()).toBe(true)
    await clock.advance(2_000)
    expect(trust.isUsable()).toBe(false)
    expect(events.of('background.failed')[0]).toMatchObject({ task: 'horizon' })
  })

  it('believes nothing while the bus is not heard', async () => {
    trust.start()
    await clock.advance(0)
    isLive = false
    expect(trust.isUsable()).toBe(false)
    expect(sees(100)).toBeUndefined()
  })

  it('begins anew when something may have been missed, also with a question under way', async () => {
    let reply = () => {}
    answer = new Promise((resolve) => {
      reply = resolve
    })
    trust.start()
    await clock.advance(0)
    xmax = 200
    trust.clear()
    reply()
    await clock.advance(0)
    expect(sees(100), 'asked before the gap').toBeUndefined()
    xmax = 300
    answer = undefined
    trust.clear()
    await clock.advance(0)
    expect(sees(299)).toBeUndefined()
    expect(sees(300)).toBe(FENCE_MS)
  })

  describe('on a connection that is half open', () => {
    it('asks one question at a time, however often it may have missed something', async () => {
      hanging = []
      trust.start()
      for (let at = 0; at < 9; at++) {
        trust.clear()
        await clock.advance(1_000)
      }
      expect(asked).toBe(1)
      const [first] = hanging
      hanging = undefined
      first?.reply()
      await clock.advance(0)
      expect(asked, 'the one that was due').toBe(2)
      expect(trust.isUsable()).toBe(true)
      await clock.advance(7_499)
      expect(asked).toBe(2)
      await clock.advance(1)
      expect(asked).toBe(3)
    })

    it('counts a question as failed after ten seconds, and asks another in time', async () => {
      trust.start()
      await clock.advance(0)
      hanging = []
      await clock.advance(7_500)
      hanging = undefined
      await clock.advance(9_999)
      expect([asked, events.of('background.failed')]).toEqual([2, []])
      xmax = 200
      await clock.advance(1)
      expect(events.of('background.failed')).toMatchObject([
        { task: 'horizon', error: { code: 'SOURCE_FAILED', cause: new Error('no answer for 10000 ms') } },
      ])
      expect(asked).toBe(3)
      await clock.advance(12_500)
      expect(sees(199), 'the first horizon is too old by now').toBeUndefined()
      expect(sees(200)).toBe(FENCE_MS - 12_500)
    })

    it('believes no answer that came too late', async () => {
      hanging = []
      trust.start()
      await clock.advance(10_000)
      hanging[0]?.reply()
      await clock.advance(0)
      expect(trust.isUsable()).toBe(false)
    })

    it('takes two connections at most, however long it lasts, and asks when one of them is free again', async () => {
      trust.start()
      await clock.advance(0)
      hanging = []
      await clock.advance(15 * 60_000)
      expect(asked, 'one was answered, two hang').toBe(3)
      expect(trust.isUsable()).toBe(false)
      const [first] = hanging
      hanging = undefined
      first?.fail()
      await clock.advance(0)
      expect(asked).toBe(4)
      expect(trust.isUsable()).toBe(true)
    })

    it('asks nothing more when it is closed meanwhile', async () => {
      hanging = []
      trust.start()
      await clock.advance(8_000)
      trust.close()
      hanging[0]?.reply()
      await clock.advance(60_000)
      expect([asked, clock.timers]).toEqual([1, 0])
    })
  })

  it('leaves a standby alone for longer and longer, and forgives it all at once', async () => {
    trust.start()
    await clock.advance(0)
    for (const pauseMs of [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]) {
      trust.pause()
      await clock.advance(pauseMs - 1)
      expect(trust.isUsable()).toBe(false)
      await clock.advance(1)
      expect(trust.isUsable()).toBe(true)
    }
    trust.resume()
    trust.pause()
    await clock.advance(1_000)
    expect(trust.isUsable()).toBe(true)
  })

  it('begins nothing when it is closed, also for a table that was being opened just then', async () => {
    trust.close()
    trust.start()
    await clock.advance(60_000)
    expect([asked, clock.timers]).toEqual([0, 0])
  })

  it('asks no more when it is closed', async () => {
    trust.start()
    await clock.advance(0)
    trust.close()
    trust.clear()
    await clock.advance(60_000)
    expect(asked).toBe(1)
  })
})
