import { afterEach, describe, expect, it } from 'vitest'
import type { CacheKey } from '../../../src/core/key.js'
import type { Channel } from '../../../src/core/ports.js'
import type { Version } from '../../../src/core/version.js'
import { Bus, type BusSettings } from '../../../src/engine/bus.js'
import { type BusMessage, BusMessageCodec } from '../../../src/engine/bus-message.js'
import { Floors } from '../../../src/engine/floors.js'
import { type Holder, Invalidation } from '../../../src/engine/invalidation.js'
import { Singleflight } from '../../../src/engine/singleflight.js'
import { ManualClock, settle } from '../../support/manual-clock.js'
import { type MemoryChannel, MemoryHub } from '../../support/memory-channel.js'
import { Recorder } from '../../support/recorder.js'
import { plainChance } from '../../support/seeded-chance.js'
import { StoppableClock } from '../../support/stoppable-clock.js'

const SETTINGS = { heartbeatMs: 1_000, trustMs: 3_000 }
const SECRET = 'a secret of the whole fleet'
const PREFIX = 'shop:{public.products/'

interface Side {
  readonly bus: Bus
  readonly channel: MemoryChannel
  readonly events: Recorder
  readonly clock: StoppableClock
  readonly floors: Floors
  /** Keys forgotten, and `everything` for a flush; forgets them when told. */
  heard(): string[]
  isLive(): boolean
}

let clock = new ManualClock()
let hub = new MemoryHub(clock)
const open: Side[] = []
/** How long heartbeats took to come back. */
let returns: number[] = []

function fresh(): void {
  clock = new ManualClock()
  returns = []
  hub = new MemoryHub(clock)
}

function start(
  name: string,
  { secrets = [], channel: given, ...settings }: Partial<BusSettings> & { secrets?: string[]; channel?: Channel } = {},
): Side {
  const events = new Recorder()
  const floors = new Floors(1_000)
  const invalidation = new Invalidation({ floors, flights: new Singleflight() })
  let heard: string[] = []
  const holder: Holder = {
    prefix: PREFIX,
    forget: (key) => void heard.push(key.slice(PREFIX.length, -1)),
    clear: () => void heard.push('everything'),
  }
  invalidation.register(holder)
  const channel = hub.connect()
  const own = new StoppableClock(clock)
  const bus = new Bus({
    channel: given ?? channel,
    clock: own,
    chance: plainChance(0, name),
    invalidation,
    settings: { ...SETTINGS, ...settings },
    emit: events.emit,
    secrets,
    onReturn: (delayMs) => returns.push(delayMs),
  })
  bus.start()
  const side: Side = {
    bus,
    channel,
    events,
    clock: own,
    floors,
    heard: () => {
      const now = heard
      heard = []
      return now
    },
    isLive: () => bus.isLive(clock.monotonicMs()),
  }
  open.push(side)
  return side
}

function change(id: string | number, version = 1) {
  return { key: `${PREFIX}${id}}` as CacheKey, version: String(version) as Version, absent: false, hasFloor: true }
}

function text(message: Partial<BusMessage>, ...secrets: string[]): string {
  return new BusMessageCodec(secrets).write({
    publisher: 'stranger',
    number: 1,
    changes: [],
    leaves: false,
    ...message,
  })
}

/** Two processes that have heard each other, for long enough to know of everybody who lives. */
async function pair(): Promise<[Side, Side]> {
  fresh()
  const sides: [Side, Side] = [start('a'), start('b')]
  await clock.advance(SETTINGS.trustMs + 2 * SETTINGS.heartbeatMs)
  for (const side of sides) {
    side.heard()
    side.events.events.length = 0
  }
  return sides
}

afterEach(async () => {
  for (const { bus, channel } of open.splice(0)) {
    channel.resubscribe()
    await bus.close()
  }
  await settle()
  expect(clock.timers, 'timers left').toBe(0)
})

describe('Bus: telling', () => {
  it('carries what one process announces to the others, and not back to itself', async () => {
    const [a, b] = await pair()
    a.bus.announce([change(1, 5), { ...change(2), version: null }])
    await settle()
    expect(b.heard()).toEqual(['1', '2'])
    expect(b.floors.get(change(1).key)?.version).toBe('5')
    expect(a.heard()).toEqual([])
  })

  it('sends what one tick announces as one message', async () => {
    const [a, b] = await pair()
    const before = hub.sent.length
    for (let id = 0; id < 10; id++) a.bus.announce([change(id)])
    a.bus.announce([])
    await settle()
    expect(hub.sent.length - before).toBe(1)
    expect(b.heard()).toHaveLength(10)
  })

  it('takes as many changes as one transaction may have, and what does not fit shows as a gap', async () => {
    const [a, b] = await pair()
    a.bus.announce(Array.from({ length: 1_200 }, (_, id) => change(id)))
    await settle()
    expect(b.heard()).toHaveLength(1_200)
    a.bus.announce(Array.from({ length: 200_000 }, (_, id) => change(id)))
    await settle()
    await clock.advance(SETTINGS.heartbeatMs)
    expect(b.heard()).toContain('everything')
  })

  it('sends nothing for no changes, and nothing once it is closed', async () => {
    const [a] = await pair()
    await a.bus.close()
    const before = hub.sent.length
    a.bus.announce([change(1)])
    await clock.advance(SETTINGS.heartbeatMs * 3)
    expect(hub.sent.slice(before).every((message) => message.includes('"b-'))).toBe(true)
  })
})

describe('Bus: noticing what was missed', () => {
  it('a gap in the numbering empties the near tier, and the change that shows it is applied after that', async () => {
    const [a, b] = await pair()
    a.channel.breakNext('lost')
    a.bus.announce([change(1)])
    await settle()
    expect(b.heard()).toEqual([])
    a.bus.announce([change(2)])
    await settle()
    expect(b.heard()).toEqual(['everything', '2'])
    expect(b.events.of('bus.flush')).toEqual([{ type: 'bus.flush', reason: 'gap' }])
  })

  it('the heartbeat shows a gap although nothing else is said', async () => {
    const [a, b] = await pair()
    a.channel.breakNext('lost')
    a.bus.announce([change(1)])
    await clock.advance(SETTINGS.heartbeatMs)
    expect(b.heard()).toEqual(['everything'])
  })

  it('a message that could not be sent is a gap too, and is reported', async () => {
    const [a, b] = await pair()
    a.channel.breakNext('fails')
    a.bus.announce([change(1), change(2)])
    await clock.advance(SETTINGS.heartbeatMs)
    expect(a.events.of('bus.unsent')).toEqual([{ type: 'bus.unsent', changes: 2 }])
    expect(b.heard()).toEqual(['everything'])
  })

  it('the first word of a publisher is no gap if it is its first, and one if it is not', async () => {
    fresh()
    const a = start('a')
    a.heard()
    hub.broadcast(text({ publisher: 'new', number: 1, changes: [change(1)] }))
    expect(a.heard()).toEqual(['1'])
    hub.broadcast(text({ publisher: 'older', number: 9, changes: [change(2)] }))
    expect(a.heard()).toEqual(['everything', '2'])
    hub.broadcast(text({ publisher: 'older', number: 10, changes: [change(3)] }))
    expect(a.heard()).toEqual(['3'])
  })

  it('messages out of order cost a flush, and the one that comes late changes nothing', async () => {
    const [a, b] = await pair()
    b.channel.holdIncoming()
    a.bus.announce([change(1)])
    await settle()
    a.bus.announce([change(2)])
    await settle()
    b.channel.releaseIncoming((messages) => messages.reverse())
    expect(b.heard()).toEqual(['everything', '2'])
    expect(b.events.of('bus.refused')).toEqual([{ type: 'bus.refused', reason: 'replayed' }])
  })

  it('a message that arrives twice counts once', async () => {
    const [a, b] = await pair()
    a.channel.breakNext('twice')
    a.bus.announce([change(1)])
    await settle()
    expect(b.heard()).toEqual(['1'])
    expect(b.events.of('bus.refused')).toEqual([{ type: 'bus.refused', reason: 'replayed' }])
  })

  it('a message of another format empties the near tier', async () => {
    const [, b] = await pair()
    hub.broadcast('[2,"newer",1,{}]')
    expect(b.heard()).toEqual(['everything'])
    expect(b.events.of('bus.flush')).toEqual([{ type: 'bus.flush', reason: 'unknown-format' }])
  })

  it('a new subscription empties it, and everybody is unknown again', async () => {
    const [a, b] = await pair()
    b.channel.renew()
    expect(b.heard()).toEqual(['everything', 'everything'])
    a.bus.announce([change(1)])
    await settle()
    expect(b.heard(), 'what came before the subscription is not known').toEqual(['everything', '1'])
  })

  it('a publisher that falls silent may have said something nobody heard: once, however long it is silent', async () => {
    const [a, b] = await pair()
    a.channel.breakNext('lost')
    a.bus.announce([change(1)])
    await settle()
    a.channel.goAway()
    await clock.advance(SETTINGS.trustMs + 2 * SETTINGS.heartbeatMs)
    expect(b.heard()).toEqual(['everything'])
    expect(b.events.of('bus.flush')).toEqual([{ type: 'bus.flush', reason: 'silent' }])
    await clock.advance(10 * SETTINGS.trustMs)
    expect(b.heard()).toEqual([])
    a.channel.resubscribe()
    await clock.advance(SETTINGS.heartbeatMs)
    expect(b.heard(), 'and when it speaks again, its numbers tell').toEqual(['everything'])
  })

  it('so may somebody who has not been heard since the subscription: once, when all who live have been heard', async () => {
    const [a, b] = await pair()
    b.channel.goAway()
    b.channel.resubscribe()
    a.channel.breakNext('lost')
    a.bus.announce([change(1)])
    await settle()
    a.clock.stop()
    b.heard()
    b.events.events.length = 0
    await clock.advance(SETTINGS.trustMs)
    expect(b.heard()).toEqual([])
    await clock.advance(SETTINGS.heartbeatMs)
    expect(b.heard()).toEqual(['everything'])
    expect(b.events.of('bus.flush')).toEqual([{ type: 'bus.flush', reason: 'unheard' }])
    await clock.advance(10 * SETTINGS.trustMs)
    expect(b.heard()).toEqual([])
  })

  it('so every process speaks as soon as it starts, before it is subscribed and has written anything', async () => {
    fresh()
    const said: string[] = []
    const publish = (message: string) => Promise.resolve(void said.push(message))
    const channel = { keepsOrder: false, publish, open: () => {}, renew: () => {}, close: () => Promise.resolve() }
    const { bus } = start('a', { channel })
    bus.announce([change(1)])
    await settle()
    const messages = said.map((each) => new BusMessageCodec([]).read(each) as BusMessage)
    expect(messages.map(({ number, changes }) => [number, changes.length])).toEqual([
      [1, 0],
      [2, 1],
    ])
  })

  it('a publisher that takes its leave may be silent', async () => {
    const [a, b] = await pair()
    a.bus.announce([change(1)])
    await a.bus.close()
    await clock.advance(3 * SETTINGS.trustMs)
    expect(b.heard()).toEqual(['1'])
  })

  it('a process that was itself stopped does not take the others for silent, nor its own connections for broken', async () => {
    const [a, b] = await pair()
    b.clock.stop()
    b.channel.holdIncoming()
    a.bus.announce([change(1)])
    await clock.advance(3 * SETTINGS.trustMs)
    expect(b.isLive(), 'the first read after the pause comes before anything else').toBe(false)
    b.clock.goOn()
    expect(b.isLive()).toBe(false)
    b.channel.releaseIncoming()
    expect(b.heard(), 'everything was in the socket').toEqual(['1'])
    expect(b.isLive()).toBe(true)
    expect(b.channel.renewals).toBe(0)
  })
})

describe('Bus: trust', () => {
  it('begins one round trip after the subscription', async () => {
    fresh()
    const a = start('a')
    expect(a.isLive()).toBe(true)
    const b = start('b')
    b.channel.goAway()
    expect(b.isLive()).toBe(false)
    b.channel.resubscribe()
    expect(b.isLive()).toBe(true)
  })

  it('ends when no heartbeat returns, without anything happening, and returns with the first that does', async () => {
    fresh()
    const a = start('a')
    a.channel.breakNext('lost', 'lost', 'lost')
    await clock.advance(SETTINGS.trustMs - 1)
    expect(a.isLive()).toBe(true)
    a.clock.stop()
    await clock.advance(1)
    expect(a.isLive()).toBe(false)
    a.clock.goOn()
    await clock.advance(SETTINGS.heartbeatMs)
    expect(a.isLive()).toBe(true)
  })

  it('counts from when the heartbeat was sent, not from when it came back', async () => {
    fresh()
    const a = start('a', { heartbeatMs: 2_000 })
    a.channel.breakNext({ delayMs: 2_500 }, 'lost')
    returns = []
    await clock.advance(4_499)
    expect(a.isLive(), 'of the first proof, sent at 0 s, nothing is left').toBe(false)
    await clock.advance(1)
    expect(returns).toEqual([2_500])
    expect(a.isLive(), 'the second one, sent at 2 s, is here').toBe(true)
    await clock.advance(499)
    expect(a.isLive()).toBe(true)
    await clock.advance(1)
    expect(a.isLive(), 'and proves what was so until 2 s').toBe(false)
  })

  it('a heartbeat that comes back after the trust it could give proves nothing any more', async () => {
    fresh()
    const a = start('a')
    a.channel.breakNext({ delayMs: 3_500 }, 'lost', 'lost', 'lost')
    await clock.advance(4_600)
    expect(a.isLive()).toBe(false)
  })

  it('is not given by a heartbeat that was sent before the subscription', async () => {
    fresh()
    const a = start('a')
    a.channel.breakNext({ delayMs: 500 }, 'lost')
    await clock.advance(1_000)
    a.channel.goAway()
    a.channel.resubscribe()
    expect(a.isLive()).toBe(false)
    await clock.advance(500)
    expect(a.isLive(), 'the heartbeat of the old subscription has come back').toBe(false)
    await clock.advance(500)
    expect(a.isLive()).toBe(true)
  })

  it('is not given by a heartbeat of somebody else, nor by a copy of an old one', async () => {
    fresh()
    const a = start('a')
    const beats = [...hub.sent]
    a.channel.breakNext('lost', 'lost', 'lost', 'lost')
    await clock.advance(3_500)
    for (const beat of beats) hub.broadcast(beat)
    hub.broadcast(text({ publisher: 'a-1', number: 1_000 }))
    hub.broadcast(text({ publisher: 'stranger' }))
    expect(a.isLive()).toBe(false)
  })

  it('ends at once when the subscription does', async () => {
    const [a] = await pair()
    a.channel.interrupt()
    expect(a.isLive()).toBe(false)
    expect(a.heard()).toEqual(['everything'])
    expect(a.events.of('bus.flush')).toEqual([{ type: 'bus.flush', reason: 'interrupted' }])
  })
})

describe('Bus: healing itself', () => {
  it.each(['up', 'down'] as const)(
    'replaces connections of which the one %s is half open, within the trust limit',
    async (direction) => {
      const [a, b] = await pair()
      a.channel.swallow(direction)
      await clock.advance(SETTINGS.trustMs)
      expect(a.channel.renewals).toBe(1)
      expect(a.isLive()).toBe(true)
      expect(a.heard()).toContain('everything')
      expect(b.channel.renewals).toBe(0)
    },
  )

  it('so that a message which a half-open connection has swallowed is noticed by the others within the trust limit', async () => {
    const [a, b] = await pair()
    a.channel.swallow('up')
    a.bus.announce([change(1)])
    await clock.advance(SETTINGS.trustMs)
    expect(b.heard()).toEqual(['everything'])
    expect(b.events.of('bus.flush')).toEqual([{ type: 'bus.flush', reason: 'gap' }])
  })

  it('tries less and less often while that does not help', async () => {
    const [a] = await pair()
    a.channel.goAway()
    await clock.advance(60_000)
    expect(a.channel.renewals).toBeGreaterThan(2)
    expect(a.channel.renewals).toBeLessThan(8)
    a.channel.resubscribe()
    await clock.advance(SETTINGS.heartbeatMs)
    const before = a.channel.renewals
    a.channel.swallow('down')
    await clock.advance(SETTINGS.trustMs + SETTINGS.heartbeatMs)
    expect(a.channel.renewals, 'patience starts anew after a proof').toBe(before + 1)
  })

  it('does not mistake one slow heartbeat for a broken connection', async () => {
    fresh()
    const a = start('a', { heartbeatMs: 2_000, trustMs: 2_100 })
    a.channel.breakNext('lost')
    await clock.advance(4_000)
    expect(a.channel.renewals).toBe(0)
  })
})

describe('Bus: bounds', () => {
  it('a channel that never answers holds a bounded number of messages, and numbers go on', async () => {
    const [a, b] = await pair()
    a.channel.swallow('up')
    for (let id = 0; id < 1_000; id++) {
      a.bus.announce([change(id)])
      await settle()
    }
    expect(a.events.count('bus.unsent')).toBe(1_000 - 64)
    a.channel.resubscribe()
    await clock.advance(SETTINGS.heartbeatMs)
    expect(b.heard()).toEqual(['everything'])
    a.bus.announce([change(1)])
    await settle()
    expect(b.heard(), 'after the gap all is as before').toEqual(['1'])
  })
})

describe('Bus: many publishers', () => {
  it('remembers the numbering of ten thousand, and takes one it has forgotten for unknown', async () => {
    fresh()
    const a = start('a')
    a.heard()
    for (let at = 0; at <= 10_000; at++) hub.broadcast(text({ publisher: `p${at}`, number: 1 }))
    expect(a.heard()).toEqual([])
    hub.broadcast(text({ publisher: 'p10000', number: 2 }))
    expect(a.heard()).toEqual([])
    hub.broadcast(text({ publisher: 'p0', number: 2 }))
    expect(a.heard()).toEqual(['everything'])
  })
})

describe('Bus: a shared secret', () => {
  it('drops and counts what is not signed with it, and hears what is', async () => {
    fresh()
    const [a, b] = [start('a', { secrets: [SECRET] }), start('b', { secrets: [SECRET] })]
    await clock.advance(SETTINGS.heartbeatMs)
    b.heard()
    b.events.events.length = 0
    const forged = text({ changes: [change(1, 99)] })
    hub.broadcast(forged)
    hub.broadcast(text({ changes: [change(1, 99)] }, 'a secret of another fleet'))
    hub.broadcast('[2,"newer",1,{}]')
    a.bus.announce([change(2)])
    await settle()
    expect(b.heard()).toEqual(['2'])
    expect(b.events.of('bus.refused').map(({ reason }) => reason)).toEqual(['forged', 'forged', 'forged'])
    expect(b.floors.get(change(1).key)).toBeUndefined()
    hub.broadcast(hub.sent.at(-1) as string)
    expect(b.events.of('bus.refused').at(-1)?.reason).toBe('replayed')
    expect(b.heard()).toEqual([])
    expect(b.isLive()).toBe(true)
  })

  it('is changed in two steps, and nobody misses a word on the way', async () => {
    const [older, newer] = [SECRET, 'the secret that comes after it']
    for (const [ofA, ofB] of [
      [[older], [older, newer]],
      [
        [older, newer],
        [newer, older],
      ],
      [[newer, older], [newer]],
    ] as const) {
      fresh()
      const [a, b] = [start('a', { secrets: [...ofA] }), start('b', { secrets: [...ofB] })]
      await clock.advance(SETTINGS.heartbeatMs)
      for (const side of [a, b]) side.heard()
      a.bus.announce([change(1)])
      b.bus.announce([change(2)])
      await settle()
      expect([a.heard(), b.heard()]).toEqual([['2'], ['1']])
      expect([...a.events.of('bus.refused'), ...b.events.of('bus.refused')]).toEqual([])
    }
  })

  it('an old message played back to a new subscription makes nobody forget a newer one', async () => {
    fresh()
    const [a, b] = [start('a', { secrets: [SECRET] }), start('b', { secrets: [SECRET] })]
    a.bus.announce([change(1, 5)])
    await settle()
    const old = hub.sent.at(-1) as string
    a.bus.announce([change(1, 6)])
    await settle()
    b.channel.renew()
    hub.broadcast(old)
    expect(b.floors.get(change(1).key)?.version).toBe('6')
    b.heard()
    a.bus.announce([change(2)])
    await settle()
    expect(b.heard()).toEqual(['everything', '2'])
  })
})

describe('Bus: the end', () => {
  it('sends what was announced in the same tick, and waits until it has left', async () => {
    const [a, b] = await pair()
    a.channel.breakNext({ answerMs: 100 })
    a.bus.announce([change(1)])
    let isClosed = false
    const closing = a.bus.close().then(() => {
      isClosed = true
    })
    await clock.advance(99)
    expect(b.heard()).toEqual(['1'])
    expect(isClosed).toBe(false)
    await clock.advance(1)
    await closing
  })

  it('does not wait long for a channel that does not answer', async () => {
    const [a] = await pair()
    a.channel.swallow('up')
    a.bus.announce([change(1)])
    let isClosed = false
    const closing = a.bus.close().then(() => {
      isClosed = true
    })
    await settle()
    expect(isClosed).toBe(false)
    await clock.advance(1_000)
    await closing
    expect(a.isLive()).toBe(false)
  })

  it('is not undone by a message that comes after it', async () => {
    const [a] = await pair()
    a.channel.breakNext({ delayMs: 100 })
    await clock.advance(SETTINGS.heartbeatMs)
    const closing = a.bus.close()
    await clock.advance(1_000)
    await closing
    expect(a.isLive()).toBe(false)
  })
})
