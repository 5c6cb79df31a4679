import { sql } from 'kysely'
import { beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { QueryLab, type QueryProcess } from '../../support/query-lab.js'

describe('a query is loaded once per fleet', () => {
  let lab: QueryLab
  beforeAll(async () => {
    lab = await QueryLab.open()
  })
  beforeEach(() => lab.emptyCache())

  function loadsOf(processes: readonly QueryProcess[]): number {
    return processes.reduce((sum, { events }) => sum + events.count('load'), 0)
  }

  function quick(process: QueryProcess) {
    return process.corral.query('by price', (db, p: { least: number }) =>
      db
        .selectFrom('products as p')
        .innerJoin('products as q', 'q.id', 'p.id')
        .select(['p.id', 'p.price'])
        .where('p.price', '>=', p.least)
        .orderBy('p.id'),
    )
  }

  it('4 processes, 400 calls of a cold query at once: one load, and all get the same rows', async () => {
    const fleet = [lab.start(), lab.start(), lab.start(), lab.start()]
    const queries = fleet.map(quick)
    // The catalog is read and connections are made before the crowd arrives.
    for (const query of queries) await query({ least: 1_000 })
    await expect.poll(() => fleet[0]?.events.count('fill')).toBe(1)
    const before = loadsOf(fleet)
    const answers = await Promise.all(
      queries.flatMap((query) => Array.from({ length: 100 }, () => query({ least: 2 }))),
    )
    expect(loadsOf(fleet) - before).toBe(1)
    expect(new Set(answers.map((rows) => JSON.stringify(rows))).size).toBe(1)
    expect(answers[0]?.length).toBeGreaterThan(0)
  })

  it('after a write: one load again, however many ask', async () => {
    const fleet = [lab.start(), lab.start(), lab.start()]
    const queries = fleet.map(quick)
    for (const query of queries) await query({ least: 3 })
    await (fleet[0] as QueryProcess).products.update(1, { price: 30 })
    const before = loadsOf(fleet)
    const answers = await Promise.all(queries.flatMap((query) => Array.from({ length: 50 }, () => query({ least: 3 }))))
    expect(loadsOf(fleet) - before).toBe(1)
    for (const rows of answers) expect(rows.find(({ id }) => id === 1)?.price).toBe(30)
  })

  it('parameters of other types are other queries', async () => {
    const process = lab.start()
    const echo = process.corral.query('echo', (db, p: { value: unknown }) =>
      db.selectFrom('products').select('id').where(sql<boolean>`${p.value}::text is not null`).limit(1),
    )
    for (const value of [1, '1', 1n, true, new Date(0)]) {
      await echo({ value })
      await echo({ value })
    }
    expect(process.events.count('load')).toBe(5)
  })
})
