import { AsyncLocalStorage } from 'node:async_hooks'
import { describe, expect, it } from 'vitest'
import { Fleet } from '../../support/fleet.js'
import { settle } from '../../support/manual-clock.js'
import { expectNothingLeft } from '../../support/nothing-left.js'

describe('Reader.readMany', () => {
  expectNothingLeft()

  function started() {
    const fleet = new Fleet()
    const process = fleet.start()
    for (let id = 0; id < 10; id++) fleet.table.put(String(id), id)
    const prices = async (...ids: string[]) => (await process.readMany(ids)).map((row) => row?.price)
    return { fleet, process, prices }
  }

  it('answers in order what is cached, what has to be loaded, and what does not exist, with one question', async () => {
    const { process, prices } = started()
    await prices('1', '3')
    await settle()
    process.cache.calls.length = 0
    expect(await prices('3', '2', 'none', '1', '4')).toEqual([3, 2, undefined, 1, 4])
    expect(process.cache.calls.filter(({ operation }) => operation === 'read')).toHaveLength(1)
    await settle()
    expect(process.events.of('hit')).toHaveLength(2)
  })

  it('reads a key that is asked for twice once', async () => {
    const { fleet, process, prices } = started()
    expect(await prices('5', '5', '6', '5')).toEqual([5, 5, 6, 5])
    expect(fleet.table.loads).toEqual(['5', '6'])
    await settle()
    expect(await prices('5', '5', '6', '5')).toEqual([5, 5, 6, 5])
    expect(process.events.of('hit'), 'each reader counts').toHaveLength(4)
  })

  it('answers a list that takes several round trips', async () => {
    const process = new Fleet({ load: { concurrency: 8, queue: 2_000, queueMs: 5_000 } }).start()
    const ids = Array.from({ length: 1_200 }, (_, id) => String(id % 1_100))
    const rows = await process.readMany(ids)
    expect(rows).toEqual(ids.map(() => undefined))
    await settle()
    const sizes = process.cache.calls.filter(({ operation }) => operation === 'read').map(({ keys }) => keys.length)
    expect(sizes).toEqual([512, 512, 176])
  })

  it('fails when one of its loads does', async () => {
    const { fleet, process, prices } = started()
    await prices('1')
    await settle()
    const failure = new Error('the database is away')
    fleet.table.failLoads(failure)
    await expect(process.readMany(['1', '2', '3'])).rejects.toBe(failure)
    fleet.table.healLoads()
    await settle()
  })

  it('reads the database where the cache does not answer', async () => {
    const { process, prices } = started()
    process.cache.breakNext('read', 'fail')
    expect(await prices('1', '2')).toEqual([1, 2])
    expect(process.events.of('miss').map(({ reason }) => reason)).toEqual(['unavailable', 'unavailable'])
  })
})

describe('readers of one tick', () => {
  expectNothingLeft()

  it('load as who they are: what a load begins belongs to the caller whose read it is', async () => {
    const fleet = new Fleet()
    const process = fleet.start()
    const storage = new AsyncLocalStorage<string>()
    const loaders = new Map<string, string | undefined>()
    const load = fleet.table.load.bind(fleet.table)
    fleet.table.load = (ids) => {
      loaders.set(String(ids[0]), storage.getStore())
      return load(ids)
    }
    const callers = ['a', 'b', 'c']
    await Promise.all(callers.map((caller) => storage.run(caller, () => process.read(`row of ${caller}`))))
    expect([...loaders]).toEqual(callers.map((caller) => [`row of ${caller}`, caller]))
    await settle()
  })
})
