import { beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { StoreOperation } from '../../support/pausable-store.js'
import { QueryLab, type QueryProcess } from '../../support/query-lab.js'

describe('a lost cache never fails a query', () => {
  let lab: QueryLab
  beforeAll(async () => {
    lab = await QueryLab.open()
  })
  beforeEach(() => lab.emptyCache())

  function names(process: QueryProcess) {
    return process.corral.query('names', (db) => db.selectFrom('products').select('name').orderBy('id'))
  }

  it.each<[StoreOperation[], 'fail' | 'hang']>([
    [['read', 'lease', 'fill', 'release', 'fence', 'mark'], 'fail'],
    [['read', 'lease', 'fill', 'release', 'fence', 'mark'], 'hang'],
    [['mark'], 'fail'],
    [['mark'], 'hang'],
    [['fill'], 'fail'],
    [['lease'], 'hang'],
  ])('whose %j %ss', async (operations, fault) => {
    const process = lab.start({ cache: { deadlineMs: 50 } })
    const query = names(process)
    const expected = await query()
    process.store.breakAlways(fault, operations)
    for (let call = 0; call < 3; call++) expect(await query()).toEqual(expected)
    await process.products.update(1, { name: `tea of ${operations.length} ${fault}` })
    const now = await query()
    expect(now[0]?.name).toBe(`tea of ${operations.length} ${fault}`)
    process.store.heal()
    expect(await query()).toEqual(now)
  })

  it('that comes back without what it held: marks that are lost are misses', async () => {
    const process = lab.start()
    const query = names(process)
    await query()
    await expect.poll(() => process.events.count('fill')).toBe(1)
    await lab.forget('#table')
    await query()
    expect(process.events.of('miss').map(({ reason }) => reason)).toEqual(['nothing', 'outdated'])
  })

  it('that holds something else under its keys', async () => {
    const process = lab.start()
    const query = names(process)
    const expected = await query()
    await expect.poll(() => process.events.count('fill')).toBe(1)
    await lab.plant('names?', 'not an entry')
    await lab.plant('#table', 'not a mark of ours')
    expect(await query()).toEqual(expected)
    expect(process.events.count('load')).toBe(2)
  })
})
