import { describe, expect, it } from 'vitest'
import { settle } from '../support/manual-clock.js'
import { endFleetsAfterEach, NearFleet } from '../support/near-fleet.js'

/** Whoever forgets its copy before the cache is fenced may read the old entry once more, and hold it for good. */
describe.each([
  ['with versions', true],
  ['without versions', false],
])('a publish before the fence cannot repoison, %s', (_, hasVersions) => {
  endFleetsAfterEach()

  async function warmed() {
    const fleet = new NearFleet({ hasVersions })
    const [reader, writer] = [fleet.start(), fleet.start()]
    await fleet.warm('42', 1, reader, writer)
    return { fleet, reader, writer }
  }

  it('because the others are told when the fence has arrived, and not before', async () => {
    const { fleet, reader, writer } = await warmed()
    const fence = writer.cache.pause('before fence')
    const writing = writer.write('42', 2)
    await fence.reached
    await settle()
    expect(fleet.hub.sent.some((message) => message.includes('/42'))).toBe(false)
    await reader.read('42')
    await settle()
    fence.resume()
    expect(await writing).toBe('fenced')
    await settle()
    expect((await reader.read('42'))?.price).toBe(2)
  })

  it('nor the writer itself, which may take the old entry up while its fence is on the way', async () => {
    const { reader, writer } = await warmed()
    const fence = writer.cache.pause('before fence')
    const writing = writer.write('42', 2)
    await fence.reached
    await writer.read('42')
    await settle()
    fence.resume()
    await writing
    expect((await writer.read('42'))?.price).toBe(2)
    await settle()
    expect((await reader.read('42'))?.price).toBe(2)
  })

  it('nor when the cache could not be told: they are told again when it can', async () => {
    const { fleet, reader, writer } = await warmed()
    writer.cache.breakAlways('fail', ['fence'])
    expect(await writer.write('42', 2)).toBe('pending')
    await settle()
    await reader.read('42')
    await settle()
    await reader.read('42')
    writer.cache.heal()
    await fleet.clock.advance(1_000)
    expect((await reader.read('42'))?.price).toBe(2)
    expect((await writer.read('42'))?.price).toBe(2)
  })
})
