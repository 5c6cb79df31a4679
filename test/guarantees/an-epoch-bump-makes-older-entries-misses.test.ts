import { describe, expect, it } from 'vitest'
import { endRelayedFleetsAfterEach, RelayedFleet } from '../support/relayed-fleet.js'

describe('an epoch bump makes older entries misses', () => {
  endRelayedFleetsAfterEach()

  /** Rows that some processes hold in memory and the cache holds for all. */
  async function warmed(shards: readonly string[] = ['one']) {
    const fleet = new RelayedFleet(shards)
    const relay = await fleet.startRelay()
    const readers = [fleet.start(), fleet.start()]
    for (const id of ['10', '11']) {
      fleet.table.put(id, 1)
      await fleet.clock.advance(200)
      for (const reader of readers) await reader.read(id)
    }
    await fleet.clock.advance(200)
    return { fleet, relay, readers }
  }

  it('a table that is emptied is empty for every reader, though nobody said which rows it had', async () => {
    const { fleet, readers } = await warmed()
    fleet.table.truncate()
    await fleet.clock.advance(150)
    for (const reader of readers) {
      expect(await reader.read('10')).toBeUndefined()
      expect(await reader.read('11')).toBeUndefined()
    }
  })

  it('one that is raised in the database by hand is told of within a second', async () => {
    const { fleet, readers } = await warmed()
    fleet.table.put('10', 2)
    fleet.table.log.length = 2
    await fleet.clock.advance(1_000)
    expect((await readers[0]?.read('10'))?.price, 'no trigger has seen the write').toBe(1)
    fleet.feed.epoch++
    await fleet.clock.advance(1_100)
    for (const reader of readers) expect((await reader.read('10'))?.price).toBe(2)
  })

  it('what was loaded before it and stored after it is a miss, too', async () => {
    const { fleet, readers } = await warmed()
    fleet.table.put('20', 1)
    await fleet.clock.advance(200)
    const reader = fleet.start()
    const load = fleet.table.pause('after load')
    const read = reader.read('20')
    await load.reached
    fleet.table.truncate()
    await fleet.clock.advance(200)
    load.resume()
    await read
    await fleet.clock.advance(100)
    expect(await readers[1]?.read('20')).toBeUndefined()
  })

  it('the shard that keeps it may be away: the others hear of it on the bus, and the relay goes on', async () => {
    const { fleet, relay, readers } = await warmed(['one', 'two'])
    const shard = fleet.servers.of('{shop}:epoch' as never)
    const id = shard === 'one' ? '11' : '10'
    fleet.servers.takeDown(shard)
    await fleet.clock.advance(3_000)
    fleet.table.put(id, 5)
    await fleet.clock.advance(300)
    expect((await readers[0]?.read(id))?.price).toBe(5)
    fleet.table.truncate()
    await fleet.clock.advance(300)
    expect(relay.events.of('epoch').at(-1)?.number).toBe(1)
    fleet.servers.bringUp(shard)
    await fleet.clock.advance(2_000)
    for (const reader of readers) expect(await reader.read(id)).toBeUndefined()
  })
})
