import { describe, expect, it } from 'vitest'
import { settle } from '../support/manual-clock.js'
import type { NearSettings } from '../support/near-process.js'
import { endRelayedFleetsAfterEach, RelayedFleet, type RelayedProcess } from '../support/relayed-fleet.js'
import { seededChance } from '../support/seeded-chance.js'
import { StalenessChecker } from '../support/staleness.js'

const BOUND_MS = 1_000

describe('bounded reads are within their bound', () => {
  endRelayedFleetsAfterEach()

  /** A row that a reader holds in memory and in the cache, proven, and a relay beside it. */
  async function proven(settings: NearSettings = {}) {
    const fleet = new RelayedFleet()
    const checker = new StalenessChecker(fleet.clock, fleet.table)
    const relay = await fleet.startRelay()
    const reader = fleet.start(settings)
    fleet.table.put('1', 1)
    checker.committed('1')
    await fleet.clock.advance(500)
    await fleet.untilProven(reader, '1', BOUND_MS)
    return { fleet, checker, relay, reader }
  }

  /** A write whose process died with its fence, or that was made by somebody who never knew of one. */
  function write({ fleet, checker }: { fleet: RelayedFleet; checker: StalenessChecker }, price: number): void {
    fleet.table.put('1', price)
    checker.committed('1')
  }

  /** Reads each 20 ms for so long. */
  async function watch(
    { fleet, checker }: { fleet: RelayedFleet; checker: StalenessChecker },
    reader: RelayedProcess,
    ms: number,
    maxStaleMs = BOUND_MS,
  ): Promise<void> {
    for (let passed = 0; passed < ms; passed += 20) {
      const staleMs = await fleet.pass(checker.measure('1', () => reader.readWithin('1', maxStaleMs)))
      expect(staleMs, `after ${passed} ms`).toBeLessThanOrEqual(maxStaleMs)
      await fleet.clock.advance(20)
    }
  }

  it('while all is well the cache answers, and what only the relay knows of shows within its lag', async () => {
    const lab = await proven()
    const before = lab.fleet.table.loads.length
    await watch(lab, lab.reader, 3_000)
    expect(lab.fleet.table.loads).toHaveLength(before)
    write(lab, 2)
    await watch(lab, lab.reader, 3_000)
    expect(lab.checker.worstMs, 'one poll').toBeLessThanOrEqual(120)
    expect(lab.fleet.table.loads.length - before).toBe(1)
  })

  it('when the relay is dead, from memory and from the cache only until the bound is used up', async () => {
    const lab = await proven()
    await lab.fleet.stop(lab.relay)
    write(lab, 2)
    await watch(lab, lab.reader, 5_000)
    expect(lab.checker.stale, 'it was put to the test').toBeGreaterThan(0)
  })

  it('when the relay hangs with the fences in its hands', async () => {
    const lab = await proven()
    lab.relay.clock.stop()
    write(lab, 2)
    await watch(lab, lab.reader, 3_000)
    lab.relay.clock.goOn()
    await watch(lab, lab.reader, 1_000)
  })

  it('when the bus is cut', async () => {
    const lab = await proven()
    lab.reader.channel?.swallow('down')
    for (let price = 2; price < 20; price++) {
      write(lab, price)
      await watch(lab, lab.reader, 240)
    }
    expect(lab.reader.events.count('hit'), 'from the cache').toBeGreaterThan(0)
  })

  it('when its process was stopped, at the first read afterwards', async () => {
    const lab = await proven()
    lab.reader.clock.stop()
    lab.reader.channel?.holdIncoming()
    write(lab, 2)
    await lab.fleet.clock.advance(10_000)
    const read = lab.reader.readWithin('1', BOUND_MS)
    lab.reader.clock.goOn()
    expect((await read)?.price).toBe(2)
    lab.reader.channel?.releaseIncoming()
  })

  it('when a primary is isolated with it, and everybody else has gone to its replica', async () => {
    const lab = await proven({ l1: { maxAgeMs: 1 } })
    lab.fleet.servers.promote('one')
    lab.reader.view.stuckOn.add('one')
    for (let price = 2; price < 8; price++) {
      write(lab, price)
      await watch(lab, lab.reader, 600)
    }
    expect(lab.checker.stale, 'it was put to the test').toBeGreaterThan(0)
    lab.reader.view.stuckOn.clear()
    await watch(lab, lab.reader, 1_000)
    await lab.fleet.untilProven(lab.reader, '1', BOUND_MS)
  })

  it('when the former primary follows the new one, late, and shows its ticks as if they were of now', async () => {
    const lab = await proven({ l1: { maxAgeMs: 1 } })
    const shard = lab.fleet.servers.shard('one')
    const former = shard.primary
    lab.fleet.servers.promote('one')
    lab.reader.view.stuckOn.add('one')
    write(lab, 2)
    const lateMs = 3_000
    for (let passed = 0; passed < 8_000; passed += 100) {
      const ticks = [...shard.primary.ticks]
      lab.fleet.clock.after(lateMs, () => {
        for (const [key, tick] of ticks) former.ticks.set(key, tick)
      })
      await watch(lab, lab.reader, 100)
    }
  })

  it('when a failover has lost a fence that was acknowledged', async () => {
    const lab = await proven({ l1: { maxAgeMs: 1 } })
    lab.fleet.servers.cutReplica('one')
    const other = lab.fleet.start()
    await other.write('1', 2)
    lab.checker.committed('1')
    await lab.fleet.clock.advance(60)
    lab.fleet.servers.promote('one')
    await watch(lab, lab.reader, 3_000)
    expect(lab.reader.events.count('hit'), 'and the cache answers again').toBeGreaterThan(0)
  })

  /** A primary that has acknowledged the fence of a write which its replica never gets, and a reader whom no message of it reaches. */
  async function fencedOnOneServer() {
    const lab = await proven({ l1: { maxAgeMs: 1 } })
    const { fleet, reader } = lab
    await fleet.clock.advance(2_000)
    reader.channel?.swallow('down')
    fleet.servers.cutReplica('one')
    write(lab, 2)
    await fleet.clock.advance(5_000)
    return lab
  }

  it('when what it finds as it asks for the lease lies on another server than the one it has looked at', async () => {
    const { fleet, checker, reader } = await fencedOnOneServer()
    const lease = reader.cache.pause('before lease')
    const measured = checker.measure('1', () => reader.readWithin('1', BOUND_MS))
    await lease.reached
    fleet.servers.promote('one')
    lease.resume()
    expect(await fleet.pass(measured)).toBeLessThanOrEqual(BOUND_MS)
  })

  it('the same of what it finds after it has waited for the load of another process', async () => {
    const { fleet, checker, reader } = await fencedOnOneServer()
    const other = fleet.start({ l1: { maxAgeMs: 1 } })
    const load = fleet.table.pause('after load')
    const others = other.read('1')
    await load.reached
    const measured = checker.measure('1', () => reader.readWithin('1', BOUND_MS))
    await settle()
    fleet.servers.promote('one')
    await fleet.clock.advance(200)
    load.resume()
    await fleet.pass(others)
    expect(await fleet.pass(measured)).toBeLessThanOrEqual(BOUND_MS)
  })

  it('after what was not told row by row, though no message of the new epoch arrives', async () => {
    const lab = await proven()
    lab.reader.channel?.swallow('down')
    lab.fleet.table.truncate()
    lab.checker.committed('1')
    await watch(lab, lab.reader, 3_000)
    expect(await lab.reader.readWithin('1', BOUND_MS)).toBeUndefined()
    expect(lab.reader.events.of('epoch')).toHaveLength(1)
  })

  it('a reader with less to spare does not get what another has just been given', async () => {
    const lab = await proven({ l1: { maxAgeMs: 1 } })
    lab.relay.clock.stop()
    write(lab, 2)
    await lab.fleet.clock.advance(300)
    const [loose, tight] = await Promise.all([lab.reader.readWithin('1', BOUND_MS), lab.reader.readWithin('1', 200)])
    expect([loose?.price, tight?.price]).toEqual([1, 2])
  })

  it('a read does not join a load that began before its bound', async () => {
    const lab = await proven({ l1: { maxAgeMs: 1 } })
    await lab.fleet.stop(lab.relay)
    await lab.fleet.clock.advance(BOUND_MS)
    const load = lab.fleet.table.pause('after load')
    const first = lab.reader.readWithin('1', BOUND_MS)
    await load.reached
    write(lab, 2)
    await lab.fleet.clock.advance(BOUND_MS + 1)
    const second = lab.reader.readWithin('1', BOUND_MS)
    await settle()
    load.resume()
    expect([(await first)?.price, (await second)?.price]).toEqual([1, 2])
  })

  it('a read that joined a load in vain has what is left of its time for its own', async () => {
    const lab = await proven({ l1: { maxAgeMs: 1 }, load: { hardTimeoutMs: 3_000 } })
    await lab.fleet.stop(lab.relay)
    await lab.fleet.clock.advance(BOUND_MS)
    const load = lab.fleet.table.pause('after load')
    const first = lab.reader.readWithin('1', BOUND_MS)
    await load.reached
    await lab.fleet.clock.advance(BOUND_MS + 1)
    const outcome: { code?: unknown } = {}
    lab.reader.readWithin('1', BOUND_MS).catch((error) => {
      outcome.code = error.code
    })
    await lab.fleet.clock.advance(1_500)
    const own = lab.fleet.table.pause('before load')
    load.resume()
    await Promise.all([first, own.reached])
    await lab.fleet.clock.advance(1_499)
    expect(outcome.code).toBeUndefined()
    await lab.fleet.clock.advance(1)
    expect(outcome.code).toBe('FILL_TIMEOUT')
    own.resume()
  })

  it('one shard that is away does not keep the others from proving', async () => {
    const fleet = new RelayedFleet(['one', 'two'])
    await fleet.startRelay()
    const reader = fleet.start({ l1: { maxAgeMs: 1 } })
    fleet.table.put('10', 1)
    fleet.table.put('11', 1)
    for (const id of ['10', '11']) await fleet.untilProven(reader, id, BOUND_MS)
    fleet.servers.takeDown('two')
    await fleet.clock.advance(5_000)
    fleet.table.put('10', 2)
    await fleet.clock.advance(200)
    await fleet.untilProven(reader, '10', BOUND_MS)
    expect((await reader.readWithin('10', BOUND_MS))?.price).toBe(2)
    expect((await reader.readWithin('11', BOUND_MS))?.price, 'from the database').toBe(1)
    expect(reader.events.of('miss').at(-1)?.reason).toBe('unavailable')
  })

  it.each(Array.from({ length: 40 }, (_, seed) => seed + 1))('under faults at random, seed %i', async (seed) => {
    const chance = seededChance(seed)
    const draw = (most: number) => Math.floor(chance.number() * most)
    const fleet = new RelayedFleet(['one', 'two'])
    const checker = new StalenessChecker(fleet.clock, fleet.table)
    const relays = [
      await fleet.startRelay({ relay: { electionMs: 200 } }),
      await fleet.startRelay({ relay: { electionMs: 200 } }),
    ]
    const readers = [fleet.start(), fleet.start({ l1: { maxAgeMs: 1 } })]
    const ids = ['10', '11', '12', '13']
    let price = 0
    for (const id of ids) {
      fleet.table.put(id, ++price)
      checker.committed(id)
      for (const reader of readers) await fleet.untilProven(reader, id, BOUND_MS)
    }
    const faults: (() => unknown)[] = [
      () => fleet.servers.cutReplica(draw(2) ? 'one' : 'two'),
      () => fleet.servers.promote(draw(2) ? 'one' : 'two'),
      () => readers[draw(2)]?.view.stuckOn.add(draw(2) ? 'one' : 'two'),
      () => readers[draw(2)]?.view.stuckOn.clear(),
      () => fleet.servers.takeDown(draw(2) ? 'one' : 'two'),
      () => fleet.servers.names.map((name) => fleet.servers.bringUp(name)),
      () => relays[draw(2)]?.clock.stop(),
      () => relays.map(({ clock }) => clock.goOn()),
      () => fleet.feed.cut(),
      () => readers[draw(2)]?.channel?.swallow('down'),
      () => readers[draw(2)]?.channel?.resubscribe(),
      () => fleet.table.truncate(),
    ]
    for (let step = 0; step < 300; step++) {
      if (draw(12) === 0) {
        ;(faults[draw(faults.length)] as () => unknown)()
        checker.committed(...ids.filter((id) => fleet.table.row(id) === undefined))
      }
      const id = ids[draw(4)] as string
      if (draw(5) === 0) {
        let written: Promise<unknown> | undefined
        if (draw(2)) fleet.table.put(id, ++price)
        else written = readers[draw(2)]?.write(id, ++price)
        checker.committed(id)
        await fleet.pass(Promise.resolve(written))
      }
      const bound = [200, 500, BOUND_MS, 3_000][draw(4)] as number
      const reader = readers[draw(2)] as RelayedProcess
      const staleMs = await fleet.pass(checker.measure(id, () => reader.readWithin(id, bound)))
      expect(staleMs, `step ${step}: ${id} within ${bound}`).toBeLessThanOrEqual(bound)
      await fleet.clock.advance(draw(60))
    }
    expect(readers[0]?.events.count('hit'), 'the cache has had a say').toBeGreaterThan(0)
  })
})
