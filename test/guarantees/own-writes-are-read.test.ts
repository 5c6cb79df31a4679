import { describe, expect, it } from 'vitest'
import { Fleet } from '../support/fleet.js'
import { settle, untimed } from '../support/manual-clock.js'
import { expectNothingLeft } from '../support/nothing-left.js'

const LEASE_MS = 5_000

describe.each([
  ['with versions', true],
  ['without versions', false],
])('own writes are read, %s', (_, hasVersions) => {
  expectNothingLeft()

  it('from the cache, as soon as the write has returned', async () => {
    const fleet = new Fleet({ hasVersions })
    const process = fleet.start()
    for (let price = 1; price <= 5; price++) {
      expect(await process.write('42', price)).toBe('fenced')
      expect((await process.read('42'))?.price).toBe(price)
      expect((await process.read('42'))?.price).toBe(price)
      await settle()
    }
  })

  it('although the cache could not be told and still holds the old row', async () => {
    const fleet = new Fleet({ hasVersions })
    const [process, other] = [fleet.start(), fleet.start()]
    fleet.table.put('42', 1)
    await process.read('42')
    await settle()
    process.cache.breakAlways('fail', ['fence'])
    expect(await process.write('42', 2)).toBe('pending')
    expect((await process.read('42'))?.price).toBe(2)
    expect((await other.read('42'))?.price, 'others wait for the fence').toBe(1)
    process.cache.heal()
    await fleet.clock.advance(1_000)
    expect((await process.read('42'))?.price).toBe(2)
    expect((await other.read('42'))?.price).toBe(2)
  })

  it('by readers that come while a load from before the write is still under way', async () => {
    const fleet = new Fleet({ hasVersions })
    const process = fleet.start()
    fleet.table.put('42', 1)
    const select = fleet.table.pause('after load')
    const before = process.read('42')
    await select.reached
    await process.write('42', 2)
    const after = process.read('42')
    await settle()
    select.resume()
    expect((await untimed(after))?.price).toBe(2)
    await before
    await settle()
    expect((await process.read('42'))?.price).toBe(2)
  })

  it('while the cache is away, and a fill of another process from before the write lands', async () => {
    const fleet = new Fleet({ hasVersions })
    const [process, other] = [fleet.start(), fleet.start()]
    fleet.table.put('42', 1)
    const fill = other.cache.pause('before fill')
    await other.read('42')
    await fill.reached
    process.cache.breakAlways('hang', ['fence'])
    const writing = process.write('42', 2)
    // Comes while the fence is being tried, finds the lease taken and waits for the other's fill.
    const early = process.read('42')
    await fleet.clock.advance(50)
    expect(await writing).toBe('pending')
    const late = process.read('42')
    fill.resume()
    await fleet.clock.advance(LEASE_MS)
    expect((await late)?.price, 'it began after the write had returned').toBe(2)
    await early
    process.cache.heal()
    await fleet.clock.advance(2_000)
    expect((await process.read('42'))?.price).toBe(2)
  })

  it('when the row was deleted', async () => {
    const fleet = new Fleet({ hasVersions })
    const process = fleet.start()
    await process.write('42', 1)
    await process.read('42')
    await settle()
    process.cache.breakNext('fence', 'fail')
    expect(await process.remove('42')).toBe('pending')
    expect(await process.read('42')).toBeUndefined()
    await fleet.clock.advance(50)
    expect(await process.read('42')).toBeUndefined()
  })
})

describe.each([
  ['with versions', { hasVersions: true }],
  ['without versions', { hasVersions: false }],
  ['found by a value', { kind: 'lookup' }],
] as const)('own writes are read after a failover that forgot their fences, %s', (_, settings) => {
  expectNothingLeft()

  /** A replica without the fences of this process takes over when the cache has been filled. */
  async function filled(prices: readonly number[]) {
    const fleet = new Fleet(settings)
    const process = fleet.start()
    for (const price of prices) fleet.table.put('42', price)
    await fleet.start().read('42')
    await fleet.clock.advance(1)
    process.cache.forgetsFences = true
    return { fleet, process }
  }

  it('where an old row is back', async () => {
    const { fleet, process } = await filled([1])
    expect(await process.write('42', 2)).toBe('fenced')
    expect((await process.read('42'))?.price).toBe(2)
    await settle()
    const loads = fleet.table.loads
    expect((await process.read('42'))?.price).toBe(2)
    expect(fleet.table.loads, 'what was loaded after the write is good for all').toBe(loads)
  })

  it('where an absence is back', async () => {
    const { process } = await filled([])
    expect(await process.write('42', 1)).toBe('fenced')
    expect((await process.read('42'))?.price).toBe(1)
  })

  it('where a deleted row is back', async () => {
    const { process } = await filled([1])
    expect(await process.remove('42')).toBe('fenced')
    expect(await process.read('42')).toBeUndefined()
  })

  it('where the fence had to be sent twice', async () => {
    const { fleet, process } = await filled([1])
    process.cache.breakNext('fence', 'fail')
    expect(await process.write('42', 2)).toBe('pending')
    await fleet.clock.advance(1_000)
    expect(process.pending.size).toBe(0)
    expect((await process.read('42'))?.price).toBe(2)
  })
})
