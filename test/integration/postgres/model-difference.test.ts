import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readRelation } from '../../../src/adapters/postgres/catalog-query.js'
import { kyselyOn } from '../../difference/postgres/kysely-on.js'
import { makeShop } from '../../difference/postgres/shop.js'
import { PostgresWalks } from '../../difference/postgres/walks.js'
import { describeDiffering, runUntil } from '../../difference/story.js'
import { Database } from '../../simulation/postgres/database.js'
import { Session } from '../../simulation/postgres/session.js'
import { freshDatabase } from '../../support/services.js'

/** `npm run difference` makes as many as you like. */
const CALLS = 500
const FROM_SEED = 22
/** How long a busy machine may take. */
const PATIENCE_MS = 120_000
/** What has to take place in so many calls: without it they would prove nothing. */
const SURELY_SEEN = ['waited for a lock', 'error 23505', 'error 25P02', 'error 40001', 'error 40P01'] as const

describe('the Postgres of the simulator', () => {
  let url = ''
  let client: pg.Client
  beforeAll(async () => {
    url = await freshDatabase()
    client = new pg.Client({ connectionString: url })
    await client.connect()
    await makeShop(client)
  })
  afterAll(() => client.end())

  it('has the catalog of such a table', async () => {
    const session = new Session(new Database({ nowMs: () => 0 }), 'p1', undefined, false)
    const both = [
      kyselyOn(async (sql, parameters) => (await client.query(sql, [...parameters])).rows),
      kyselyOn((sql, parameters) => session.run(sql, parameters)),
    ]
    const [real, model] = await Promise.all(both.map((db) => readRelation(db, { schema: undefined, name: 'products' })))
    const inOrder = (relation: typeof real) => ({ ...relation, uniques: relation?.uniques.map(String).sort() })
    expect(inOrder(model)).toEqual(inOrder(real))
  })

  it(
    'answers, refuses, waits and orders as the real one does, whoever asks in between',
    async () => {
      const walks = await PostgresWalks.open(url)
      try {
        const run = (seed: number) => walks.run(seed)
        const tally = await runUntil({ fromSeed: FROM_SEED, calls: CALLS, mostDiffering: 1, run })
        expect(describeDiffering('postgres', tally)).toBe('')
        expect(SURELY_SEEN.filter((what) => !tally.witnesses.has(what))).toEqual([])
      } finally {
        await walks.close()
      }
    },
    PATIENCE_MS,
  )
})
