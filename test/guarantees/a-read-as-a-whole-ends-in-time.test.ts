import { describe, expect, it } from 'vitest'
import { Fleet } from '../support/fleet.js'
import { settle } from '../support/manual-clock.js'
import { expectNothingLeft } from '../support/nothing-left.js'

const HARD_MS = 500
const SOFT_MS = 100
const GRACE_MS = 60_000
const FRESH_MS = 10_000

/** `load.hardTimeoutMs` is the time of a read, however often it has to begin anew. */
describe('a read as a whole ends in time', () => {
  expectNothingLeft()

  function start() {
    const fleet = new Fleet({
      freshMs: FRESH_MS,
      read: { graceMs: GRACE_MS, beta: 0, maxEarliness: 0.25, softTimeoutMs: SOFT_MS, hardTimeoutMs: HARD_MS },
      fill: { jitter: 0, graceMs: GRACE_MS, lease: { minMs: 200, maxMs: 5_000, waitMs: 5_000 } },
    })
    fleet.table.put('42', 1)
    return { fleet, process: fleet.start(), writer: fleet.start() }
  }

  /** How a read has ended; undefined: it has not. */
  function outcomeOf(reading: Promise<unknown>): { code?: unknown } {
    const outcome: { code?: unknown } = {}
    reading.then(
      () => {
        outcome.code = 'answered'
      },
      (error) => {
        outcome.code = error.code
      },
    )
    return outcome
  }

  it('that has joined a load which missed a write, and reads again', async () => {
    const { fleet, process, writer } = start()
    const first = fleet.table.pause('after load')
    const early = process.read('42')
    await first.reached
    await writer.write('42', 2)
    const late = outcomeOf(process.read('42'))
    await fleet.clock.advance(HARD_MS - 100)
    const second = fleet.table.pause('before load')
    first.resume()
    await early
    await second.reached
    await fleet.clock.advance(99)
    expect(late.code).toBeUndefined()
    await fleet.clock.advance(1)
    expect(late.code).toBe('FILL_TIMEOUT')
    second.resume()
    await settle()
  })

  it('that first waited for a stale entry to be replaced in time', async () => {
    const { fleet, process } = start()
    await process.read('42')
    await fleet.clock.advance(FRESH_MS + GRACE_MS - SOFT_MS + 1)
    const select = fleet.table.pause('before load')
    const reading = outcomeOf(process.read('42'))
    await select.reached
    await fleet.clock.advance(HARD_MS - 1)
    expect(reading.code).toBeUndefined()
    await fleet.clock.advance(1)
    expect(reading.code).toBe('FILL_TIMEOUT')
    select.resume()
    await settle()
  })
})
