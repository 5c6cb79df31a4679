import { describe, expect, it } from 'vitest'
import { settle } from '../support/manual-clock.js'
import { endFleetsAfterEach, NearFleet } from '../support/near-fleet.js'

const HEARTBEAT_MS = 1_000
const TRUST_MS = 3_000

describe('an L1 never answers untrusted', () => {
  endFleetsAfterEach()

  /** Two processes that both hold a row in memory; the first has just been told so by a heartbeat. */
  async function warmed() {
    const fleet = new NearFleet()
    const [reader, writer] = [fleet.start(), fleet.start()]
    await fleet.warm('42', 1, reader, writer)
    return { fleet, reader, writer }
  }

  it('while it is trusted, a hit asks nobody, and a write of another process is seen at once', async () => {
    const { reader, writer } = await warmed()
    const before = reader.cache.count('read')
    await reader.read('42')
    expect(reader.cache.count('read')).toBe(before)
    await writer.write('42', 2)
    await settle()
    expect((await reader.read('42'))?.price).toBe(2)
  })

  it('not when its process was stopped: the first read afterwards comes before any message', async () => {
    const { fleet, reader, writer } = await warmed()
    reader.clock.stop()
    reader.channel?.holdIncoming()
    await writer.write('42', 2)
    await fleet.clock.advance(10_000)
    const first = reader.read('42')
    reader.clock.goOn()
    expect((await first)?.price).toBe(2)
    expect((await reader.read('42'))?.price).toBe(2)
    reader.channel?.releaseIncoming()
    await settle()
    expect((await reader.read('42'))?.price).toBe(2)
    expect(reader.holds('42'), 'and all is well again').toBe(true)
  })

  it('nor when it was stopped for a moment less than the limit, and then slept on', async () => {
    const { fleet, reader, writer } = await warmed()
    reader.clock.stop()
    reader.channel?.holdIncoming()
    await fleet.clock.advance(TRUST_MS - 1)
    await writer.write('42', 2)
    await fleet.clock.advance(1)
    expect((await reader.read('42'))?.price).toBe(2)
  })

  it.each(['up', 'down'] as const)(
    'nor when its connection %s is half open: at most one trust limit after the write',
    async (direction) => {
      const { fleet, reader, writer } = await warmed()
      reader.channel?.swallow(direction)
      await writer.write('42', 2)
      const wroteMs = fleet.clock.monotonicMs()
      const sinceMs = () => fleet.clock.monotonicMs() - wroteMs
      while ((await reader.read('42'))?.price !== 2 && sinceMs() <= TRUST_MS) await fleet.clock.advance(100)
      expect(sinceMs()).toBeLessThanOrEqual(TRUST_MS)
    },
  )

  it('nor when it is not subscribed', async () => {
    const { reader, writer } = await warmed()
    reader.channel?.goAway()
    await writer.write('42', 2)
    expect((await reader.read('42'))?.price).toBe(2)
    expect((await reader.read('42'))?.price).toBe(2)
    expect(reader.holds('42')).toBe(false)
  })

  it('what it took up while nobody told it anything is gone when it is subscribed again', async () => {
    const { reader, writer } = await warmed()
    reader.channel?.goAway()
    await reader.read('42')
    await settle()
    await writer.write('42', 2)
    reader.channel?.resubscribe()
    expect((await reader.read('42'))?.price).toBe(2)
  })

  it('nor before its first heartbeat has come back', async () => {
    const fleet = new NearFleet()
    const [reader, writer] = [fleet.start(), fleet.start()]
    reader.channel?.goAway()
    reader.channel?.breakNext('lost')
    reader.channel?.resubscribe()
    fleet.table.put('42', 1)
    await reader.read('42')
    await settle()
    const before = reader.cache.count('read')
    await reader.read('42')
    expect(reader.cache.count('read'), 'each read asks the cache').toBe(before + 1)
    await writer.write('42', 2)
    await fleet.clock.advance(HEARTBEAT_MS)
    expect((await reader.read('42'))?.price).toBe(2)
  })

  it('nor a peek', async () => {
    const { fleet, reader, writer } = await warmed()
    reader.clock.stop()
    reader.channel?.holdIncoming()
    await writer.write('42', 2)
    await fleet.clock.advance(TRUST_MS)
    expect(reader.holds('42')).toBe(false)
  })

  it('a process that is alone needs no bus to trust itself', async () => {
    const fleet = new NearFleet()
    const process = fleet.startAlone()
    await fleet.warm('42', 1, process)
    await fleet.clock.advance(9_000)
    expect(process.holds('42')).toBe(true)
    await process.write('42', 2)
    expect((await process.read('42'))?.price).toBe(2)
  })
})
