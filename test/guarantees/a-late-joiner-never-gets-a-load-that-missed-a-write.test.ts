import { describe, expect, it } from 'vitest'
import { Fleet } from '../support/fleet.js'
import { settle } from '../support/manual-clock.js'
import { expectNothingLeft } from '../support/nothing-left.js'

/** docs/design/decisions/0003-joining-a-fill.md. The write is another process', which tells this one nothing but through the cache. */
describe.each([
  ['with versions', true],
  ['without versions', false],
])('a late joiner never gets a load that missed a write, %s', (_, hasVersions) => {
  expectNothingLeft()

  /** A reader whose SELECT has been answered and is on its way back. */
  async function loading() {
    const fleet = new Fleet({ hasVersions })
    const [process, writer] = [fleet.start(), fleet.start()]
    fleet.table.put('42', 1)
    const select = fleet.table.pause('after load')
    const early = process.read('42')
    await select.reached
    return { fleet, process, writer, select, early }
  }

  it('that was fenced before it began', async () => {
    const { process, writer, select, early } = await loading()
    expect(await writer.write('42', 2)).toBe('fenced')
    const late = process.read('42')
    await settle()
    select.resume()
    expect((await late)?.price).toBe(2)
    expect((await early)?.price, 'began before the write, and may not have seen it').toBe(1)
    await settle()
    expect((await process.read('42'))?.price).toBe(2)
  })

  it('nor do many of them, who share one more load', async () => {
    const { fleet, process, writer, select, early } = await loading()
    await writer.write('42', 2)
    const late = Array.from({ length: 50 }, () => process.read('42'))
    await settle()
    select.resume()
    for (const row of await Promise.all(late)) expect(row?.price).toBe(2)
    await early
    expect(fleet.table.loads).toHaveLength(2)
    expect(fleet.table.overlapping).toEqual([])
  })

  it('nor one that comes while the loaded row is being stored', async () => {
    const fleet = new Fleet({ hasVersions })
    const [process, writer] = [fleet.start(), fleet.start()]
    fleet.table.put('42', 1)
    const fill = process.cache.pause('before fill')
    const select = fleet.table.pause('after load')
    const early = process.read('42')
    await select.reached
    const joiner = process.read('42')
    select.resume()
    await fill.reached
    await writer.write('42', 2)
    fill.resume()
    expect((await process.read('42'))?.price).toBe(2)
    await Promise.all([early, joiner])
  })

  it('that deleted the row', async () => {
    const { process, writer, select, early } = await loading()
    await writer.remove('42')
    const late = process.read('42')
    await settle()
    select.resume()
    expect(await late).toBeUndefined()
    await early
  })

  it('as often as it happens', async () => {
    const { fleet, process, writer, select, early } = await loading()
    const readings = [{ least: 1, row: early }]
    let overtaken = select
    for (let price = 2; price < 7; price++) {
      await writer.write('42', price)
      readings.push({ least: price, row: process.read('42') })
      await settle()
      const next = fleet.table.pause('after load')
      overtaken.resume()
      await next.reached
      overtaken = next
    }
    overtaken.resume()
    for (const { least, row } of readings) expect((await row)?.price).toBeGreaterThanOrEqual(least)
    expect(fleet.table.overlapping).toEqual([])
  })

  it('but shares a load that missed nothing', async () => {
    const { fleet, process, select, early } = await loading()
    const late = process.read('42')
    await settle()
    select.resume()
    expect((await late)?.price).toBe(1)
    await early
    expect(fleet.table.loads).toHaveLength(1)
  })
})

describe('a late joiner of a load that was made once more', () => {
  expectNothingLeft()

  it('is not told by the first one’s fill what became of the second', async () => {
    const fleet = new Fleet()
    const [process, writer] = [fleet.start(), fleet.start()]
    fleet.table.put('42', 1)
    const first = fleet.table.pause('after load')
    const early = process.read('42')
    await first.reached
    // By SQL, and its fence has not come yet; but somebody in this process has seen it, by a read of the primary.
    const { version } = fleet.table.put('42', 2)
    process.floors.raise(process.keyOf('42'), version, false)
    const second = fleet.table.pause('after load')
    first.resume()
    await second.reached
    await settle()
    expect(process.events.of('fill').map(({ outcome }) => outcome)).toEqual(['filled'])

    expect(await writer.write('42', 3)).toBe('fenced')
    const late = process.read('42')
    await settle()
    second.resume()
    expect((await late)?.price).toBe(3)
    expect((await early)?.price, 'began before the write, and may not have seen it').toBe(2)
  })
})
