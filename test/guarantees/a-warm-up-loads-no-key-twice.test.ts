import { describe, expect, it } from 'vitest'
import { Fleet } from '../support/fleet.js'
import { settle } from '../support/manual-clock.js'
import { expectNothingLeft } from '../support/nothing-left.js'

const IDS = Array.from({ length: 20 }, (_, at) => String(at))

describe('a warm-up loads no key twice', () => {
  expectNothingLeft()

  function open() {
    const fleet = new Fleet()
    for (const id of IDS) fleet.table.put(id, 1)
    return fleet
  }

  it('though a whole fleet warms up at once, and serves at the same time', async () => {
    const fleet = open()
    const [first, second, third] = [fleet.start(), fleet.start(), fleet.start()]
    fleet.table.slowDown(20, fleet.clock)
    const reading = Promise.all(IDS.slice(0, 5).map((id) => third.read(id)))
    const warming = Promise.all([first, second].flatMap((process) => IDS.map((id) => process.warm(id))))
    await fleet.clock.advance(1_000)
    const outcomes = await warming
    expect((await reading).every((row) => row?.price === 1)).toBe(true)
    expect(fleet.table.loads.toSorted()).toEqual(IDS.toSorted())
    expect(outcomes.filter((outcome) => outcome === 'filled')).toHaveLength(15)
    expect(outcomes.filter((outcome) => outcome === 'skipped')).toHaveLength(25)
    for (const id of IDS) expect((await third.read(id))?.price).toBe(1)
    expect(fleet.table.loads, 'everything is cached').toHaveLength(IDS.length)
  })

  it('and readers wait for it as for one another', async () => {
    const fleet = open()
    const [warming, reader] = [fleet.start(), fleet.start()]
    const select = fleet.table.pause('after load')
    const outcome = warming.warm('1')
    await select.reached
    const reading = reader.read('1')
    await fleet.clock.advance(5)
    select.resume()
    expect(await outcome).toBe('filled')
    await fleet.clock.advance(500)
    expect((await reading)?.price).toBe(1)
    expect(fleet.table.loads).toEqual(['1'])
  })

  it('and leaves no lease behind that they would wait for, where the cache lost what it stored', async () => {
    const fleet = open()
    const [warming, reader] = [fleet.start(), fleet.start()]
    warming.cache.breakNext('fill', 'fail')
    expect(await warming.warm('1')).toBe('failed')
    const reading = reader.read('1')
    await settle()
    expect(reader.events.count('load'), 'without waiting').toBe(1)
    await fleet.clock.advance(5_000)
    expect((await reading)?.price).toBe(1)
  })

  it('skips what is cached, fills what is absent, expired, or of another release', async () => {
    const fleet = open()
    const [process, other] = [fleet.start(), fleet.start({ shape: '00000001' })]
    await process.read('1')
    await other.read('2')
    await settle()
    expect(await Promise.all(['1', '2', 'gone'].map((id) => process.warm(id)))).toEqual(['skipped', 'filled', 'filled'])
    expect(await process.warm('gone'), 'the absence is remembered').toBe('skipped')
    await fleet.clock.advance(300_000)
    expect(await process.warm('1')).toBe('filled')
  })

  it('stores nothing a write has overtaken', async () => {
    const fleet = open()
    const [warming, writer] = [fleet.start(), fleet.start()]
    const fill = warming.cache.pause('before fill')
    const outcome = warming.warm('1')
    await fill.reached
    expect(await writer.write('1', 2)).toBe('fenced')
    fill.resume()
    expect(await outcome).toBe('skipped')
    expect((await warming.read('1'))?.price).toBe(2)
    await settle()
  })

  it('raises no floor: nobody was shown anything', async () => {
    const fleet = open()
    const process = fleet.start()
    await process.warm('1')
    await process.warm('1')
    expect(process.floors.get(process.keyOf('1'))).toBeUndefined()
  })

  it('counts a failure, gives the lease back, and leaves the key to its readers', async () => {
    const fleet = open()
    const [warming, reader] = [fleet.start(), fleet.start()]
    fleet.table.failLoads(new Error('gone'))
    expect(await warming.warm('1')).toBe('failed')
    fleet.table.healLoads()
    expect((await reader.read('1'))?.price).toBe(1)
    warming.cache.breakAlways('fail')
    expect(await warming.warm('2')).toBe('failed')
    warming.cache.heal()
    await fleet.clock.advance(1_000)
  })

  it('leaves a key alone whose fence this process could not deliver', async () => {
    const fleet = open()
    const process = fleet.start()
    process.cache.breakNext('fence', 'fail')
    expect(await process.write('1', 2)).toBe('pending')
    expect(await process.warm('1')).toBe('skipped')
    await fleet.clock.advance(100)
    expect(await process.warm('1')).toBe('filled')
  })
})
