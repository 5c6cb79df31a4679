import { Buffer } from 'node:buffer'
import { describe, expect, it } from 'vitest'
import { Fleet } from '../support/fleet.js'
import { settle } from '../support/manual-clock.js'
import { expectNothingLeft } from '../support/nothing-left.js'
import type { ProcessSettings } from '../support/process-model.js'

/** An entry that has not changed is not decoded again (`engine/known-entries`). That must not show in anything but its cost. */
describe('a recognized entry is judged anew', () => {
  expectNothingLeft()

  async function known(settings: Partial<ProcessSettings> = {}) {
    const fleet = new Fleet(settings)
    const [process, other] = [fleet.start(), fleet.start()]
    fleet.table.put('42', 1)
    await process.read('42')
    await settle()
    const row = await process.read('42')
    expect(await process.read('42'), 'the same frozen row').toBe(row)
    expect(process.decoded).toBe(1)
    process.events.story()
    return { fleet, process, other }
  }

  it('against what this process has learned since', async () => {
    const { fleet, process } = await known()
    const { version } = fleet.table.put('42', 2)
    process.floors.raise(process.keyOf('42'), version, false)
    expect((await process.read('42'))?.price).toBe(2)
    await settle()
    expect(process.events.of('miss')).toMatchObject([{ reason: 'below-floor' }])
  })

  it('against the clock', async () => {
    const { fleet, process } = await known({
      freshMs: 1_000,
      // The store keeps it for longer than anybody may be served with it.
      fill: { jitter: 0, graceMs: 10_000, lease: { minMs: 200, maxMs: 5_000, waitMs: 5_000 } },
    })
    fleet.table.put('42', 2)
    await fleet.clock.advance(1_000)
    expect((await process.read('42'))?.price).toBe(2)
    await settle()
    expect(process.events.of('miss')).toMatchObject([{ reason: 'expired' }])
  })

  it('and is let go of when the cache shows another one', async () => {
    const { process, other } = await known()
    expect(await other.write('42', 2)).toBe('fenced')
    expect((await process.read('42'))?.price).toBe(2)
    await settle()
    expect((await process.read('42'))?.price).toBe(2)
    expect(process.decoded).toBe(2)
  })

  it('and is no help when the cache shows nothing', async () => {
    const { fleet, process } = await known()
    fleet.table.put('42', 2)
    await fleet.evictEntries()
    expect((await process.read('42'))?.price).toBe(2)
    await settle()
  })

  it('and does not stand in for bytes that have been tampered with', async () => {
    const { fleet, process } = await known()
    const key = process.keyOf('42')
    const [stored] = await fleet.store.read([key])
    const sealed = Buffer.from(stored as Uint8Array).subarray(15)
    sealed[sealed.length - 2] = (sealed.at(-2) as number) ^ 1
    await fleet.plant(key, sealed)
    fleet.table.put('42', 2)
    expect((await process.read('42'))?.price).toBe(2)
    expect(process.events.of('entry.unreadable')).toMatchObject([{ key, reason: 'corrupt' }])
    await settle()
  })

  it('unless nothing may be kept', async () => {
    const fleet = new Fleet({ knownBytes: 0 })
    const process = fleet.start()
    fleet.table.put('42', 1)
    for (let read = 0; read < 3; read++) {
      await process.read('42')
      await settle()
    }
    expect(process.decoded).toBe(2)
  })
})
