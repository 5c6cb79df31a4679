import { sql } from 'kysely'
import { beforeAll, describe, expect, it } from 'vitest'
import { waitUntil } from '../support/servers/wait.js'
import { ShopLab, untilCached } from '../support/shop-lab.js'

/** What Kysely takes since 0.29. */
interface Aborting {
  execute(options: {
    readonly signal: AbortSignal
    readonly inflightQueryAbortStrategy?: 'ignore query' | 'cancel query' | 'kill session'
  }): Promise<unknown>
}

describe('a statement of a transaction whose signal aborts', () => {
  let shop: ShopLab
  beforeAll(async () => {
    shop = await ShopLab.open()
  })

  const runs = () => shop.run(`select 1 from pg_stat_activity where state = 'active' and query like 'update%pg_sleep%'`)

  /** A row that is cached, and a transaction that updates it for so long, aborts that on the way and lets `caught` decide what comes next. */
  async function abort(
    strategy: 'ignore query' | 'cancel query' | 'kill session',
    seconds: number,
    caught: (error: unknown) => void,
  ) {
    const [process, reader] = [shop.start(), shop.start()]
    const { id } = (await process.products.insert({ price: 1 })).row
    await untilCached(reader, id)
    const controller = new AbortController()
    const done = process.corral.transaction(async (tx) => {
      const update = tx
        .updateTable('products')
        .set({ price: 2 })
        .where('id', '=', id)
        .where(sql<boolean>`pg_sleep(${seconds}) is not null`) as unknown as Aborting
      await update.execute({ signal: controller.signal, inflightQueryAbortStrategy: strategy }).catch(caught)
    })
    done.catch(() => {})
    await waitUntil('it runs', 5_000, async () => (await runs()).length > 0)
    controller.abort(new Error('enough'))
    const outcome = await done.then(
      ({ fence }) => fence,
      (error) => error.message,
    )
    return { outcome, shown: (await reader.products.find(id))?.price }
  }

  it("is the transaction's all the same: it is waited for, and told", async () => {
    expect(await abort('ignore query', 0.3, () => {})).toEqual({ outcome: 'fenced', shown: 2 })
  })

  it.each([
    ['cancel query', 'enough'],
    // Kysely itself rolls back on what is gone, and hands on what comes of that.
    ['kill session', 'Connection terminated unexpectedly'],
  ] as const)('ends on the server where that is asked for: %s', async (strategy, outcome) => {
    const startedMs = performance.now()
    const rethrow = (error: unknown) => {
      throw error
    }
    expect(await abort(strategy, 15, rethrow)).toEqual({ outcome, shown: 1 })
    expect(performance.now() - startedMs).toBeLessThan(10_000)
    await waitUntil('it has ended', 5_000, async () => (await runs()).length === 0)
  })
})
