import { describe, expect, it } from 'vitest'
import { Fleet } from '../support/fleet.js'
import { settle } from '../support/manual-clock.js'
import { expectNothingLeft } from '../support/nothing-left.js'
import { plainChance } from '../support/seeded-chance.js'

const FRESH_MS = 10_000
const EARLY = { graceMs: 0, beta: 1, maxEarliness: 0.25, softTimeoutMs: 100, hardTimeoutMs: 10_000 }
/** The largest draw there is: refreshes as early as the rules allow. */
const SOONEST = 1 - 2 ** -53

describe('an early refresh is revoked by a fence', () => {
  expectNothingLeft()

  async function nearlyExpired() {
    const fleet = new Fleet({ freshMs: FRESH_MS, read: EARLY })
    const reader = fleet.start({}, plainChance(SOONEST, 'reader'))
    const [other, writer] = [fleet.start(), fleet.start()]
    fleet.table.put('42', 1)
    fleet.table.slowDown(20, fleet.clock)
    const first = reader.read('42')
    await fleet.clock.advance(20)
    await first
    await fleet.clock.advance(FRESH_MS - 50)
    reader.events.story()
    return { fleet, reader, other, writer }
  }

  it('serves the entry at once and replaces it behind the reader', async () => {
    const { fleet, reader } = await nearlyExpired()
    expect((await reader.read('42'))?.price).toBe(1)
    await fleet.clock.advance(20)
    expect(reader.events.story()).toMatchInlineSnapshot(`
      "
      1 hit l2 early
      2 load 1 id in 20 ms
      3 fill refresh filled
      "
    `)
    await fleet.clock.advance(FRESH_MS - 3_000)
    expect((await reader.read('42'))?.price).toBe(1)
    expect(reader.events.story(), 'it lives on from the refresh').toMatchInlineSnapshot(`
      "
      1 hit l2 fresh
      "
    `)
  })

  it('refreshes in one process of the fleet: the others draw the lot, do not get the lease, and go on serving', async () => {
    const { fleet, reader } = await nearlyExpired()
    const processes = [reader, ...[1, 2, 3].map((at) => fleet.start({}, plainChance(SOONEST, `reader ${at}`)))]
    for (let round = 0; round < 3; round++) {
      for (const process of processes) expect((await process.read('42'))?.price).toBe(1)
      await fleet.clock.advance(5)
    }
    expect(processes.map(({ events }) => events.of('hit').every(({ verdict }) => verdict === 'early'))).not.toContain(
      false,
    )
    await fleet.clock.advance(20)
    expect(fleet.table.loads, 'the first, and one refresh').toHaveLength(2)
  })

  it('gives it its whole time, however much of it the first fill lost to jitter', async () => {
    const fill = { jitter: 0.5, graceMs: 0, lease: { minMs: 200, maxMs: 5_000, waitMs: 5_000 } }
    const fleet = new Fleet({ freshMs: FRESH_MS, read: EARLY, fill })
    const reader = fleet.start({}, plainChance(SOONEST, 'reader'))
    fleet.table.put('42', 1)
    await reader.read('42')
    await fleet.clock.advance(FRESH_MS / 2 - 1)
    await reader.read('42')
    await settle()
    expect(reader.events.of('fill').map(({ reason }) => reason)).toEqual(['miss', 'refresh'])
    await fleet.clock.advance(0.7 * FRESH_MS)
    await reader.read('42')
    expect(fleet.table.loads).toHaveLength(2)
  })

  it('refreshes once, however many readers draw the lot', async () => {
    const { fleet, reader } = await nearlyExpired()
    const before = fleet.table.loads.length
    const readings = Array.from({ length: 50 }, () => reader.read('42'))
    await fleet.clock.advance(20)
    await Promise.all(readings)
    expect(fleet.table.loads.length - before).toBe(1)
  })

  it('when the row is changed while the refresh is loading', async () => {
    const { fleet, reader, other, writer } = await nearlyExpired()
    const select = fleet.table.pause('after load')
    await reader.read('42')
    await fleet.clock.advance(20)
    await select.reached
    await writer.write('42', 2)
    select.resume()
    await settle()
    expect(reader.events.of('fill').map(({ outcome }) => outcome)).toEqual(['lease-lost'])
    for (const process of [other, reader, writer]) {
      const reading = process.read('42')
      await fleet.clock.advance(20)
      expect((await reading)?.price).toBe(2)
    }
  })

  it('when another process refills the key before the refresh ends', async () => {
    const { fleet, reader, other, writer } = await nearlyExpired()
    const fill = reader.cache.pause('before fill')
    await reader.read('42')
    await fleet.clock.advance(20)
    await fill.reached
    await writer.write('42', 2)
    const reading = other.read('42')
    await fleet.clock.advance(20)
    await reading
    fill.resume()
    await settle()
    expect((await reader.read('42'))?.price).toBe(2)
  })
})
