import { describe, expect, it } from 'vitest'
import { endRelayedFleetsAfterEach, RelayedFleet, type RelayedProcess } from '../support/relayed-fleet.js'

const BREAKER = { cache: { breakerFailures: 2, breakerProbeMs: 100 }, l1: { maxAgeMs: 1 } }

describe('after an outage of the cache reads wait for the relay', () => {
  endRelayedFleetsAfterEach()

  /** A cached row, and a reader that has just seen its cache go away and come back; meanwhile a writer has died with its fence. */
  async function outage(what: { relay: boolean; stays?: boolean }) {
    const fleet = new RelayedFleet()
    const relay = what.relay ? await fleet.startRelay() : undefined
    const reader = fleet.start(BREAKER)
    fleet.table.put('1', 1)
    await fleet.clock.advance(500)
    await reader.read('1')
    await fleet.clock.advance(500)
    reader.cache.breakAlways('fail')
    relay?.cache.breakAlways('fail')
    for (let reads = 0; reads < 5; reads++) await reader.read('1')
    expect(reader.events.of('breaker').at(-1)?.state).toBe('open')
    fleet.table.put('1', 2)
    await fleet.clock.advance(2_000)
    if (relay && what.stays === false) {
      relay.cache.heal()
      fleet.feed.cut()
      relay.clock.stop()
    }
    reader.cache.heal()
    return { fleet, relay, reader }
  }

  /** Reads each 20 ms until the cache has answered one read, and what they all gave. */
  async function untilServed(fleet: RelayedFleet, reader: RelayedProcess): Promise<(number | undefined)[]> {
    const prices: (number | undefined)[] = []
    reader.events.events.length = 0
    for (let passed = 0; passed < 20_000 && reader.events.count('hit') === 0; passed += 20) {
      prices.push((await fleet.pass(reader.read('1')))?.price)
      await fleet.clock.advance(20)
    }
    return prices
  }

  it('the cache answers again when all that was committed during the outage has been fenced', async () => {
    const { fleet, relay, reader } = await outage({ relay: true })
    const early = untilServed(fleet, reader)
    for (let passed = 0; passed < 5; passed++) await fleet.clock.advance(0)
    relay?.cache.heal()
    const prices = await early
    expect(new Set(prices)).toEqual(new Set([2]))
    expect(reader.events.of('outage').map(({ state }) => state)).toEqual(['awaits-relay', 'passed'])
  })

  it('also while the relay has not found its way back yet', async () => {
    const { fleet, relay, reader } = await outage({ relay: true })
    fleet.clock.after(2_500, () => relay?.cache.heal())
    const startedMs = fleet.clock.monotonicMs()
    expect(new Set(await untilServed(fleet, reader))).toEqual(new Set([2]))
    expect(fleet.clock.monotonicMs() - startedMs).toBeGreaterThan(2_500)
  })

  it('a relay that is gone is waited for for some seconds only', async () => {
    const { fleet, reader } = await outage({ relay: true, stays: false })
    const startedMs = fleet.clock.monotonicMs()
    await untilServed(fleet, reader)
    expect(reader.events.of('outage').map(({ state }) => state)).toEqual(['awaits-relay', 'no-relay'])
    const waitedMs = fleet.clock.monotonicMs() - startedMs
    expect(waitedMs).toBeGreaterThan(2_900)
    expect(waitedMs).toBeLessThan(4_500)
  })

  it('where there never was one, none is waited for', async () => {
    const { fleet, reader } = await outage({ relay: false })
    const startedMs = fleet.clock.monotonicMs()
    await untilServed(fleet, reader)
    expect(reader.events.of('outage').map(({ state }) => state)).toEqual(['awaits-relay', 'no-relay'])
    expect(fleet.clock.monotonicMs() - startedMs).toBeLessThan(1_300)
  })
})
