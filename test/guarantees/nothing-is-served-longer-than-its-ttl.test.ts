import { describe, expect, it } from 'vitest'
import { Fleet } from '../support/fleet.js'
import { COPIES, HotFleet } from '../support/hot-fleet.js'
import { settle } from '../support/manual-clock.js'
import { expectNothingLeft } from '../support/nothing-left.js'
import type { ProcessModel } from '../support/process-model.js'

const TTL_MS = 1_000
const SLOW_MS = 400
const EARLY = { graceMs: 0, beta: 2, maxEarliness: 0.25, softTimeoutMs: 100, hardTimeoutMs: 10_000 }

/** The row is changed by SQL that nobody tells the cache of, right after it was read: its TTL is all there is to end it. */
describe('nothing is served longer than its TTL after it was read from the database', () => {
  expectNothingLeft()

  /** A load that has read the row and takes its time on the way back. Ends `SLOW_MS` after the row was read. */
  async function slowly(fleet: Fleet, act: () => unknown) {
    const select = fleet.table.pause('after load')
    const acting = act()
    await select.reached
    fleet.table.put('42', 2)
    await fleet.clock.advance(SLOW_MS)
    select.resume()
    await settle()
    await acting
  }

  /** The moments around the end of what was read `SLOW_MS` ago. */
  async function expectEnd(fleet: Fleet, process: ProcessModel) {
    await fleet.clock.advance(TTL_MS - SLOW_MS - 1)
    expect((await process.read('42'))?.price, 'a moment before').toBe(1)
    await fleet.clock.advance(1)
    expect((await process.read('42'))?.price, 'then').toBe(2)
  }

  function open() {
    const fleet = new Fleet({ freshMs: TTL_MS })
    fleet.table.put('42', 1)
    return { fleet, process: fleet.start() }
  }

  it('on a miss, however slow the load', async () => {
    const { fleet, process } = open()
    await slowly(fleet, () => process.read('42'))
    await expectEnd(fleet, process)
  })

  it('by a refresh', async () => {
    const { fleet } = open()
    const process = fleet.start({ read: EARLY }, { number: () => 1 - 2 ** -53, token: () => 'refreshing' })
    const plain = fleet.start()
    await process.read('42')
    await settle()
    await fleet.clock.advance(TTL_MS - 100)
    await slowly(fleet, () => process.read('42'))
    await expectEnd(fleet, plain)
  })

  it('by a warm-up', async () => {
    const { fleet, process } = open()
    await slowly(fleet, () => process.warm('42'))
    await expectEnd(fleet, process)
  })

  it("by a hot key's copy", async () => {
    const fleet = new HotFleet({ freshMs: 3 * TTL_MS, hot: { copies: COPIES, copyTtlMs: 60_000 } })
    const process = fleet.startOn(0)
    await fleet.heat(process)
    await fleet.clock.advance(3 * TTL_MS)
    await slowly(fleet, () => process.read('42'))
    await process.read('42')
    await settle()
    await fleet.clock.advance(2 * TTL_MS)
    process.events.story()
    await expectEnd(fleet, process)
    expect(process.events.of('hit').map(({ tier }) => tier)).toEqual(['copy'])
  })
})
