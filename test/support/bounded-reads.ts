import { setTimeout as sleep } from 'node:timers/promises'
import { machineMs } from '../../src/core/clock.js'
import { type History, Observer, type WatchedTable } from '../../src/testing.js'
import type { ShopLab, ShopProcess } from './shop-lab.js'

const PRODUCTS: WatchedTable = { name: 'products', key: 'id' }
const PAUSE_MS = 5

/** The products of a process, with all that it reads and writes noted down under this name. */
export function observed({ products }: ShopProcess, process: string, history: History): ShopProcess['products'] {
  return new Observer({ process, history }).watch(products, PRODUCTS)
}

export interface BoundedReads {
  /** Resolves when the reads under way have ended, with how many failed because there was no database to answer. */
  stop(): Promise<{ readonly failed: number }>
}

/** Reads all these rows over and over within the bound, in each of the processes by its name. What they are shown is for `checkHistory`. */
export function readBounded(options: {
  readonly history: History
  readonly processes: Readonly<Record<string, ShopProcess>>
  readonly ids: readonly number[]
  readonly maxStaleMs: number
}): BoundedReads {
  const { history, processes, ids, maxStaleMs } = options
  let going = true
  let failed = 0
  const run = async (products: ShopProcess['products']) => {
    for (let nth = 0; going; nth++) {
      const id = ids[nth % ids.length] as number
      await products.find(id, { consistency: { maxStaleMs } }).catch(() => failed++)
      await sleep(PAUSE_MS)
    }
  }
  const runs = Object.entries(processes).map(([name, process]) => run(observed(process, name, history)))
  return {
    async stop() {
      going = false
      await Promise.all(runs)
      return { failed }
    },
  }
}

/** Runs SQL that Corral knows nothing of, and notes what it has made of these rows. None of them may be gone afterwards. */
export async function writeOutside(
  shop: ShopLab,
  statement: string,
  ids: readonly number[],
  history: History,
): Promise<void> {
  const startedMs = machineMs()
  await shop.run(statement)
  const rows = await shop.run(`select id, corral_version::text as version from products where id in (${ids.join()})`)
  const note = { process: 'outside', startedMs, endedMs: machineMs(), outcome: 'outside' } as const
  for (const { id, version } of rows) history.write({ ...note, key: `products/${id}`, version: String(version) })
}
