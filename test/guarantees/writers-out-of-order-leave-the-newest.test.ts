import { describe, expect, it } from 'vitest'
import { Fleet } from '../support/fleet.js'
import { settle } from '../support/manual-clock.js'
import { expectNothingLeft } from '../support/nothing-left.js'

describe('writers out of order leave the newest', () => {
  expectNothingLeft()

  it('when the fence of the first commit arrives last', async () => {
    const fleet = new Fleet()
    const [first, second, reader] = [fleet.start(), fleet.start(), fleet.start()]
    fleet.table.put('42', 1)
    await reader.read('42')
    await settle()

    const older = fleet.table.put('42', 2)
    const newer = fleet.table.put('42', 3)
    await second.fence(newer)
    expect((await reader.read('42'))?.price).toBe(3)
    await settle()
    reader.events.story()
    await first.fence(older)

    for (const process of [first, second, reader]) expect((await process.read('42'))?.price).toBe(3)
    expect(reader.events.story(), 'the late fence took nothing away').toMatchInlineSnapshot(`
      "
      1 hit l2 fresh
      "
    `)
  })

  it('when a fence was pending for minutes while others wrote', async () => {
    const fleet = new Fleet()
    const [cutOff, other] = [fleet.start(), fleet.start()]
    fleet.table.put('42', 1)
    cutOff.cache.breakAlways('fail')
    expect(await cutOff.write('42', 2)).toBe('pending')
    await other.write('42', 3)
    expect((await other.read('42'))?.price).toBe(3)
    await fleet.clock.advance(180_000)
    cutOff.cache.heal()
    await fleet.clock.advance(2_000)

    expect(cutOff.pending.size).toBe(0)
    expect((await other.read('42'))?.price).toBe(3)
    expect(other.events.of('load'), 'the late fence took nothing away').toHaveLength(1)
    expect((await cutOff.read('42'))?.price).toBe(3)
  })

  it('when two writers and a loader end in every possible order', async () => {
    const steps = ['fence older', 'fence newer', 'fill older', 'fill newest'] as const
    for (const order of permutations(steps)) {
      const fleet = new Fleet()
      const [first, second, early, late] = [fleet.start(), fleet.start(), fleet.start(), fleet.start()]
      fleet.table.put('42', 1)
      const olderFill = early.cache.pause('before fill')
      await early.read('42')
      await olderFill.reached
      const older = fleet.table.put('42', 2)
      const newer = fleet.table.put('42', 3)
      for (const step of order) {
        if (step === 'fence older') await first.fence(older)
        if (step === 'fence newer') await second.fence(newer)
        if (step === 'fill older') olderFill.resume()
        // The early loader may hold the lease still; then this one waits for it.
        if (step === 'fill newest') void late.read('42')
        await settle()
      }
      await fleet.clock.advance(10_000)
      for (const process of [first, second, early, late]) {
        expect((await process.read('42'))?.price, order.join(', ')).toBe(3)
      }
      await settle()
    }
  })
})

function permutations<Item>(items: readonly Item[]): Item[][] {
  if (items.length === 0) return [[]]
  return items.flatMap((item) => permutations(items.filter((other) => other !== item)).map((rest) => [item, ...rest]))
}
