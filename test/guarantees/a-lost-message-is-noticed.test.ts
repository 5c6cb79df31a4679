import { describe, expect, it } from 'vitest'
import { settle } from '../support/manual-clock.js'
import { endFleetsAfterEach, NearFleet } from '../support/near-fleet.js'
import type { NearProcess } from '../support/near-process.js'

const HEARTBEAT_MS = 1_000
const TRUST_MS = 3_000

describe('a lost message is noticed', () => {
  endFleetsAfterEach()

  async function warmed() {
    const fleet = new NearFleet()
    const [reader, writer] = [fleet.start(), fleet.start()]
    await fleet.warm('42', 1, reader, writer)
    await fleet.clock.advance(HEARTBEAT_MS)
    return { fleet, reader, writer }
  }

  /** How long after now this process shows the new price. */
  async function staleForMs(fleet: NearFleet, reader: NearProcess, price: number): Promise<number> {
    const fromMs = fleet.clock.monotonicMs()
    while ((await reader.read('42'))?.price !== price) {
      await fleet.clock.advance(100)
      if (fleet.clock.monotonicMs() - fromMs > 9_000) return Number.POSITIVE_INFINITY
    }
    return fleet.clock.monotonicMs() - fromMs
  }

  it('with the next message of the same process', async () => {
    const { fleet, reader, writer } = await warmed()
    writer.channel?.breakNext('lost')
    await writer.write('42', 2)
    await settle()
    expect((await reader.read('42'))?.price, 'nothing shows yet').toBe(1)
    fleet.table.put('7', 7)
    await writer.write('7', 8)
    await settle()
    expect((await reader.read('42'))?.price).toBe(2)
  })

  it.each(['lost', 'fails'] as const)('with its next heartbeat, whether it %s', async (fault) => {
    const { fleet, reader, writer } = await warmed()
    writer.channel?.breakNext(fault)
    await writer.write('42', 2)
    expect(await staleForMs(fleet, reader, 2)).toBeLessThanOrEqual(HEARTBEAT_MS)
  })

  it("within the trust limit when the writer's connection is half open and stays so", async () => {
    const { fleet, reader, writer } = await warmed()
    writer.channel?.swallow('up')
    await writer.write('42', 2)
    expect(await staleForMs(fleet, reader, 2)).toBeLessThanOrEqual(TRUST_MS)
  })

  it('within the trust limit and a heartbeat when the writer was killed with its last words on the way', async () => {
    const { fleet, reader, writer } = await warmed()
    writer.channel?.breakNext('lost')
    await writer.write('42', 2)
    writer.clock.stop()
    expect(await staleForMs(fleet, reader, 2)).toBeLessThanOrEqual(TRUST_MS + HEARTBEAT_MS)
  })

  it('and so are those of a writer that the reader has not heard since it subscribed', async () => {
    const { fleet, reader, writer } = await warmed()
    reader.channel?.goAway()
    reader.channel?.resubscribe()
    await settle()
    expect((await reader.read('42'))?.price, 'held in memory again').toBe(1)
    writer.channel?.breakNext('lost')
    await writer.write('42', 2)
    writer.clock.stop()
    expect(await staleForMs(fleet, reader, 2)).toBeLessThanOrEqual(TRUST_MS + HEARTBEAT_MS)
  })

  it('and so is one that nobody could send because the writer was cut off', async () => {
    const { fleet, reader, writer } = await warmed()
    writer.channel?.goAway()
    await writer.write('42', 2)
    await fleet.clock.advance(HEARTBEAT_MS)
    writer.channel?.resubscribe()
    await settle()
    expect((await reader.read('42'))?.price).toBe(2)
  })

  it('a flush costs looks at the cache and no load', async () => {
    const { fleet, reader, writer } = await warmed()
    const before = fleet.table.loads.length
    writer.channel?.breakNext('lost')
    await fleet.clock.advance(2 * HEARTBEAT_MS)
    expect(reader.events.of('bus.flush').at(-1)?.reason).toBe('gap')
    expect((await reader.read('42'))?.price).toBe(1)
    expect(fleet.table.loads).toHaveLength(before)
  })
})
