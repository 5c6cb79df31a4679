import { type ChildProcess, spawn } from 'node:child_process'
import { afterAll, beforeAll, describe, expect } from 'vitest'
import { bundle } from '../../support/bundle.js'
import { waitUntil } from '../../support/servers/wait.js'
import { redisUrl } from '../../support/services.js'
import { type ShopLab, type ShopProcess, untilCached } from '../../support/shop-lab.js'
import { cachedProduct, itOverEachSource, openRelayedShops, SOURCES, type Source } from './relay-lab.js'

const shops = openRelayedShops()

/** A relay in a process of its own. */
class RelayChild {
  readonly process: ChildProcess
  role = ''

  constructor(program: string, { databaseUrl, namespace }: ShopLab, source: Source) {
    const args = [program, databaseUrl, redisUrl(), namespace, source]
    this.process = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
    this.process.stdout?.on('data', (said) => {
      this.role = String(said).trim().split('\n').at(-1) ?? ''
    })
  }
}

/** Two for each source, which all tests of this file share. */
const relays = {} as Record<Source, readonly RelayChild[]>
beforeAll(async () => {
  const program = await bundle(new URL('../../support/relaying-process.ts', import.meta.url))
  for (const source of SOURCES) relays[source] = [0, 1].map(() => new RelayChild(program, shops[source], source))
})
afterAll(() => {
  for (const child of Object.values(relays).flat()) child.process.kill('SIGKILL')
})

/** One of the relays leads, and Redis holds a product. */
async function relayed(source: Source) {
  await waitUntil('one leads, one stands by', 40_000, () => {
    const roles = relays[source].map(({ role }) => role)
    return roles.sort().join() === 'leader,standby'
  })
  const [leader, other] = relays[source].toSorted(({ role }) => (role === 'leader' ? -1 : 1)) as [
    RelayChild,
    RelayChild,
  ]
  const shop = shops[source]
  const reader = shop.start()
  const id = await cachedProduct(shop, source, reader)
  return { shop, leader, other, reader, id }
}

/** Resolves when it is, with how long that took. */
async function shownAfterMs({ products }: ShopProcess, id: number, price: number): Promise<number> {
  const startedMs = performance.now()
  await waitUntil('the write is shown', 20_000, async () => (await products.find(id))?.price === price)
  return performance.now() - startedMs
}

describe('a relay of its own', () => {
  itOverEachSource(
    'that is stopped, or whose host is gone without a word, loses the lead when it has been silent for ten seconds',
    async (source) => {
      const { shop, leader, other, reader, id } = await relayed(source)
      leader.process.kill('SIGSTOP')
      await shop.run(`update products set price = 2 where id = ${id}`)
      expect(await shownAfterMs(reader, id, 2)).toBeLessThan(13_000)
      expect(other.role).toBe('leader')

      // It wakes with the lead in mind. What it still says is old, and does no harm.
      await untilCached(reader, id)
      leader.process.kill('SIGCONT')
      await waitUntil('it has noticed', 10_000, () => leader.role === 'standby')
      await shop.run(`update products set price = 3 where id = ${id}`)
      expect(await shownAfterMs(reader, id, 3)).toBeLessThan(2_000)
      expect(other.role).toBe('leader')
    },
    100_000,
  )

  itOverEachSource(
    'that is killed is followed by another within its election time, and nothing is lost',
    async (source) => {
      const { shop, leader, other, reader, id } = await relayed(source)
      leader.process.kill('SIGKILL')
      await shop.run(`update products set price = 2 where id = ${id}`)
      expect(await shownAfterMs(reader, id, 2)).toBeLessThan(1_500)
      expect(other.role).toBe('leader')
    },
    80_000,
  )
})
