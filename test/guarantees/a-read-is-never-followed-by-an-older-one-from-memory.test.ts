import { describe, expect, it } from 'vitest'
import { settle } from '../support/manual-clock.js'
import { endFleetsAfterEach, NearFleet } from '../support/near-fleet.js'

/** A row was changed by SQL that nobody told us of, and this process is shown the new one before its copy has ended. */
describe('a read is never followed by an older one from memory', () => {
  endFleetsAfterEach()

  async function warmed(hasVersions = true) {
    const fleet = new NearFleet({ hasVersions })
    const [process, other] = [fleet.start(), fleet.start()]
    await fleet.warm('42', 1, process, other)
    return { fleet, process, other }
  }

  it.each([
    ['with versions', true],
    ['without versions', false],
  ])('after a read of the database, %s', async (_, hasVersions) => {
    const { fleet, process } = await warmed(hasVersions)
    fleet.table.put('42', 2)
    expect((await process.readPrimary('42'))?.price).toBe(2)
    // Without a stamp nothing tells that the entry in the cache is older; there the copy has to go all the same.
    if (hasVersions) expect((await process.read('42'))?.price).toBe(2)
    else expect(process.holds('42')).toBe(false)
  })

  it('after a read of the database that found no row', async () => {
    const { fleet, process } = await warmed()
    fleet.table.remove('42')
    expect(await process.readPrimary('42')).toBeUndefined()
    expect(await process.read('42')).toBeUndefined()
  })

  it('after a reload that could not be stored', async () => {
    const { fleet, process } = await warmed()
    fleet.table.put('42', 2)
    process.cache.breakAlways('fail')
    expect((await process.reload('42'))?.price).toBe(2)
    process.cache.heal()
    expect((await process.read('42'))?.price).toBe(2)
  })

  it('after a look at the cache, while its own copy was not trusted', async () => {
    const { fleet, process, other } = await warmed()
    process.clock.stop()
    process.channel?.holdIncoming()
    await fleet.clock.advance(3_000)
    fleet.table.put('42', 2)
    await other.reload('42')
    await settle()
    expect((await process.read('42'))?.price).toBe(2)
    process.clock.goOn()
    process.channel?.releaseIncoming()
    await settle()
    expect((await process.read('42'))?.price).toBe(2)
  })

  /** Found by a fault run, under ten times the load. */
  it('after a read that waited for the load of another process, while its own copy was not trusted', async () => {
    const fleet = new NearFleet()
    const [process, other] = [fleet.start(), fleet.start()]
    await fleet.warm('42', 1, process)
    process.clock.stop()
    process.channel?.holdIncoming()
    await fleet.clock.advance(3_000)
    fleet.table.put('42', 2)
    const gone = { version: null, xid: null, keepMs: 1_000, rememberAlways: false, replacement: null }
    await fleet.store.fence([{ key: process.keyOf('42'), ...gone }])
    const fill = other.cache.pause('before fill')
    const loading = other.read('42')
    await fill.reached
    const waiting = process.read('42')
    await settle()
    fill.resume()
    await loading
    process.clock.goOn()
    process.channel?.releaseIncoming()
    await fleet.clock.advance(1_000)
    expect((await waiting)?.price).toBe(2)
    expect((await process.read('42'))?.price).toBe(2)
  })

  it('after a load that began earlier, and is stored and answered later', async () => {
    const fleet = new NearFleet()
    const process = fleet.start()
    fleet.table.put('42', 1)
    const select = fleet.table.pause('after load')
    const reading = process.read('42')
    await select.reached
    fleet.table.put('42', 2)
    expect((await process.readPrimary('42'))?.price).toBe(2)
    select.resume()
    expect((await reading)?.price, 'its own load had missed what was shown since').toBe(2)
    await settle()
    expect((await process.read('42'))?.price).toBe(2)
  })

  it('unless the database itself went back', async () => {
    const fleet = new NearFleet()
    const process = fleet.start()
    await fleet.warm('42', 1, process)
    const backup = fleet.table.position()
    await process.write('42', 2)
    await process.read('42')
    await settle()
    fleet.table.restore(backup)
    expect((await process.readPrimary('42'))?.price).toBe(1)
    expect(process.holds('42'), 'what it held never happened').toBe(false)
  })
})
