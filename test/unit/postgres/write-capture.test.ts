import { CompiledQuery, type DatabaseConnection, DummyDriver } from 'kysely'
import { describe, expect, it } from 'vitest'
import { captureWrites, type WriteWatch } from '../../../src/adapters/postgres/write-capture.js'
import { databaseOver } from '../../support/no-database.js'

const WATCH: WriteWatch = {
  run: (statement) => statement(),
  namesMove() {},
  expect: async (writes) => writes.map(() => undefined),
  happened() {},
  unseen() {},
  failed() {},
}

/** As Kysely 0.29 has it. */
interface Controlled extends DatabaseConnection {
  collectSessionInfo(): Promise<void>
  cancelQuery(provider: unknown): Promise<void>
}

/** The connection that Kysely sees in a transaction over a driver which has this one. */
async function seen(connection: object): Promise<Controlled> {
  const driver = Object.assign(new DummyDriver(), { acquireConnection: async () => connection as DatabaseConnection })
  return databaseOver(driver)
    .transaction()
    .execute((tx) =>
      captureWrites(tx, WATCH)
        .getExecutor()
        .provideConnection(async (one) => one as never),
    )
}

describe('the connection of a followed transaction', () => {
  const plain = { executeQuery: async () => ({ rows: [] }), async *streamQuery() {} }

  it('ends what is not waited for any more as the driver does', async () => {
    const told: unknown[] = []
    const able = {
      ...plain,
      pid: 7,
      async cancelQuery(provider: unknown) {
        told.push(['cancel', this.pid, provider])
      },
      async collectSessionInfo() {
        told.push(['collect', this.pid])
      },
    }
    const connection = await seen(able)
    await connection.collectSessionInfo()
    await connection.cancelQuery('a provider')
    expect(told).toEqual([
      ['collect', 7],
      ['cancel', 7, 'a provider'],
    ])
    expect('killSession' in connection, 'what this driver cannot do').toBe(false)
  })

  it('cannot do so where the driver cannot', async () => {
    const connection = await seen(plain)
    expect(Object.keys(connection)).toEqual([])
    expect(await connection.executeQuery(CompiledQuery.raw('select 1'))).toEqual({ rows: [] })
  })
})
