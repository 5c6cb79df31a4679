import { Buffer } from 'node:buffer'
import { describe, expect, it } from 'vitest'
import { settle } from '../support/manual-clock.js'
import { endFleetsAfterEach, NearFleet } from '../support/near-fleet.js'
import type { NearProcess, NearSettings } from '../support/near-process.js'

const CHECKSUM_AT = 15

/**
 * While memory holds a row, its version is all the floor there is of it, so that a row is not paid for twice. However it is let go of, reads go no
 * further back in time than they did with a floor.
 */
describe('a row in memory stands in for its floor', () => {
  endFleetsAfterEach()

  /** A process that has shown and holds version 2 of row 42, over a store that can fall back to version 1. */
  async function shown(settings: NearSettings = {}) {
    const fleet = new NearFleet(settings)
    const [process, other] = [fleet.start(), fleet.start()]
    fleet.table.put('42', 1)
    await other.read('42')
    await settle()
    const key = process.keyOf('42')
    const [old] = await fleet.store.read([key])
    await other.write('42', 2)
    // By the fill, and then by memory itself.
    for (let read = 0; read < 2; read++) {
      expect((await process.read('42'))?.price).toBe(2)
      await settle()
    }
    expect(process.holds('42')).toBe(true)
    const fallBack = async () => {
      const [seen = null] = await fleet.store.read([key])
      await fleet.store.lease([{ key, token: 'old', leaseMs: 1, seen, waitedFor: null }])
      const sealed = Buffer.from(old as Uint8Array).subarray(CHECKSUM_AT)
      const entry = { key, token: 'old', sealed, version: undefined, snapshot: '1:1:', keepMs: 600_000 }
      await fleet.store.fill([{ ...entry, loadedFrom: 'primary', replacesNewer: true }])
    }
    return { fleet, process, other, fallBack }
  }

  async function expectNothingOlder(process: NearProcess): Promise<void> {
    expect(process.holds('42'), 'held no more').toBe(false)
    process.events.story()
    expect((await process.read('42'))?.price).toBe(2)
    expect(process.events.of('miss')).toMatchObject([{ reason: 'below-floor' }])
    await settle()
  }

  it('and nothing else is kept', async () => {
    const { fleet, process } = await shown()
    expect(process.floors.size).toBe(0)
    fleet.table.put('43', 1)
    for (let read = 0; read < 3; read++) {
      await process.read('43')
      await settle()
    }
    expect(process.floors.size).toBe(0)
  })

  it('when it has to make room', async () => {
    const { fleet, process, fallBack } = await shown({ l1: { maxEntries: 1 } })
    await fallBack()
    fleet.table.put('43', 1)
    await process.read('43')
    await settle()
    await expectNothingOlder(process)
  })

  it('when its time here is over', async () => {
    const { fleet, process, fallBack } = await shown({ l1: { maxAgeMs: 1_000 } })
    await fallBack()
    await fleet.clock.advance(1_000)
    await expectNothingOlder(process)
  })

  it('when everything has to go because a message was lost', async () => {
    const { process, fallBack } = await shown()
    await fallBack()
    process.invalidation.flush()
    await expectNothingOlder(process)
  })

  it('when a version that is held takes the place of another', async () => {
    const { fleet, process, other, fallBack } = await shown({ l1: { maxAgeMs: 1_000 } })
    expect(process.floors.get(process.keyOf('42')), 'asked for, it is back').toMatchObject({ absent: false })
    await other.write('42', 3)
    await settle()
    expect((await process.read('42'))?.price).toBe(3)
    await settle()
    expect(process.holds('42')).toBe(true)
    expect(process.floors.size).toBe(0)
    await fallBack()
    await fleet.clock.advance(1_000)
    expect((await process.read('42'))?.price).toBe(3)
    await settle()
  })

  it('but no longer than the database agrees: it was restored to an older state', async () => {
    const fleet = new NearFleet()
    const process = fleet.start()
    fleet.table.put('42', 1)
    const before = fleet.table.position()
    await fleet.warm('42', 2, process)
    expect(process.floors.size).toBe(0)
    fleet.table.restore(before)
    for (let read = 0; read < 2; read++) expect((await process.readPrimary('42'))?.price).toBe(1)
    expect(process.events.count('floor.reset'), 'once is enough').toBe(1)
    expect(process.holds('42')).toBe(false)
  })
})
