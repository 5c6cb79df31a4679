import { describe, expect, it } from 'vitest'
import { Fleet } from '../support/fleet.js'
import { settle } from '../support/manual-clock.js'
import { expectNothingLeft } from '../support/nothing-left.js'

const FRESH_MS = 10_000
const GRACE_MS = 60_000
const SOFT_MS = 100
const HARD_MS = 500

describe('a stale entry helps out only within grace', () => {
  expectNothingLeft()

  async function expired(agedMs = FRESH_MS) {
    const fleet = new Fleet({
      freshMs: FRESH_MS,
      read: { graceMs: GRACE_MS, beta: 0, maxEarliness: 0.25, softTimeoutMs: SOFT_MS, hardTimeoutMs: HARD_MS },
      fill: { jitter: 0, graceMs: GRACE_MS, lease: { minMs: 200, maxMs: 5_000, waitMs: 5_000 } },
    })
    const [reader, writer] = [fleet.start(), fleet.start()]
    fleet.table.put('42', 1)
    await reader.read('42')
    await fleet.clock.advance(agedMs)
    reader.events.story()
    return { fleet, reader, writer }
  }

  it('is not served when the database answers', async () => {
    const { fleet, reader } = await expired()
    fleet.table.put('42', 2)
    expect((await reader.read('42'))?.price).toBe(2)
    expect(reader.events.story()).toMatchInlineSnapshot(`
      "
      1 hit l2 stale
      2 load 1 id
      3 fill miss filled
      "
    `)
  })

  it('is served when the load fails', async () => {
    const { fleet, reader } = await expired()
    fleet.table.failLoads(new Error('the database is away'))
    expect((await reader.read('42'))?.price).toBe(1)
    expect(reader.events.story()).toMatchInlineSnapshot(`
      "
      1 hit l2 stale
      2 load 1 id failed
      "
    `)
  })

  it('is served when the load is slow, which goes on behind the reader', async () => {
    const { fleet, reader } = await expired()
    fleet.table.put('42', 2)
    const select = fleet.table.pause('before load')
    const reading = reader.read('42')
    await select.reached
    await fleet.clock.advance(SOFT_MS)
    expect((await reading)?.price).toBe(1)
    select.resume()
    await settle()
    expect((await reader.read('42'))?.price).toBe(2)
    expect(fleet.table.loads).toHaveLength(2)
  })

  it('is not served past its grace, whatever happens to the load', async () => {
    const { fleet, reader } = await expired(FRESH_MS + GRACE_MS)
    fleet.table.failLoads(new Error('the database is away'))
    await expect(reader.read('42')).rejects.toThrow('the database is away')
  })

  it('is not served when its grace ends while the load is under way', async () => {
    const { fleet, reader } = await expired(FRESH_MS + GRACE_MS - 10)
    const select = fleet.table.pause('before load')
    const reading = reader.read('42')
    await select.reached
    await fleet.clock.advance(20)
    fleet.table.failLoads(new Error('the database is away'))
    select.resume()
    await expect(reading).rejects.toThrow('the database is away')
  })

  it('is never served after a fence', async () => {
    const { fleet, reader, writer } = await expired()
    await writer.write('42', 2)
    fleet.table.failLoads(new Error('the database is away'))
    await expect(reader.read('42')).rejects.toThrow('the database is away')
  })

  it('is not served to a reader who waited while its own process wrote, when the load then fails', async () => {
    const { fleet, reader } = await expired()
    const select = fleet.table.pause('before load')
    const reading = reader.read('42')
    await select.reached
    await reader.write('42', 2)
    fleet.table.failLoads(new Error('the database is away'))
    select.resume()
    await expect(reading).rejects.toThrow('the database is away')
  })

  it('is not served to a reader who waited while its own process wrote, when the load is slow', async () => {
    const { fleet, reader } = await expired()
    const select = fleet.table.pause('before load')
    const reading = reader.read('42')
    await select.reached
    await reader.write('42', 2)
    await fleet.clock.advance(SOFT_MS)
    select.resume()
    expect((await reading)?.price).toBe(2)
  })

  it('without one, a reader waits for the load up to the hard timeout, and the load goes on', async () => {
    const { fleet, reader } = await expired(FRESH_MS + GRACE_MS)
    const select = fleet.table.pause('before load')
    const outcome = reader.read('42').catch((error) => error.code)
    await select.reached
    await fleet.clock.advance(HARD_MS)
    expect(await outcome).toBe('FILL_TIMEOUT')
    select.resume()
    await settle()
    expect((await reader.read('42'))?.price).toBe(1)
    expect(fleet.table.loads).toHaveLength(2)
  })
})
