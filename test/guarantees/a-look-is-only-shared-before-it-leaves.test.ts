import { describe, expect, it } from 'vitest'
import { Fleet } from '../support/fleet.js'
import { settle } from '../support/manual-clock.js'
import { expectNothingLeft } from '../support/nothing-left.js'

/** Readers of one key who begin in one tick look at the cache together. None of them may be shown less than if it had looked alone. */
describe.each([
  ['with versions', { hasVersions: true }],
  ['without versions', { hasVersions: false }],
  ['by one promise for all', { readsShared: true }],
])('a look is only shared before it leaves, %s', (_, settings) => {
  expectNothingLeft()

  async function cached() {
    const fleet = new Fleet(settings)
    const [process, writer] = [fleet.start(), fleet.start()]
    fleet.table.put('42', 1)
    await process.read('42')
    await settle()
    process.cache.calls.length = 0
    return { fleet, process, writer }
  }

  it('by any number of readers, who all get the row', async () => {
    const { process } = await cached()
    const rows = await Promise.all(Array.from({ length: 100 }, () => process.read('42')))
    expect(rows.map((row) => row?.price)).toEqual(rows.map(() => 1))
    expect(process.cache.calls).toEqual([{ operation: 'read', keys: [process.keyOf('42')] }])
    expect(process.events.of('hit'), 'each of them counts').toHaveLength(100)
  })

  it('so that one who comes after a write was acknowledged looks again', async () => {
    const { process, writer } = await cached()
    const reply = process.cache.pause('after read')
    const early = process.read('42')
    await reply.reached
    expect(await writer.write('42', 2)).toBe('fenced')
    const late = process.read('42')
    await settle()
    reply.resume()
    expect((await late)?.price).toBe(2)
    await early
  })

  it('also when more are asked for in one tick than fit into one round trip', async () => {
    const { process, writer } = await cached()
    const reply = process.cache.pause('after read')
    const early = process.read('42')
    // The 512th look makes the batch leave before the tick has ended.
    const others = Array.from({ length: 511 }, (_, id) => process.read(`other ${id}`))
    await reply.reached
    expect(await writer.write('42', 2)).toBe('fenced')
    const late = process.read('42')
    reply.resume()
    expect((await late)?.price).toBe(2)
    await Promise.all([early, ...others])
  })

  it('and not by a reader whose own write the cache has not acknowledged', async () => {
    const { fleet, process } = await cached()
    process.cache.breakNext('fence', 'fail')
    const first = process.read('42')
    const written = process.write('42', 2)
    const second = written.then(() => process.read('42'))
    expect(await written).toBe('pending')
    expect((await second)?.price).toBe(2)
    await first
    await fleet.clock.advance(1_000)
    expect(process.pending.size).toBe(0)
  })
})

describe.each([
  ['by a promise for each', false],
  ['by one promise for all', true],
])('a look that is shared %s', (_, readsShared) => {
  expectNothingLeft()

  it('is held against what any of its readers has to be shown', async () => {
    const fleet = new Fleet({ readsShared })
    const process = fleet.start()
    fleet.table.put('42', 1)
    await process.read('42')
    await settle()
    const { version } = fleet.table.put('42', 2)
    const reading = process.read('42')
    process.floors.raise(process.keyOf('42'), version, false)
    expect((await process.read('42'))?.price, 'as a session with this demand').toBe(2)
    expect((await reading)?.price).toBe(2)
    expect(fleet.table.loads).toEqual(['42', '42'])
  })

  it('fails for all of them, and only for them', async () => {
    const fleet = new Fleet({ readsShared })
    const process = fleet.start()
    fleet.table.put('42', 1)
    process.cache.breakNext('read', 'fail')
    const failure = new Error('the database is away')
    fleet.table.failLoads(failure)
    const outcomes = await Promise.allSettled(Array.from({ length: 10 }, () => process.read('42')))
    expect(outcomes).toEqual(outcomes.map(() => ({ status: 'rejected', reason: failure })))
    expect(fleet.table.loads).toEqual(['42'])
    fleet.table.healLoads()
    expect((await process.read('42'))?.price).toBe(1)
  })
})
