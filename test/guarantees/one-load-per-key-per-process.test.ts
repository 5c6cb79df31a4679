import { describe, expect, it } from 'vitest'
import { SourceError } from '../../src/core/errors.js'
import { Fleet } from '../support/fleet.js'
import { expectNothingLeft } from '../support/nothing-left.js'
import type { ProcessModel } from '../support/process-model.js'
import type { LoadPoint } from '../support/table-model.js'

describe('one load per key per process', () => {
  expectNothingLeft()

  const READERS = 100

  /** One reader loads, and the others come one after the other while its load stands at this point. */
  async function readWhileLoading(fleet: Fleet, process: ProcessModel, point: LoadPoint): Promise<void> {
    const select = fleet.table.pause(point)
    const readings = [process.read('42')]
    await select.reached
    for (let i = 0; i < READERS; i++) {
      readings.push(process.read('42'))
      await fleet.clock.advance(1)
    }
    select.resume()
    await Promise.all(readings)
  }

  it('for readers of one tick', async () => {
    const fleet = new Fleet()
    const process = fleet.start()
    fleet.table.put('42', 1)
    const rows = await Promise.all(Array.from({ length: READERS }, () => process.read('42')))
    expect(rows.every((row) => row?.price === 1)).toBe(true)
    expect(fleet.table.loads).toEqual(['42'])
  })

  it('for readers who come while it is under way', async () => {
    const fleet = new Fleet()
    const process = fleet.start()
    fleet.table.put('42', 1)
    await readWhileLoading(fleet, process, 'after load')
    expect(fleet.table.loads).toEqual(['42'])
  })

  it('while the cache is away, for readers of one tick', async () => {
    const fleet = new Fleet()
    const process = fleet.start()
    fleet.table.put('42', 1)
    process.cache.breakAlways('fail')
    await Promise.all(Array.from({ length: READERS }, () => process.read('42')))
    expect(fleet.table.loads).toEqual(['42'])
  })

  it('while the cache is away, and one more for those who came after it began', async () => {
    const fleet = new Fleet()
    const process = fleet.start()
    fleet.table.put('42', 1)
    process.cache.breakAlways('fail')
    await readWhileLoading(fleet, process, 'before load')
    expect(fleet.table.loads).toEqual(['42', '42'])
    expect(fleet.table.overlapping).toEqual([])
  })

  it('also while loads fail: a reader every 10 ms, loads that fail after 30 ms, never two at once', async () => {
    const fleet = new Fleet()
    const process = fleet.start()
    fleet.table.put('42', 1)
    fleet.table.failLoads(new SourceError('load', new Error('the database is away')))
    fleet.table.slowDown(30, fleet.clock)
    const outcomes: Promise<string>[] = []
    for (let i = 0; i < READERS; i++) {
      outcomes.push(
        process.read('42').then(
          () => 'a row',
          (error) => error.code,
        ),
      )
      await fleet.clock.advance(10)
    }
    await fleet.clock.advance(1_000)
    expect(new Set(await Promise.all(outcomes))).toEqual(new Set(['SOURCE_FAILED']))
    expect(fleet.table.overlapping).toEqual([])
    expect(fleet.table.loads.length).toBeLessThanOrEqual(READERS / 3 + 1)
    expect(fleet.table.loads.length, 'each failure lets the next one try').toBeGreaterThan(READERS / 5)

    fleet.table.healLoads()
    const reading = process.read('42')
    await fleet.clock.advance(100)
    expect((await reading)?.price).toBe(1)
  })

  it('and other keys do not wait for it', async () => {
    const fleet = new Fleet()
    const process = fleet.start()
    fleet.table.put('1', 1)
    fleet.table.put('2', 2)
    const select = fleet.table.pause('before load')
    const slow = process.read('1')
    await select.reached
    expect((await process.read('2'))?.price).toBe(2)
    select.resume()
    expect((await slow)?.price).toBe(1)
  })
})
