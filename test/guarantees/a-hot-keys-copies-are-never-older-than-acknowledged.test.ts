import { describe, expect, it } from 'vitest'
import type { CacheKey } from '../../src/core/key.js'
import type { StoredBytes } from '../../src/core/ports.js'
import { COPIES, COPY_TTL_MS, HotFleet, readAll } from '../support/hot-fleet.js'
import { settle } from '../support/manual-clock.js'
import { expectNothingLeft } from '../support/nothing-left.js'

describe("a hot key's copies are never older than acknowledged", () => {
  expectNothingLeft()

  /** Three processes, each with its copy made and read. */
  async function spread() {
    const fleet = new HotFleet()
    const processes = fleet.startAll()
    await fleet.heat(...processes)
    await readAll(processes)
    const copies = fleet.copiesOf(processes[0]!)
    expect(await fleet.prices(copies)).toEqual([1, 1, 1])
    return { fleet, processes, copies }
  }

  it('reads of a hot key go to copies, which are made of the entry and not of the database', async () => {
    const { fleet, processes } = await spread()
    expect(await readAll(processes)).toEqual([1, 1, 1])
    expect(processes[1]!.events.story()).toMatchInlineSnapshot(`
      "
      1 hit l2 fresh
      2 fill copy filled
      3 hit copy fresh
      "
    `)
    expect(fleet.table.loads, 'one for the whole fleet').toHaveLength(1)
    const [first, second, third] = processes.map((process) => process.cache.calls.at(-1)?.keys[0])
    expect(new Set([first, second, third]).size, 'each from its own').toBe(COPIES)
  })

  it('a write is in all of them when it is acknowledged, also by a process that knows of no hot key', async () => {
    const { fleet, processes, copies } = await spread()
    const writer = fleet.start()
    expect(await writer.write('42', 2)).toBe('fenced')
    expect(await fleet.prices(copies)).toEqual([undefined, undefined, undefined])
    expect(await readAll(processes)).toEqual([2, 2, 2])
    expect(await readAll(processes)).toEqual([2, 2, 2])
    expect(fleet.table.loads, 'one more').toHaveLength(2)
  })

  it('a deletion too', async () => {
    const { fleet, processes } = await spread()
    expect(await fleet.start().remove('42')).toBe('fenced')
    expect(await readAll(processes)).toEqual([undefined, undefined, undefined])
    fleet.table.put('42', 3)
    await fleet.start().write('42', 4)
    expect(await readAll(processes)).toEqual([4, 4, 4])
  })

  for (const moment of ['before lease', 'after lease', 'before read', 'after read', 'before fill'] as const) {
    it(`a copy that is being made while the row is written, ${moment}`, async () => {
      const fleet = new HotFleet()
      const [maker, writer, other] = [fleet.startOn(0), fleet.start(), fleet.startOn(0)]
      await fleet.heat(maker, other)
      // The copy and the entry are read for the reader, and then the entry once more to be copied.
      if (moment.endsWith('read')) for (let at = 0; at < 2; at++) maker.cache.pause(moment).resume()
      const pause = maker.cache.pause(moment)
      expect((await maker.read('42'))?.price).toBe(1)
      await pause.reached
      expect(await writer.write('42', 2)).toBe('fenced')
      pause.resume()
      await settle()
      expect(await fleet.prices(fleet.copiesOf(maker).slice(0, 1))).not.toEqual([1])
      expect(await readAll([other, maker, other, maker])).toEqual([2, 2, 2, 2])
    })
  }

  it('a copy that is made between the fence of the entry and that of the copies', async () => {
    const fleet = new HotFleet()
    const [reader, writer] = [fleet.startOn(0), fleet.start()]
    await fleet.heat(reader)
    writer.cache.pause('before fence').resume()
    const second = writer.cache.pause('before fence')
    const writing = writer.write('42', 2)
    await second.reached
    expect((await reader.read('42'))?.price, 'the entry is fenced, so this is the new row').toBe(2)
    await settle()
    expect(await fleet.prices(fleet.copiesOf(reader).slice(0, 1))).toEqual([2])
    second.resume()
    expect(await writing).toBe('fenced')
    expect(await readAll([reader, reader])).toEqual([2, 2])
    expect(fleet.table.loads, 'the copy was new enough to stay').toHaveLength(2)
  })

  it('it is not acknowledged before the last copy is', async () => {
    const { fleet, processes, copies } = await spread()
    const writer = fleet.start()
    writer.cache.pause('before fence').resume()
    const second = writer.cache.pause('before fence')
    let state: string | undefined
    const writing = writer.write('42', 2).then((told) => {
      state = told
    })
    await second.reached
    await settle()
    expect(state).toBeUndefined()
    expect(await fleet.prices(copies)).toEqual([1, 1, 1])
    expect(await readAll(processes)).toEqual([1, 1, 1])
    second.resume()
    await writing
    expect(state).toBe('fenced')
    expect(await fleet.prices(copies)).toEqual([undefined, undefined, undefined])
  })

  it('a fence of the copies that is lost is pending, and sent again', async () => {
    const { fleet, processes, copies } = await spread()
    const [writer, other] = processes as [(typeof processes)[0], (typeof processes)[0]]
    writer.cache.pause('before fence').resume()
    writer.cache.breakNext('fence', { delayMs: 0 })
    writer.cache.breakNext('fence', 'fail')
    const writing = writer.write('42', 2)
    await fleet.clock.advance(1)
    expect(await writing).toBe('pending')
    expect((await writer.read('42'))?.price, 'a process reads what it wrote').toBe(2)
    expect((await other.read('42'))?.price, 'the others do not know yet').toBe(1)
    await fleet.clock.advance(100)
    expect(await fleet.prices(copies)).toEqual([undefined, undefined, undefined])
    expect(await readAll(processes)).toEqual([2, 2, 2])
    expect(writer.pending.size).toBe(0)
  })

  it('pending fences of an entry and its copies are sent in that order', async () => {
    const { fleet, processes } = await spread()
    const [writer, other] = processes as [(typeof processes)[0], (typeof processes)[0]]
    writer.cache.breakNext('fence', 'fail')
    const writing = writer.write('42', 2)
    await writing
    await fleet.evictEntry(fleet.copiesOf(other)[1]!, [other.keyOf('42'), ...fleet.copiesOf(other)])
    writer.cache.pause('before fence').resume()
    const second = writer.cache.pause('before fence')
    void fleet.clock.advance(100)
    await second.reached
    expect((await other.read('42'))?.price).toBe(2)
    await settle()
    second.resume()
    await fleet.clock.advance(100)
    expect(writer.pending.size).toBe(0)
    expect(await readAll(processes)).toEqual([2, 2, 2])
  })

  it('a fence that is lost for good, with its process, is bounded by the life of a copy', async () => {
    const { fleet, processes } = await spread()
    const writer = fleet.start()
    writer.cache.pause('before fence').resume()
    const second = writer.cache.pause('before fence')
    void writer.write('42', 2)
    await second.reached
    writer.die()
    expect(await readAll(processes)).toEqual([1, 1, 1])
    await fleet.clock.advance(COPY_TTL_MS)
    expect(await readAll(processes)).toEqual([2, 2, 2])
    expect(await readAll(processes)).toEqual([2, 2, 2])
  })
})

const EARLY = { graceMs: 0, beta: 1, maxEarliness: 0.25, softTimeoutMs: 100, hardTimeoutMs: 10_000 }
/** The largest draw there is: refreshes as early as the rules allow. */
const SOONEST = 1 - 2 ** -53

/** A writer whose fences may take as long as the test does. */
const PATIENT = { cache: { deadlineMs: 60_000, breakerFailures: 5, breakerProbeMs: 100 } }

describe('a process that reads copies', () => {
  expectNothingLeft()

  it('is never shown an older row than it has been shown before', async () => {
    const fleet = new HotFleet()
    const [early, late, writer] = [fleet.startOn(0), fleet.startOn(0), fleet.start(PATIENT)]
    await fleet.heat(early)
    await readAll([early])
    writer.cache.pause('before fence').resume()
    const second = writer.cache.pause('before fence')
    const writing = writer.write('42', 2)
    await second.reached
    expect((await late.read('42'))?.price, 'the key is not hot for it: from the entry').toBe(2)
    await fleet.heat(late)
    expect((await late.read('42'))?.price, 'the copy is older').toBe(2)
    expect((await early.read('42'))?.price, 'nobody has told this one').toBe(1)
    second.resume()
    await writing
  })

  it('nor a row it has been shown to be gone', async () => {
    const fleet = new HotFleet()
    const [early, late, writer] = [fleet.startOn(0), fleet.startOn(0), fleet.start(PATIENT)]
    await fleet.heat(early)
    await readAll([early])
    writer.cache.pause('before fence').resume()
    const second = writer.cache.pause('before fence')
    const writing = writer.remove('42')
    await second.reached
    await fleet.heat(late)
    expect(await late.read('42')).toBeUndefined()
    expect((await early.read('42'))?.price, 'nobody has told this one').toBe(1)
    second.resume()
    await writing
  })

  it('uses no copy of another shape or epoch', async () => {
    const fleet = new HotFleet()
    const processes = [
      fleet.startOn(0),
      fleet.startOn(0, { shape: '00000001' }),
      fleet.startOn(0, { epoch: '00000001' }),
    ]
    await fleet.heat(...processes)
    for (let round = 0; round < 3; round++) {
      for (const process of processes) {
        process.events.story()
        expect((await process.read('42'))?.price).toBe(1)
        await settle()
        expect(process.events.of('hit').filter(({ tier }) => tier === 'copy')).toEqual([])
      }
    }
  })

  it('serves no copy past its time, also where an expired entry may help out', async () => {
    const fleet = new HotFleet({
      freshMs: 3_000,
      read: { graceMs: 60_000, beta: 0, maxEarliness: 0.25, softTimeoutMs: 0, hardTimeoutMs: 10_000 },
      fill: { jitter: 0, graceMs: 60_000, lease: { minMs: 200, maxMs: 5_000, waitMs: 5_000 } },
    })
    const reader = fleet.startOn(0)
    await fleet.heat(reader)
    await readAll([reader, reader])
    // As if the store kept it for longer than it was told to.
    const [copy] = fleet.copiesOf(reader) as [CacheKey]
    const [bytes] = await fleet.store.read([copy])
    await fleet.plant(copy, (bytes as StoredBytes).subarray(15))
    await fleet.clock.advance(2_500)
    reader.events.story()
    fleet.table.failLoads(new Error('gone'))
    expect((await reader.read('42'))?.price).toBe(1)
    expect(reader.events.of('hit').map(({ tier, verdict }) => `${tier} ${verdict}`)).toEqual(['l2 stale'])
    await fleet.clock.advance(1_000)
  })

  it('asks the database once an expiry, however many copies there are', async () => {
    const fleet = new HotFleet({ freshMs: 20_000 })
    const processes = fleet.startAll()
    await fleet.heat(...processes)
    for (let second = 0; second < 100; second++) {
      await readAll(processes)
      await fleet.clock.advance(1_000)
    }
    expect(fleet.table.loads).toHaveLength(6)
  })

  it('draws for the entry: it is refreshed behind the reader of a copy that ends with it', async () => {
    const fleet = new HotFleet({ freshMs: 4_000, read: EARLY })
    const reader = fleet.startOn(0, {}, SOONEST)
    await fleet.heat(reader)
    await readAll([reader, reader])
    await fleet.clock.advance(2_950)
    reader.events.story()
    const select = fleet.table.pause('before load')
    expect((await reader.read('42'))?.price).toBe(1)
    await select.reached
    select.resume()
    await settle()
    expect(reader.events.story()).toMatchInlineSnapshot(`
      "
      1 hit copy early
      2 load 1 id
      3 fill refresh filled
      "
    `)
    await fleet.clock.advance(50)
    expect(await readAll([reader])).toEqual([1])
    expect(reader.events.story(), 'the copy has ended, the entry has not').toMatchInlineSnapshot(`
      "
      1 hit l2 fresh
      2 fill copy filled
      "
    `)
  })

  it('does not even look at an entry that outlives the copy', async () => {
    const fleet = new HotFleet({ freshMs: 60_000, read: EARLY })
    const reader = fleet.startOn(0, {}, SOONEST)
    await fleet.heat(reader)
    await readAll([reader, reader])
    await fleet.clock.advance(COPY_TTL_MS - 50)
    reader.events.story()
    reader.cache.calls.length = 0
    expect(await readAll([reader])).toEqual([1])
    expect(reader.events.story()).toMatchInlineSnapshot(`
      "
      1 hit copy fresh
      "
    `)
    expect(reader.cache.calls, 'the shard of the entry is spared').toHaveLength(1)
    expect(fleet.table.loads).toHaveLength(1)
  })

  it('looks once for all its readers of one tick, and makes one copy behind them', async () => {
    const fleet = new HotFleet()
    const reader = fleet.startOn(0)
    await fleet.heat(reader)
    const readByMany = async () => {
      reader.cache.calls.length = 0
      const rows = await Promise.all(Array.from({ length: 50 }, () => reader.read('42')))
      expect(rows.map((row) => row?.price)).toEqual(rows.map(() => 1))
      await settle()
      return reader.cache.calls.map(({ operation, keys }) => `${operation} ${keys.length}`)
    }
    expect(await readByMany(), 'the copy, the entry, and that again to be copied').toEqual([
      'read 1',
      'read 1',
      'lease 1',
      'read 1',
      'fill 1',
    ])
    expect(await readByMany()).toEqual(['read 1'])
    expect(reader.events.of('hit').map(({ tier }) => tier)).toEqual([
      ...Array(50).fill('l2'),
      ...Array(50).fill('copy'),
    ])
  })

  it('goes to the entry where its copy is away', async () => {
    const fleet = new HotFleet()
    const reader = fleet.startOn(0)
    await fleet.heat(reader)
    await readAll([reader])
    reader.cache.breakNext('read', 'fail')
    expect((await reader.read('42'))?.price).toBe(1)
    expect(fleet.table.loads).toHaveLength(1)
  })
})
