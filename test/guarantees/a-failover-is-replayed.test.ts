import { describe, expect, it } from 'vitest'
import { endRelayedFleetsAfterEach, RelayedFleet, type RelayedProcess } from '../support/relayed-fleet.js'

describe('a failover is replayed', () => {
  endRelayedFleetsAfterEach()

  /** A writer's fence of this row was acknowledged by a primary, and has not reached the replica that now takes over. */
  async function lostFence(fleet: RelayedFleet, reader: RelayedProcess, writer: RelayedProcess, id: string) {
    fleet.table.put(id, 1)
    await fleet.clock.advance(200)
    await reader.read(id)
    await fleet.clock.advance(200)
    const shard = fleet.servers.of(reader.keyOf(id))
    fleet.servers.cutReplica(shard)
    expect(await writer.write(id, 2)).toBe('fenced')
    await fleet.clock.advance(1_000)
    fleet.servers.promote(shard)
    expect((await fleet.start().read(id))?.price, 'the replica knows nothing of it').toBe(1)
    return shard
  }

  it('what the new primary has missed is fenced again, at its next look, in the cache and in everybody’s memory', async () => {
    const fleet = new RelayedFleet()
    const relay = await fleet.startRelay()
    const [reader, writer] = [fleet.start(), fleet.start()]
    await lostFence(fleet, reader, writer, '1')
    const other = fleet.start()
    await other.read('1')
    expect(other.holds('1')).toBe(true)
    await fleet.clock.advance(200)
    expect((await other.read('1'))?.price).toBe(2)
    expect((await fleet.start().read('1'))?.price).toBe(2)
    expect(relay.events.of('relay.replayed')).toHaveLength(2)
  })

  it('also when the relay that noticed is gone: the next leader finds another server than the tick names', async () => {
    const fleet = new RelayedFleet()
    const relay = await fleet.startRelay()
    const [reader, writer] = [fleet.start(), fleet.start()]
    relay.clock.stop()
    fleet.feed.cut()
    await lostFence(fleet, reader, writer, '1')
    const next = await fleet.startRelay()
    expect(next.relay).toBe('leader')
    expect((await fleet.start().read('1'))?.price).toBe(2)
    relay.clock.goOn()
  })

  it('on its shard only: the others go on, and get nothing again', async () => {
    const fleet = new RelayedFleet(['one', 'two', 'three'])
    const relay = await fleet.startRelay()
    const [reader, writer] = [fleet.start(), fleet.start()]
    for (const id of ['10', '12']) fleet.table.put(id, 1)
    expect(await lostFence(fleet, reader, writer, '11')).toBe('two')
    relay.cache.calls.length = 0
    await fleet.clock.advance(500)
    expect((await fleet.start().read('11'))?.price).toBe(2)
    expect(fencedRows(relay)).toEqual(['11', '11'])
    const stood = relay.events.of('relay.shard').filter(({ shard }) => shard !== 'two')
    expect(stood.filter(({ standing }) => standing === 'away')).toEqual([])
  })

  it('what came while a shard was away is carried when it is back, however long that took', async () => {
    // Longer than changes are kept; a relay that looks seldom has less to do in that time.
    const POLL_MS = 1_000
    const fleet = new RelayedFleet(['one', 'two'])
    await fleet.startRelay({ relay: { pollMs: POLL_MS } })
    const reader = fleet.start({ l1: { maxAgeMs: 1 }, ttl: { freshMs: 7_200_000 } })
    for (const id of ['10', '11']) {
      fleet.table.put(id, 1)
      await fleet.clock.advance(2 * POLL_MS)
      await reader.read(id)
    }
    await fleet.clock.advance(2 * POLL_MS)
    fleet.servers.takeDown('two')
    // At once, and so longer ago in the end than what a replay goes back to.
    fleet.table.put('11', 2)
    for (let price = 2; price < 40; price++) {
      fleet.table.put('10', price)
      await fleet.clock.advance(60_000)
      expect((await reader.read('10'))?.price, 'the other shard is served').toBe(price)
    }
    fleet.servers.bringUp('two')
    await fleet.clock.advance(5 * POLL_MS)
    expect((await fleet.start().read('11'))?.price, 'to a process that has heard nothing').toBe(2)
    expect((await reader.read('11'))?.price).toBe(2)
  })

  it('what had been relayed longer ago than the window is not carried again', async () => {
    const fleet = new RelayedFleet()
    const relay = await fleet.startRelay({ relay: { replayMs: 60_000 } })
    for (let id = 1; id <= 30; id++) {
      fleet.table.put(String(id), 1)
      await fleet.clock.advance(5_000)
    }
    relay.cache.calls.length = 0
    fleet.servers.promote('one')
    await fleet.clock.advance(1_000)
    expect(fencedRows(relay)).toEqual(Array.from({ length: 12 }, (_, at) => String(19 + at)))
  })
})

/** The rows that a relay has fenced, by their ids, each time. */
function fencedRows({ cache }: RelayedProcess): string[] {
  const keys = cache.calls.filter(({ operation }) => operation === 'fence').flatMap((call) => call.keys)
  return keys.flatMap((key) => /\/(\d+)}$/.exec(key)?.[1] ?? [])
}
