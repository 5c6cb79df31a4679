import { describe, expect, it } from 'vitest'
import { Fleet } from '../support/fleet.js'
import { settle } from '../support/manual-clock.js'
import { expectNothingLeft } from '../support/nothing-left.js'
import type { StoreOperation } from '../support/pausable-store.js'

const DEADLINE_MS = 50
const OPERATIONS: StoreOperation[] = ['read', 'lease', 'fill', 'release', 'fence']

describe('a lost cache never fails a read or a write', () => {
  expectNothingLeft()

  function open() {
    const fleet = new Fleet()
    fleet.table.put('42', 1)
    return { fleet, process: fleet.start() }
  }

  it.each(OPERATIONS)('when %s fails', async (operation) => {
    const { fleet, process } = open()
    process.cache.breakAlways('fail', [operation])
    expect((await process.read('42'))?.price).toBe(1)
    await settle()
    expect(await process.write('42', 2)).toBe(operation === 'fence' ? 'pending' : 'fenced')
    expect((await process.read('42'))?.price).toBe(2)
    process.cache.heal()
    await fleet.clock.advance(2_000)
  })

  it.each(OPERATIONS)('when %s never answers: a read takes its deadline and a load', async (operation) => {
    const { fleet, process } = open()
    process.cache.breakAlways('hang', [operation])
    const reading = process.read('42')
    await fleet.clock.advance(DEADLINE_MS)
    expect((await reading)?.price).toBe(1)
    await fleet.clock.advance(DEADLINE_MS)
    const writing = process.write('42', 2)
    await fleet.clock.advance(DEADLINE_MS)
    expect(await writing).toBe(operation === 'fence' ? 'pending' : 'fenced')
    process.cache.heal()
    await fleet.clock.advance(2_000)
    expect((await process.read('42'))?.price).toBe(2)
  })

  it('when it stops answering between a look and a lease: no reader waits for the deadlines of others', async () => {
    const { fleet, process } = open()
    process.cache.breakAlways('hang', ['lease'])
    const waited: number[] = []
    const readings: Promise<void>[] = []
    for (let id = 0; id < 10; id++) {
      fleet.table.put(String(id), 1)
      const startedMs = fleet.clock.monotonicMs()
      readings.push(process.read(String(id)).then(() => void waited.push(fleet.clock.monotonicMs() - startedMs)))
      await fleet.clock.advance(1)
    }
    await fleet.clock.advance(1_000)
    await Promise.all(readings)
    expect(Math.max(...waited)).toBeLessThanOrEqual(2 * DEADLINE_MS)
  })

  it('when one fill is lost: the next reader does not wait for the end of its lease', async () => {
    const { fleet, process } = open()
    const other = fleet.start()
    process.cache.breakNext('fill', 'hang')
    await process.read('42')
    await fleet.clock.advance(DEADLINE_MS)
    const startedMs = fleet.clock.monotonicMs()
    expect((await other.read('42'))?.price).toBe(1)
    expect(fleet.clock.monotonicMs() - startedMs).toBe(0)
  })

  it('when it answers with the wrong bytes for every key', async () => {
    const { fleet, process } = open()
    fleet.table.put('43', 2)
    await fleet.plant(process.keyOf('42'), Buffer.from('x'.repeat(200)))
    await fleet.plant(process.keyOf('43'), Buffer.from('x'.repeat(200)))
    const rows = await Promise.all([process.read('42'), process.read('43')])
    expect(rows.map((row) => row?.price)).toEqual([1, 2])
  })

  it('and after some failures it is not asked any more, so that reads cost a load and nothing else', async () => {
    const { fleet, process } = open()
    process.cache.breakAlways('hang')
    for (let i = 0; i < 3; i++) {
      const reading = process.read('42')
      await fleet.clock.advance(2 * DEADLINE_MS)
      expect((await reading)?.price).toBe(1)
    }
    process.events.story()
    // The breaker lets one call through every now and then; all others do not wait at all.
    let waited = 0
    for (let i = 0; i < 100; i++) {
      const startedMs = fleet.clock.monotonicMs()
      const reading = process.read('42')
      await settle()
      if ((await Promise.race([reading, settle().then(() => 'waiting')])) === 'waiting') {
        await fleet.clock.advance(DEADLINE_MS)
        await reading
      }
      waited += fleet.clock.monotonicMs() - startedMs
    }
    expect(waited).toBeLessThanOrEqual(2 * DEADLINE_MS)
    process.cache.heal()
    await fleet.clock.advance(2_000)
    await process.read('42')
    await settle()
    expect(process.events.of('breaker').at(-1)).toMatchObject({ state: 'closed' })
  })

  it('and what it was not told meanwhile it is told when it is back: nothing stale is left', async () => {
    const fleet = new Fleet()
    const [process, other] = [fleet.start(), fleet.start()]
    const ids = Array.from({ length: 30 }, (_, at) => String(at))
    for (const id of ids) fleet.table.put(id, 1)
    await Promise.all(ids.map((id) => process.read(id)))
    await settle()
    process.cache.breakAlways('fail')
    for (const id of ids) expect(await process.write(id, 2)).toBe('pending')
    expect(process.pending.size).toBe(ids.length)
    process.cache.heal()
    await fleet.clock.advance(2_000)
    expect(process.pending.size).toBe(0)
    const readings = ids.flatMap((id) => [process.read(id), other.read(id)])
    await fleet.clock.advance(100)
    const rows = await Promise.all(readings)
    expect(rows.every((row) => row?.price === 2)).toBe(true)
  })

  it('and the database never sees more loads at once than it should', async () => {
    const fleet = new Fleet({ load: { concurrency: 3, queue: 1_000, queueMs: 5_000 } })
    const process = fleet.start()
    process.cache.breakAlways('fail')
    const ids = Array.from({ length: 50 }, (_, at) => String(at))
    for (const id of ids) fleet.table.put(id, 1)
    fleet.table.slowDown(10, fleet.clock)
    const readings = ids.map((id) => process.read(id))
    let most = 0
    for (let i = 0; i < 30; i++) {
      await fleet.clock.advance(10)
      most = Math.max(most, fleet.table.running)
    }
    expect(most).toBe(3)
    expect((await Promise.all(readings)).every((row) => row?.price === 1)).toBe(true)
  })
})
