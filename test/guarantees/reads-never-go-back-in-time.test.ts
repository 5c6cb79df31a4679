import { describe, expect, it } from 'vitest'
import { Fleet } from '../support/fleet.js'
import { settle } from '../support/manual-clock.js'
import { expectNothingLeft } from '../support/nothing-left.js'

const CHECKSUM_AT = 15

describe('reads never go back in time', () => {
  expectNothingLeft()

  /** A store that falls back to an old copy of the entry, as one does when a replica that lagged takes over. */
  async function fallenBack() {
    const fleet = new Fleet()
    const [process, other] = [fleet.start(), fleet.start()]
    fleet.table.put('42', 1)
    await other.read('42')
    await settle()
    const [old] = await fleet.store.read([other.keyOf('42')])
    const fallBack = () => fleet.plant(other.keyOf('42'), (old as Uint8Array).subarray(CHECKSUM_AT))
    return { fleet, process, other, fallBack }
  }

  it('when the cache falls back to an older row than this process has shown', async () => {
    const { process, other, fallBack } = await fallenBack()
    await other.write('42', 2)
    expect((await process.read('42'))?.price).toBe(2)
    await settle()
    await fallBack()
    expect((await process.read('42'))?.price).toBe(2)
    expect(process.events.of('miss').at(-1)).toMatchObject({ reason: 'below-floor' })
  })

  it('when a reader that waited in vain for a lease overtakes its holder', async () => {
    const fleet = new Fleet({ fill: { jitter: 0, graceMs: 0, lease: { minMs: 200, maxMs: 5_000, waitMs: 20 } } })
    const [holder, reader, writer] = [fleet.start(), fleet.start(), fleet.start()]
    fleet.table.put('42', 1)
    const fill = holder.cache.pause('before fill')
    await holder.read('42')
    await fill.reached
    const change = fleet.table.put('42', 2)
    const reading = reader.read('42')
    await fleet.clock.advance(20)
    expect((await reading)?.price, 'it gave up waiting and asked the database').toBe(2)
    fill.resume()
    await settle()
    expect((await reader.read('42'))?.price, 'the holder has stored an older row by now').toBe(2)
    await writer.fence(change)
  })

  it('when the cache is slow and the floor rises while an answer is on its way', async () => {
    const { process, other } = await fallenBack()
    const answer = process.cache.pause('after read')
    const reading = process.read('42')
    await answer.reached
    await other.write('42', 2)
    expect((await process.read('42'))?.price).toBe(2)
    answer.resume()
    expect((await reading)?.price).toBe(2)
  })

  it('when a load is overtaken by writes of its own process, as often as it takes', async () => {
    const fleet = new Fleet()
    const process = fleet.start()
    fleet.table.put('42', 1)
    const first = fleet.table.pause('after load')
    const second = fleet.table.pause('after load')
    const reading = process.read('42')
    await first.reached
    await process.write('42', 2)
    first.resume()
    await second.reached
    await process.write('42', 3)
    second.resume()
    expect((await reading)?.price, 'both loads had missed a write of this process').toBe(3)
    await settle()
    expect(process.events.count('floor.reset')).toBe(0)
    expect(process.floors.get(process.keyOf('42'))?.version).toBe(fleet.table.row('42')?.version)
  })

  it('but a row that is written faster than it can be loaded is read all the same, as new as the question', async () => {
    const fleet = new Fleet()
    const process = fleet.start()
    fleet.table.put('42', 1)
    let load = fleet.table.pause('after load')
    let shown: number | undefined
    const reading = process.read('42').then((row) => {
      shown = row?.price
    })
    await load.reached
    let price = 1
    while (shown === undefined && price < 100) {
      await process.write('42', ++price)
      const next = fleet.table.pause('after load')
      load.resume()
      load = next
      await settle()
    }
    load.resume()
    await reading
    expect(shown, 'what the last of many loads saw').toBe(price - 1)
    expect(price, 'and of not too many: each is waited for').toBeLessThan(10)
    expect(process.events.count('floor.reset')).toBe(0)
    await settle()
    expect((await process.read('42'))?.price, 'and who asks now').toBe(price)
  })

  it('and a row that this process has seen deleted does not come back', async () => {
    const { process, other, fallBack } = await fallenBack()
    expect((await process.read('42'))?.price).toBe(1)
    await other.remove('42')
    expect(await process.read('42')).toBeUndefined()
    await settle()
    await fallBack()
    expect(await process.read('42')).toBeUndefined()
  })

  it('and a row that is seen to be gone before it was ever shown does not appear while its fence is on the way', async () => {
    const fleet = new Fleet({ fill: { jitter: 0, graceMs: 0, lease: { minMs: 200, maxMs: 5_000, waitMs: 20 } } })
    const [holder, reader, writer] = [fleet.start(), fleet.start(), fleet.start()]
    fleet.table.put('42', 1)
    const fill = holder.cache.pause('before fill')
    await holder.read('42')
    await fill.reached
    const reading = reader.read('42')
    const deletion = fleet.table.remove('42')
    await fleet.clock.advance(20)
    expect(await reading, 'it gave up waiting and asked the database').toBeUndefined()
    fill.resume()
    await settle()
    expect(await reader.read('42'), 'the holder has stored the deleted row by now').toBeUndefined()
    await writer.fence(deletion)
    const insertion = fleet.table.put('42', 2)
    await writer.fence(insertion)
    await writer.read('42')
    await settle()
    expect((await reader.read('42'))?.price, 'it is back').toBe(2)
    await settle()
    const before = fleet.table.loads.length
    expect((await reader.read('42'))?.price).toBe(2)
    expect(fleet.table.loads, 'and cached').toHaveLength(before)
    expect(reader.events.count('floor.reset')).toBe(0)
  })

  it('unless the database itself went back: then it is right, and says so in an event', async () => {
    const fleet = new Fleet()
    const process = fleet.start()
    fleet.table.put('42', 1)
    const backup = fleet.table.position()
    await process.write('42', 2)
    expect((await process.read('42'))?.price).toBe(2)
    await settle()
    fleet.table.restore(backup)
    await fleet.clock.advance(300_000)
    expect((await process.read('42'))?.price).toBe(1)
    expect(process.events.count('floor.reset')).toBe(1)
    await settle()
    expect((await process.read('42'))?.price).toBe(1)
    expect(fleet.table.loads, 'cached again').toHaveLength(2)
  })

  it('and then its rows are cached again when the fences from before are forgotten, however hot they are', async () => {
    const fleet = new Fleet({ fenceMs: 60_000 })
    const process = fleet.start()
    fleet.table.put('42', 1)
    await process.read('42')
    await settle()
    const backup = fleet.table.position()
    await process.write('42', 2)
    fleet.table.restore(backup)
    for (let second = 0; second < 61; second++) {
      expect((await process.read('42'))?.price).toBe(1)
      await fleet.clock.advance(1_000)
    }
    const before = fleet.table.loads.length
    for (let second = 0; second < 60; second++) {
      expect((await process.read('42'))?.price).toBe(1)
      await fleet.clock.advance(1_000)
    }
    expect(fleet.table.loads.length - before).toBeLessThanOrEqual(1)
  })
})
