import { describe, expect, it } from 'vitest'
import { Fleet } from '../../support/fleet.js'
import { settle } from '../../support/manual-clock.js'
import { expectNothingLeft } from '../../support/nothing-left.js'

describe('Reader', () => {
  expectNothingLeft()

  it('misses, fills and hits', async () => {
    const fleet = new Fleet()
    const process = fleet.start()
    fleet.table.put('42', 1)
    const row = await process.read('42')
    await settle()
    expect(await process.read('42')).toEqual(row)
    expect(await process.read('43')).toBeUndefined()
    await settle()
    expect(await process.read('43')).toBeUndefined()
    expect(process.events.story()).toMatchInlineSnapshot(`
      "
      1 miss nothing
      2 load 1 id
      3 fill miss filled
      4 hit l2 fresh
      5 miss nothing
      6 load 1 id
      7 fill miss filled
      8 hit l2 fresh
      "
    `)
  })

  it('shares a fill among readers of one process', async () => {
    const fleet = new Fleet()
    const process = fleet.start()
    fleet.table.put('42', 1)
    await Promise.all([process.read('42'), process.read('42')])
    await settle()
    expect(process.events.story()).toMatchInlineSnapshot(`
      "
      1 miss nothing
      2 miss nothing
      3 coalesced process
      4 load 1 id
      5 fill miss filled
      "
    `)
  })

  it('waits for the fill of another process', async () => {
    const fleet = new Fleet()
    const [holder, waiter] = [fleet.start(), fleet.start()]
    fleet.table.put('42', 1)
    fleet.table.slowDown(20, fleet.clock)
    const readings = [holder.read('42'), waiter.read('42')]
    await fleet.clock.advance(40)
    await Promise.all(readings)
    expect(waiter.events.story()).toMatchInlineSnapshot(`
      "
      1 miss nothing
      2 coalesced fleet after 23 ms
      "
    `)
  })

  it('loads without the cache while that does not answer', async () => {
    const fleet = new Fleet()
    const process = fleet.start()
    fleet.table.put('42', 1)
    process.cache.breakNext('read', 'fail')
    await process.read('42')
    process.cache.breakNext('lease', 'fail')
    await process.read('42')
    process.cache.breakNext('fill', 'fail')
    await process.read('42')
    await settle()
    expect(process.events.story()).toMatchInlineSnapshot(`
      "
      1 cache.unavailable read
      2 miss unavailable
      3 load 1 id
      4 miss nothing
      5 cache.unavailable lease
      6 load 1 id
      7 miss nothing
      8 load 1 id
      9 cache.unavailable fill
      10 fill miss unavailable
      "
    `)
  })

  it('asks the cache for what one tick reads in one go', async () => {
    const fleet = new Fleet()
    const process = fleet.start()
    const ids = Array.from({ length: 40 }, (_, at) => String(at))
    for (const id of ids) fleet.table.put(id, Number(id))
    await Promise.all(ids.map((id) => process.read(id)))
    await process.background.idle()
    const rows = await Promise.all(ids.map((id) => process.read(id)))
    expect(rows.map((row) => row?.price)).toEqual(ids.map(Number))
    const asked = process.cache.calls.filter(({ operation }) => operation !== 'fill')
    expect(asked.map(({ operation, keys }) => `${operation} ${keys.length}`)).toEqual([
      'read 40',
      'lease 40',
      'read 40',
    ])
    // The model's table loads rows one by one, so fills leave as its bulkhead lets loads through.
    expect(process.cache.count('fill')).toBeLessThan(20)
  })

  describe('loadOnly', () => {
    it('reads the database and leaves the cache alone', async () => {
      const fleet = new Fleet()
      const process = fleet.start()
      fleet.table.put('42', 1)
      await process.read('42')
      await settle()
      fleet.table.put('42', 2)
      process.cache.calls.length = 0
      expect((await process.loadOnly('42'))?.price).toBe(2)
      expect(process.cache.calls).toEqual([])
      expect((await process.read('42'))?.price, 'never older than what was shown').toBe(2)
    })
  })

  describe('reload', () => {
    it('brings the cache up to what the database holds', async () => {
      const fleet = new Fleet()
      const [process, other] = [fleet.start(), fleet.start()]
      fleet.table.put('42', 1)
      await process.read('42')
      await settle()
      fleet.table.put('42', 2)
      expect((await process.reload('42'))?.price).toBe(2)
      await settle()
      expect((await other.read('42'))?.price).toBe(2)
    })

    it('brings the cache up to it also where that has gone back', async () => {
      const fleet = new Fleet()
      const [process, other] = [fleet.start(), fleet.start()]
      fleet.table.put('42', 1)
      const backup = fleet.table.position()
      fleet.table.put('42', 2)
      await process.read('42')
      await settle()
      fleet.table.restore(backup)
      expect((await process.reload('42'))?.price).toBe(1)
      await settle()
      expect((await other.read('42'))?.price).toBe(1)
    })

    it('is not answered by a fill of another process whose load began before it', async () => {
      const fleet = new Fleet()
      const [process, other] = [fleet.start(), fleet.start()]
      fleet.table.put('42', 1)
      const fill = other.cache.pause('before fill')
      await other.read('42')
      await fill.reached
      // Written by other means: nobody fences.
      fleet.table.put('42', 2)
      const reloading = process.reload('42')
      await settle()
      fill.resume()
      await fleet.clock.advance(1_000)
      expect((await reloading)?.price).toBe(2)
      await settle()
      expect((await other.read('42'))?.price).toBe(2)
    })

    it('is shared by those who need it at once: two loads for all of them, whoever came first', async () => {
      const fleet = new Fleet()
      const processes = [fleet.start(), fleet.start()]
      fleet.table.put('42', 1)
      await processes[0]?.read('42')
      await settle()
      fleet.table.put('42', 2)
      fleet.table.slowDown(20, fleet.clock)
      const reloading = Array.from({ length: 20 }, () => processes.map((process) => process.reload('42'))).flat()
      await fleet.clock.advance(1_000)
      expect((await Promise.all(reloading)).every((row) => row?.price === 2)).toBe(true)
      expect(fleet.table.loads.length - 1).toBe(2)
    })

    it('is not answered by a load of its own process that began before it', async () => {
      const fleet = new Fleet()
      const process = fleet.start()
      fleet.table.put('42', 1)
      const select = fleet.table.pause('after load')
      const reading = process.read('42')
      await select.reached
      fleet.table.put('42', 2)
      const reloading = process.reload('42')
      await settle()
      select.resume()
      await reading
      await fleet.clock.advance(5_000)
      expect((await reloading)?.price).toBe(2)
    })
  })

  describe('refreshBehind', () => {
    async function nearlyOver() {
      const fleet = new Fleet({ freshMs: 10_000 })
      const [process, other] = [fleet.start(), fleet.start()]
      fleet.table.put('42', 1)
      await process.read('42')
      await fleet.clock.advance(9_900)
      process.cache.calls.length = 0
      return { fleet, process, other }
    }

    it('replaces the entry once, however many hits draw the lot while it does', async () => {
      const { fleet, process } = await nearlyOver()
      fleet.table.slowDown(20, fleet.clock)
      for (let hit = 0; hit < 10; hit++) {
        process.refreshBehind('42', 100 - hit)
        await fleet.clock.advance(1)
      }
      await fleet.clock.advance(20)
      expect(process.cache.calls.map(({ operation }) => operation)).toEqual(['read', 'lease', 'fill'])
      process.refreshBehind('42', 100)
      await fleet.clock.advance(20)
      expect(process.cache.count('read'), 'and may do so again').toBe(2)
    })

    it('loads nothing that another process has replaced already', async () => {
      const { fleet, process, other } = await nearlyOver()
      await other.reload('42')
      await settle()
      process.refreshBehind('42', 100)
      await settle()
      expect(process.cache.calls.map(({ operation }) => operation)).toEqual(['read'])
      expect(fleet.table.loads).toHaveLength(2)
    })

    it('leaves it to the next reader when the cache is away, which is told once', async () => {
      const { process } = await nearlyOver()
      process.cache.breakNext('read', 'fail')
      process.refreshBehind('42', 100)
      await settle()
      expect(process.events.of('cache.unavailable')).toHaveLength(1)
      expect(process.events.count('background.failed')).toBe(0)
    })

    it('leaves it to the next reader when there is nothing to replace', async () => {
      const { fleet, process } = await nearlyOver()
      await fleet.evictEntries()
      process.refreshBehind('42', 100)
      await settle()
      expect(process.cache.calls.map(({ operation }) => operation)).toEqual(['read'])
    })
  })

  it('asks anew where a load has not been answered for as long as anybody waits', async () => {
    const fleet = new Fleet()
    const process = fleet.start()
    fleet.table.put('42', 1)
    // As over a connection that is half open: others are not.
    const lost = fleet.table.pause('before load')
    const outcomes: unknown[] = []
    const read = () =>
      process.read('42').then(
        (row) => outcomes.push(row?.price),
        (error) => outcomes.push(error.code),
      )
    const reading = [read()]
    await lost.reached
    await fleet.clock.advance(9_999)
    reading.push(read())
    await fleet.clock.advance(1)
    reading.push(read())
    await settle()
    expect(outcomes).toEqual(['FILL_TIMEOUT', 1])
    expect(fleet.table.loads, 'and those who had joined wait for no third').toEqual(['42', '42'])
    await fleet.clock.advance(9_999)
    await Promise.all(reading)
    expect(outcomes).toEqual(['FILL_TIMEOUT', 1, 'FILL_TIMEOUT'])
    lost.resume()
  })

  it('gives up after the hard timeout, while the load goes on for the next', async () => {
    const fleet = new Fleet()
    const process = fleet.start()
    fleet.table.put('42', 1)
    const select = fleet.table.pause('before load')
    const outcome = process.read('42').catch((error) => error.code)
    await select.reached
    await fleet.clock.advance(9_999)
    const joined = process.read('42')
    await fleet.clock.advance(1)
    expect(await outcome).toBe('FILL_TIMEOUT')
    select.resume()
    await settle()
    expect((await joined)?.price).toBe(1)
  })
})
