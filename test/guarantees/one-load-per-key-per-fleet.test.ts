import { describe, expect, it } from 'vitest'
import { SourceError } from '../../src/core/errors.js'
import { Fleet } from '../support/fleet.js'
import { settle } from '../support/manual-clock.js'
import { expectNothingLeft } from '../support/nothing-left.js'
import type { ProcessModel, ProcessSettings } from '../support/process-model.js'

const PROCESSES = 4
const READERS = 25

describe('one load per key per fleet', () => {
  expectNothingLeft()

  function open(loadMs: number, settings: Partial<ProcessSettings> = {}) {
    const fleet = new Fleet(settings)
    fleet.table.put('42', 1)
    fleet.table.slowDown(loadMs, fleet.clock)
    const processes = Array.from({ length: PROCESSES }, () => fleet.start())
    return { fleet, processes }
  }

  function readByAll(processes: readonly ProcessModel[]) {
    return processes.flatMap((process) => Array.from({ length: READERS }, () => process.read('42')))
  }

  it('on a cold key', async () => {
    const { fleet, processes } = open(80)
    const readings = readByAll(processes)
    await fleet.clock.advance(200)
    const rows = await Promise.all(readings)
    expect(rows.every((row) => row?.price === 1)).toBe(true)
    expect(fleet.table.loads).toEqual(['42'])
    expect(processes[1]?.events.of('coalesced').filter(({ scope }) => scope === 'fleet')).toHaveLength(1)
  })

  it('on a key that has expired, again and again', async () => {
    const { fleet, processes } = open(80)
    for (let round = 1; round <= 5; round++) {
      const readings = readByAll(processes)
      await fleet.clock.advance(301_000)
      await Promise.all(readings)
      expect(fleet.table.loads).toHaveLength(round)
    }
  })

  it('also while loads fail: those who waited for it get the failure, and never two run at once', async () => {
    const { fleet, processes } = open(80)
    const driver = Object.assign(new Error('canceling statement'), { code: '57014' })
    fleet.table.failLoads(new SourceError('load', driver))
    const outcomes = readByAll(processes).map((reading) =>
      reading.then(
        () => 'a row',
        (error) => error,
      ),
    )
    await fleet.clock.advance(300)
    const errors = await Promise.all(outcomes)
    expect(new Set(errors.map(({ code }) => code))).toEqual(new Set(['SOURCE_FAILED']))
    expect(fleet.table.loads, 'one load, one failure for everybody').toEqual(['42'])
    expect(errors.map(({ cause }) => cause.code)).toEqual(errors.map(() => '57014'))
    expect(errors.at(-1).cause, 'of another process only the code is told').not.toBe(driver)
  })

  it('but the failure of a process that is overloaded is its own: whoever waits for it loads instead', async () => {
    const fleet = new Fleet()
    fleet.table.put('42', 1)
    fleet.table.slowDown(80, fleet.clock)
    const busy = fleet.start({ load: { concurrency: 1, queue: 1_000, queueMs: 10 } })
    const idle = fleet.start()
    const other = busy.read('7')
    await settle()
    const refused = busy.read('42').catch((error) => error)
    await settle()
    const waiting = idle.read('42')
    await fleet.clock.advance(500)
    expect(await refused).toMatchObject({ code: 'OVERLOADED' })
    expect((await waiting)?.price).toBe(1)
    expect(fleet.table.loads, 'one of each').toEqual(['7', '42'])
    await other
  })

  it('also while loads go on failing: one at a time', async () => {
    const { fleet, processes } = open(30)
    fleet.table.failLoads(new Error('the database is away'))
    const outcomes: Promise<unknown>[] = []
    for (let i = 0; i < 100; i++) {
      for (const process of processes) outcomes.push(process.read('42').catch(() => undefined))
      await fleet.clock.advance(10)
    }
    await fleet.clock.advance(6_000)
    await Promise.all(outcomes)
    expect(fleet.table.overlapping).toEqual([])
    expect(fleet.table.loads.length).toBeGreaterThan(10)
    fleet.table.healLoads()
  })

  it('and one more when the holder dies, after its lease has ended', async () => {
    const { fleet, processes } = open(80)
    const [victim, ...others] = processes as [ProcessModel, ProcessModel, ProcessModel, ProcessModel]
    const fill = victim.cache.pause('before fill')
    void victim.read('42')
    await fleet.clock.advance(100)
    await fill.reached
    victim.cache.breakAlways('fail')
    victim.die()

    const readings = readByAll(others)
    await fleet.clock.advance(2_000)
    expect(fleet.table.loads, 'the lease still holds').toHaveLength(1)
    await fleet.clock.advance(1_500)
    expect((await Promise.all(readings)).every((row) => row?.price === 1)).toBe(true)
    expect(fleet.table.loads).toHaveLength(2)
    expect(fleet.table.overlapping).toEqual([])
  })

  it('except for readers who have waited for a holder longer than they should: they load, and leave the filling to it', async () => {
    const lease = { minMs: 200, maxMs: 5_000, waitMs: 500 }
    const { fleet, processes } = open(80, { fill: { jitter: 0, graceMs: 0, lease } })
    const [holder, other] = processes as [ProcessModel, ProcessModel]
    const select = fleet.table.pause('before load')
    const slow = holder.read('42')
    await select.reached
    const waiting = Array.from({ length: READERS }, () => other.read('42'))
    await fleet.clock.advance(499)
    expect(fleet.table.loads, 'the lease holds for 3 s').toHaveLength(1)
    await fleet.clock.advance(1 + 80)
    expect((await Promise.all(waiting)).every((row) => row?.price === 1)).toBe(true)
    expect(fleet.table.loads, 'one for all who waited').toHaveLength(2)
    expect(other.events.of('fill')).toEqual([])
    select.resume()
    await fleet.clock.advance(100)
    await slow
    expect(holder.events.of('fill').map(({ outcome }) => outcome)).toEqual(['filled'])
  })
})
