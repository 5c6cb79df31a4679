import { describe, expect, it } from 'vitest'
import { settle } from '../support/manual-clock.js'
import { endFleetsAfterEach, NearFleet } from '../support/near-fleet.js'

const FRESH_MS = 5_000

/**
 * Only the lifetime ends copies of a row that was changed by SQL nobody told us of. A lifetime that starts anew in each process, or
 * with each look, would let such a row live on for as long as it is read.
 */
describe('an L1 never outlives its entry', () => {
  endFleetsAfterEach()

  it('in the process that filled it', async () => {
    const fleet = new NearFleet({ ttl: { freshMs: FRESH_MS } })
    const process = fleet.start()
    await fleet.warm('42', 1, process)
    fleet.table.put('42', 2)
    await fleet.clock.advance(FRESH_MS - 1)
    expect((await process.read('42'))?.price).toBe(1)
    await fleet.clock.advance(1)
    expect((await process.read('42'))?.price).toBe(2)
  })

  it('in a process that took it up late', async () => {
    const fleet = new NearFleet({ ttl: { freshMs: FRESH_MS } })
    const [first, second] = [fleet.start(), fleet.start()]
    await fleet.warm('42', 1, first)
    fleet.table.put('42', 2)
    await fleet.clock.advance(FRESH_MS - 100)
    expect((await second.read('42'))?.price).toBe(1)
    expect(second.holds('42')).toBe(true)
    await fleet.clock.advance(100)
    expect((await second.read('42'))?.price).toBe(2)
  })

  it('however often it is read, and however often it is taken up again', async () => {
    const fleet = new NearFleet({ ttl: { freshMs: FRESH_MS }, l1: { maxAgeMs: 300 } })
    const [first, second] = [fleet.start(), fleet.start()]
    await fleet.warm('42', 1, first, second)
    fleet.table.put('42', 2)
    for (let at = 0; at < FRESH_MS / 100 - 1; at++) {
      await fleet.clock.advance(100)
      for (const process of [first, second]) expect((await process.read('42'))?.price).toBe(1)
    }
    await fleet.clock.advance(100)
    for (const process of [first, second]) expect((await process.read('42'))?.price).toBe(2)
  })

  it('although the answer to the fill came late', async () => {
    const fleet = new NearFleet({ ttl: { freshMs: FRESH_MS }, cache: { deadlineMs: 60_000 } })
    const process = fleet.start()
    fleet.table.put('42', 1)
    const landed = process.cache.pause('after fill')
    await process.read('42')
    await landed.reached
    fleet.table.put('42', 2)
    await fleet.clock.advance(FRESH_MS - 1_000)
    landed.resume()
    await settle()
    expect((await process.read('42'))?.price).toBe(1)
    await fleet.clock.advance(1_000)
    expect((await process.read('42'))?.price).toBe(2)
  })

  it('although the answer to the look came late', async () => {
    const fleet = new NearFleet({ ttl: { freshMs: FRESH_MS }, cache: { deadlineMs: 60_000 } })
    const [first, second] = [fleet.start(), fleet.start()]
    await fleet.warm('42', 1, first)
    const reply = second.cache.pause('after read')
    const reading = second.read('42')
    await reply.reached
    fleet.table.put('42', 2)
    await fleet.clock.advance(FRESH_MS - 1_000)
    reply.resume()
    expect((await reading)?.price).toBe(1)
    await fleet.clock.advance(1_000)
    expect((await second.read('42'))?.price).toBe(2)
  })

  it('nor a second one without a look at the cache', async () => {
    const fleet = new NearFleet({ l1: { maxAgeMs: 1_000 } })
    const process = fleet.start()
    await fleet.warm('42', 1, process)
    await fleet.clock.advance(1_000)
    const before = process.cache.count('read')
    await process.read('42')
    await process.read('42')
    expect(process.cache.count('read') - before).toBe(1)
  })
})
