import { describe, expect, it } from 'vitest'
import { Fleet } from '../support/fleet.js'
import { settle } from '../support/manual-clock.js'
import { expectNothingLeft } from '../support/nothing-left.js'

describe('two releases share a table', () => {
  expectNothingLeft()

  function deploy() {
    const fleet = new Fleet()
    return { fleet, before: fleet.start({ shape: 'aaaaaaaa' }), after: fleet.start({ shape: 'bbbbbbbb' }) }
  }

  it('and neither decodes an entry of the other', async () => {
    const { fleet, before, after } = deploy()
    fleet.table.put('42', 1)
    for (const process of [before, after, before, after]) {
      expect((await process.read('42'))?.price).toBe(1)
      await settle()
    }
    expect(fleet.table.loads, 'each found the entry of the other').toHaveLength(4)
    expect(before.events.of('miss').map(({ reason }) => reason)).toEqual(['nothing', 'other-shape'])
    expect(after.events.of('miss').map(({ reason }) => reason)).toEqual(['other-shape', 'other-shape'])
  })

  it('and a write by either is seen by both', async () => {
    const { fleet, before, after } = deploy()
    fleet.table.put('42', 1)
    await before.read('42')
    await settle()
    await after.write('42', 2)
    expect((await before.read('42'))?.price).toBe(2)
    await settle()
    await before.write('42', 3)
    expect((await after.read('42'))?.price).toBe(3)
  })

  it('and a paused fill of one does not outlive a write by the other', async () => {
    const { fleet, before, after } = deploy()
    fleet.table.put('42', 1)
    const fill = before.cache.pause('before fill')
    await before.read('42')
    await fill.reached
    await after.write('42', 2)
    fill.resume()
    await settle()
    for (const process of [before, after]) expect((await process.read('42'))?.price).toBe(2)
  })

  it('and an entry of another epoch is a miss too', async () => {
    const fleet = new Fleet()
    const [before, after] = [fleet.start({ epoch: '00000001' }), fleet.start({ epoch: '00000002' })]
    fleet.table.put('42', 1)
    await before.read('42')
    await settle()
    await after.read('42')
    expect(after.events.of('miss')).toMatchObject([{ reason: 'other-epoch' }])
    expect(fleet.table.loads).toHaveLength(2)
  })
})
