import { type ChildProcess, spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { waitUntil } from '../../support/servers/wait.js'
import { redisUrl } from '../../support/services.js'
import type { ShopLab, ShopProcess } from '../../support/shop-lab.js'
import { openRelayedShop, untilCaughtUp } from './relay-lab.js'

let shop: ShopLab
beforeAll(async () => {
  shop = await openRelayedShop()
})

/** A relay in a process of its own. */
class RelayChild {
  readonly process: ChildProcess
  role = ''

  constructor() {
    const script = fileURLToPath(new URL('../../support/relaying-process.ts', import.meta.url))
    const args = ['--import', 'tsx', script, shop.databaseUrl, redisUrl(), shop.namespace]
    this.process = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
    this.process.stdout?.on('data', (said) => {
      this.role = String(said).trim().split('\n').at(-1) ?? ''
    })
    onTestFinished(() => void this.process.kill('SIGKILL'))
  }
}

/** Two relays of which one leads, and a product that Redis holds. */
async function relayed() {
  const relays = [new RelayChild(), new RelayChild()]
  await waitUntil('one leads, one stands by', 15_000, () => {
    return (
      relays
        .map(({ role }) => role)
        .sort()
        .join() === 'leader,standby'
    )
  })
  const [leader, other] = relays.sort(({ role }) => (role === 'leader' ? -1 : 1)) as [RelayChild, RelayChild]
  const reader = shop.start()
  const [row] = await shop.run('insert into products (price) values (1) returning id')
  const id = Number(row?.id)
  await untilCaughtUp(shop)
  await cached(reader, id)
  return { leader, other, reader, id }
}

async function cached({ products, events }: ShopProcess, id: number): Promise<void> {
  await waitUntil('it is cached', 5_000, async () => {
    events.events.length = 0
    await products.find(id)
    return events.of('hit').length === 1
  })
}

describe('a relay of its own', () => {
  it('that is killed is followed by another within its election time, and nothing is lost', async () => {
    const { leader, other, reader, id } = await relayed()
    leader.process.kill('SIGKILL')
    await shop.run(`update products set price = 2 where id = ${id}`)
    const committedMs = performance.now()
    await waitUntil('the write is shown', 5_000, async () => (await reader.products.find(id))?.price === 2)
    expect(performance.now() - committedMs).toBeLessThan(1_500)
    expect(other.role).toBe('leader')
  }, 40_000)

  it('that is stopped, or whose host is gone without a word, loses the lead when it has been silent for ten seconds', async () => {
    const { leader, other, reader, id } = await relayed()
    leader.process.kill('SIGSTOP')
    await shop.run(`update products set price = 2 where id = ${id}`)
    const committedMs = performance.now()
    await waitUntil('the write is shown', 20_000, async () => (await reader.products.find(id))?.price === 2)
    expect(performance.now() - committedMs).toBeLessThan(13_000)
    expect(other.role).toBe('leader')

    // It wakes with the lead in mind. What it still says is old, and does no harm.
    await cached(reader, id)
    leader.process.kill('SIGCONT')
    await waitUntil('it has noticed', 10_000, () => leader.role === 'standby')
    await shop.run(`update products set price = 3 where id = ${id}`)
    await waitUntil('the write is shown', 2_000, async () => (await reader.products.find(id))?.price === 3)
    expect(other.role).toBe('leader')
  }, 60_000)
})
