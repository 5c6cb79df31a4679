import { describe, expect, it } from 'vitest'
import { settle } from '../support/manual-clock.js'
import { endFleetsAfterEach, NearFleet } from '../support/near-fleet.js'

/** The cache's answer and the bus' message travel on different connections: either may overtake the other. */
describe.each([
  ['with versions', true],
  ['without versions', false],
])('a reply and an invalidation in flight, %s', (_, hasVersions) => {
  endFleetsAfterEach()

  /** A row in the cache and in nobody's memory. */
  async function stored() {
    const fleet = new NearFleet({ hasVersions })
    const [reader, writer] = [fleet.start(), fleet.start()]
    await fleet.warm('42', 1, writer)
    return { fleet, reader, writer }
  }

  it('a reply from before the write that arrives after the message is not kept', async () => {
    const { reader, writer } = await stored()
    const reply = reader.cache.pause('after read')
    const reading = reader.read('42')
    await reply.reached
    await writer.write('42', 2)
    await settle()
    reply.resume()
    await reading
    await settle()
    expect((await reader.read('42'))?.price).toBe(2)
  })

  it('nor is one that was asked for before everything was forgotten', async () => {
    const { reader, writer } = await stored()
    const reply = reader.cache.pause('after read')
    const reading = reader.read('42')
    await reply.reached
    reader.channel?.goAway()
    await writer.write('42', 2)
    reader.channel?.resubscribe()
    reply.resume()
    await reading
    await settle()
    expect((await reader.read('42'))?.price).toBe(2)
  })

  it('a fill that has landed before the write, and says so after the message, is not kept', async () => {
    const fleet = new NearFleet({ hasVersions })
    const [reader, writer] = [fleet.start(), fleet.start()]
    fleet.table.put('42', 1)
    const landed = reader.cache.pause('after fill')
    await reader.read('42')
    await landed.reached
    await writer.write('42', 2)
    await settle()
    landed.resume()
    await settle()
    expect((await reader.read('42'))?.price).toBe(2)
  })

  it('a message that overtakes nothing but comes while a load is under way keeps its row out', async () => {
    const fleet = new NearFleet({ hasVersions })
    const [reader, writer] = [fleet.start(), fleet.start()]
    fleet.table.put('42', 1)
    const select = fleet.table.pause('after load')
    const reading = reader.read('42')
    await select.reached
    await writer.write('42', 2)
    await settle()
    select.resume()
    await reading
    await settle()
    expect((await reader.read('42'))?.price).toBe(2)
  })

  it('an unrelated message keeps nothing out', async () => {
    const { fleet, reader, writer } = await stored()
    const reply = reader.cache.pause('after read')
    const reading = reader.read('42')
    await reply.reached
    fleet.table.put('7', 7)
    await writer.write('7', 8)
    await settle()
    reply.resume()
    expect((await reading)?.price).toBe(1)
    expect(reader.holds('42')).toBe(true)
  })
})
