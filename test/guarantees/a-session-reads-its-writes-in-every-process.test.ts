import { describe, expect, it } from 'vitest'
import { SessionLog } from '../../src/session.js'
import { settle } from '../support/manual-clock.js'
import { endFleetsAfterEach, NearFleet } from '../support/near-fleet.js'

describe.each([
  ['with versions', true],
  ['without versions', false],
])('a session reads its writes in every process, %s', (_, hasVersions) => {
  endFleetsAfterEach()

  /** Two processes that hold the row in memory; the bus will tell the second one nothing more, and both go on trusting it. */
  async function warmed() {
    const fleet = new NearFleet({ hasVersions })
    const [here, there] = [fleet.start(), fleet.start()]
    await fleet.warm('42', 1, here, there)
    here.channel?.breakNext(...Array.from({ length: 20 }, () => 'lost' as const))
    return { fleet, here, there }
  }

  function session(fleet: NearFleet, token?: string): SessionLog {
    return new SessionLog({ clock: fleet.clock, secrets: [], token })
  }

  it('by the token alone, although the other process holds the old row and trusts it', async () => {
    const { fleet, here, there } = await warmed()
    const mine = session(fleet)
    await here.write('42', 2, mine)
    expect((await there.read('42'))?.price, 'without the token it does').toBe(1)
    expect((await there.read('42', session(fleet, mine.token)))?.price).toBe(2)
    expect((await here.read('42', mine))?.price).toBe(2)
  })

  it('although the cache could not be told either', async () => {
    const { fleet, here, there } = await warmed()
    here.cache.breakAlways('fail')
    const mine = session(fleet)
    expect(await here.write('42', 2, mine)).toBe('pending')
    expect((await there.read('42', session(fleet, mine.token)))?.price).toBe(2)
  })

  it('although the cache is away there, too', async () => {
    const { fleet, here, there } = await warmed()
    const mine = session(fleet)
    await here.write('42', 2, mine)
    there.cache.breakAlways('fail')
    expect((await there.read('42', session(fleet, mine.token)))?.price).toBe(2)
  })

  it('although a load from before the write is under way there', async () => {
    const fleet = new NearFleet({ hasVersions })
    const [here, there] = [fleet.start(), fleet.start()]
    fleet.table.put('42', 1)
    const select = fleet.table.pause('after load')
    const before = there.read('42')
    await select.reached
    here.cache.breakAlways('fail')
    here.channel?.goAway()
    const mine = session(fleet)
    await here.write('42', 2, mine)
    const after = there.read('42', session(fleet, mine.token))
    await settle()
    select.resume()
    await fleet.clock.advance(6_000)
    expect((await after)?.price).toBe(2)
    await before
  })

  it('a deletion, and a row that was made anew', async () => {
    const { fleet, here, there } = await warmed()
    const mine = session(fleet)
    await here.remove('42', mine)
    expect(await there.read('42', session(fleet, mine.token))).toBeUndefined()
    await here.write('42', 3, mine)
    expect((await there.read('42', session(fleet, mine.token)))?.price).toBe(3)
  })

  it('more of them than a token can carry', async () => {
    const fleet = new NearFleet({ hasVersions })
    const [here, there] = [fleet.start(), fleet.start()]
    const ids = Array.from({ length: 100 }, (_, at) => String(at))
    for (const id of ids) await fleet.warm(id, 1, here, there)
    here.channel?.breakNext(...Array.from({ length: 200 }, () => 'lost' as const))
    const mine = session(fleet)
    for (const id of ids) await here.write(id, 2, mine)
    const token = mine.token
    for (const id of ids) expect((await there.read(id, session(fleet, token)))?.price, id).toBe(2)
  })
})
