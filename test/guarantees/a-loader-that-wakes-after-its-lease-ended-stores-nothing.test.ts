import { describe, expect, it } from 'vitest'
import { Fleet } from '../support/fleet.js'
import { settle } from '../support/manual-clock.js'
import { expectNothingLeft } from '../support/nothing-left.js'

const TEN_MINUTES = 600_000

describe('a loader that wakes after its lease ended stores nothing', () => {
  expectNothingLeft()

  async function sleepingLoader() {
    const fleet = new Fleet()
    const [sleeper, other] = [fleet.start(), fleet.start()]
    fleet.table.put('42', 1)
    const pause = sleeper.cache.pause('before fill')
    await sleeper.read('42')
    await pause.reached
    const wake = async () => {
      pause.resume()
      await settle()
    }
    return { fleet, sleeper, other, wake }
  }

  it('when another process has taken its lease over, and even the entry is gone by then', async () => {
    const { fleet, sleeper, other, wake } = await sleepingLoader()
    fleet.table.put('42', 2)
    const reading = other.read('42')
    await fleet.clock.advance(6_000)
    expect((await reading)?.price).toBe(2)
    await settle()
    await fleet.evictEntries()

    await wake()
    expect(await fleet.store.read([other.keyOf('42')]), 'nothing was stored').toEqual([null])
    expect((await other.read('42'))?.price).toBe(2)
    expect((await sleeper.read('42'))?.price).toBe(2)
  })

  it('when fence and guard were forgotten while it slept', async () => {
    const { fleet, sleeper, other, wake } = await sleepingLoader()
    await other.write('42', 2)
    await fleet.clock.advance(TEN_MINUTES)

    await wake()
    expect(await fleet.store.read([other.keyOf('42')]), 'nothing was stored').toEqual([null])
    expect((await other.read('42'))?.price).toBe(2)
    expect((await sleeper.read('42'))?.price).toBe(2)
  })

  it('when its row was deleted and made again', async () => {
    const { fleet, sleeper, other, wake } = await sleepingLoader()
    await other.remove('42')
    await fleet.clock.advance(TEN_MINUTES)
    await other.write('42', 3)

    await wake()
    expect((await sleeper.read('42'))?.price).toBe(3)
    expect((await other.read('42'))?.price).toBe(3)
  })
})
