import { describe, expect, it } from 'vitest'
import { SessionLog } from '../../src/session.js'
import { settle } from '../support/manual-clock.js'
import { endFleetsAfterEach, NearFleet } from '../support/near-fleet.js'

/** A row was changed by SQL that nobody told us of: one process knows, another holds the old row, and a session visits both. */
describe('a session never goes back', () => {
  endFleetsAfterEach()

  async function warmed() {
    const fleet = new NearFleet()
    const [here, there] = [fleet.start(), fleet.start()]
    await fleet.warm('42', 1, here, there)
    const session = (token?: string) => new SessionLog({ clock: fleet.clock, secrets: [], token })
    /** `here` alone hears of what the table holds now. */
    const learn = async () => {
      await here.readPrimary('42')
      return here
    }
    return { fleet, there, session, learn }
  }

  it('behind a row it was shown in another process', async () => {
    const { fleet, there, session, learn } = await warmed()
    fleet.table.put('42', 2)
    const mine = session()
    expect((await (await learn()).read('42', mine))?.price).toBe(2)
    expect((await there.read('42'))?.price, 'without the token it would').toBe(1)
    expect((await there.read('42', session(mine.token)))?.price).toBe(2)
  })

  it.each([
    ['that it had seen', true],
    ['that it never saw', false],
  ])('to a row %s, once it was shown that there is none', async (_, hadSeen) => {
    const { fleet, there, session, learn } = await warmed()
    const mine = session()
    if (hadSeen) expect((await there.read('42', mine))?.price).toBe(1)
    fleet.table.remove('42')
    expect(await (await learn()).read('42', mine)).toBeUndefined()
    expect((await there.read('42'))?.price, 'without the token it would').toBe(1)
    expect(await there.read('42', session(mine.token))).toBeUndefined()
  })

  it('to a row that changed after it saw it, and before it was shown that there is none', async () => {
    const { fleet, there, session, learn } = await warmed()
    const mine = session()
    expect((await there.read('42', mine))?.price).toBe(1)
    fleet.table.put('42', 2)
    await there.reload('42')
    await settle()
    fleet.table.remove('42')
    expect(await (await learn()).read('42', mine)).toBeUndefined()
    expect((await there.read('42'))?.price, 'without the token it would').toBe(2)
    expect(await there.read('42', session(mine.token))).toBeUndefined()
  })

  it('behind the row that came after an absence it was shown', async () => {
    const { fleet, there, session, learn } = await warmed()
    const mine = session()
    fleet.table.remove('42')
    await (await learn()).read('42', mine)
    fleet.table.put('42', 2)
    expect((await there.read('42', mine))?.price).toBe(2)
    const loads = fleet.table.loads
    expect((await there.read('42', mine))?.price).toBe(2)
    expect(fleet.table.loads, 'it knows the row now, and asks no database for it').toBe(loads)
  })

  it('however often it changes between processes, and whatever it is shown on the way', async () => {
    const { fleet, there, session, learn } = await warmed()
    let token: string | undefined
    for (let price = 2; price < 8; price++) {
      const hop = session(token)
      fleet.table.put('42', price)
      const first = await (await learn()).read('42', hop)
      const second = await there.read('42', hop)
      expect([first?.price, second?.price]).toEqual([price, price])
      await settle()
      token = hop.token
    }
  })

  it('and its demand holds for every later read of that process', async () => {
    const { fleet, there, session, learn } = await warmed()
    fleet.table.put('42', 2)
    const mine = session()
    await (await learn()).read('42', mine)
    await there.read('42', session(mine.token))
    await settle()
    expect((await there.read('42'))?.price, 'reads of one process do not go back, whoever they are for').toBe(2)
  })

  it('an old token asks for no more than it knows', async () => {
    const { there, session, learn } = await warmed()
    const mine = session()
    await (await learn()).read('42', mine)
    const before = there.cache.count('read')
    expect((await there.read('42', session(mine.token)))?.price).toBe(1)
    expect(there.cache.count('read'), 'what is held in memory is new enough').toBe(before)
  })
})
