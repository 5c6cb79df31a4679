import { describe, expect, it } from 'vitest'
import { Fleet } from '../support/fleet.js'
import { settle } from '../support/manual-clock.js'
import { expectNothingLeft } from '../support/nothing-left.js'

describe('a paused fill never resurrects an old row', () => {
  expectNothingLeft()

  it('when it stores after the row was changed and fenced', async () => {
    const { table, start } = open()
    const [reader, writer] = [start(), start()]
    table.put('42', 1)
    const pause = reader.cache.pause('before fill')
    expect((await reader.read('42'))?.price).toBe(1)
    await pause.reached

    expect(await writer.write('42', 2)).toBe('fenced')
    pause.resume()
    await settle()

    expect((await writer.read('42'))?.price).toBe(2)
    expect((await reader.read('42'))?.price).toBe(2)
    expect(reader.events.story()).toMatchInlineSnapshot(`
      "
      1 miss nothing
      2 load 1 id
      3 fill miss lease-lost
      4 hit l2 fresh
      "
    `)
  })

  it('when its SELECT ran before the commit and its result came after the fence', async () => {
    const { table, start } = open()
    const [reader, writer] = [start(), start()]
    table.put('42', 1)
    const select = table.pause('after load')
    const reading = reader.read('42')
    await select.reached

    expect(await writer.write('42', 2)).toBe('fenced')
    select.resume()
    expect((await reading)?.price, 'the reader began before the write ended, so it may see either').toBe(1)
    await settle()

    expect((await writer.read('42'))?.price).toBe(2)
    expect((await reader.read('42'))?.price).toBe(2)
  })

  it('when a request for a lease that it had given up arrives after the fence', async () => {
    const fleet = new Fleet()
    const { clock, table } = fleet
    const [reader, writer] = [fleet.start(), fleet.start()]
    await fleet.holdLease(reader.keyOf('42'), 1)
    const reading = reader.read('42')
    await settle()
    const givenUp = reader.cache.pause('before lease')
    const select = table.pause('after load')
    await clock.advance(2)
    await givenUp.reached
    await clock.advance(50)
    await select.reached

    expect(await writer.write('42', 2)).toBe('fenced')
    givenUp.resume()
    await settle()
    select.resume()
    expect(await reading, 'the reader began before the row was there').toBeUndefined()
    await settle()

    const later = writer.read('42')
    await clock.advance(5_000)
    expect((await later)?.price).toBe(2)
    expect(reader.events.of('fill').at(-1)?.outcome, 'what came too late is the lease of nobody').toBe('lease-lost')
  })

  it('when it stores between the commit and the fence: the fence removes it', async () => {
    const { table, start } = open()
    const [reader, writer] = [start(), start()]
    table.put('42', 1)
    const fill = reader.cache.pause('before fill')
    await reader.read('42')
    await fill.reached
    const fence = writer.cache.pause('before fence')
    const writing = writer.write('42', 2)
    await fence.reached

    fill.resume()
    await settle()
    expect((await start().read('42'))?.price, 'the write has not been acknowledged yet').toBe(1)
    fence.resume()
    expect(await writing).toBe('fenced')
    expect((await reader.read('42'))?.price).toBe(2)
  })

  it('when a reader joins it after the write was fenced', async () => {
    const { table, start } = open()
    const [process, writer] = [start(), start()]
    table.put('42', 1)
    const select = table.pause('after load')
    const early = process.read('42')
    await select.reached
    expect(await writer.write('42', 2)).toBe('fenced')
    const late = process.read('42')
    await settle()
    select.resume()
    expect((await early)?.price).toBe(1)
    expect((await late)?.price, 'it began after the write was fenced').toBe(2)
  })
})

function open() {
  const fleet = new Fleet()
  return { ...fleet, start: () => fleet.start(), table: fleet.table }
}
