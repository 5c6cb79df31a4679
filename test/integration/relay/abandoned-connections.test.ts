import { expect } from 'vitest'
import { waitUntil } from '../../support/servers/wait.js'
import type { ShopProcess } from '../../support/shop-lab.js'
import { TcpProxy } from '../../support/tcp-proxy.js'
import { cachedProduct, itOverEachSource, openRelayedShops, relayOf, untilLeads } from './relay-lab.js'

const shops = openRelayedShops()

itOverEachSource(
  'relays whose connections lead nowhere, without an error, give them up after ten seconds, and one leads over a new one',
  async (source) => {
    const shop = shops[source]
    const { hostname, port } = new URL(shop.databaseUrl)
    const proxy = await TcpProxy.start({ host: hostname, port: Number(port) })
    const through = { databaseUrl: proxy.through(shop.databaseUrl) }
    const reader = shop.start()
    try {
      const start = () => shop.start({ ...through, relay: relayOf(through, source, { pollMs: 20 }) })
      const leader = start()
      await untilLeads(leader)
      const standby = start()
      const id = await cachedProduct(shop, source, reader)
      await waitUntil('the standby has connected', 5_000, () => proxy.connections > 1)
      proxy.abandon()
      const startedMs = performance.now()
      await shop.run(`update products set price = 7 where id = ${id}`)
      await waitUntil('the change is shown', 25_000, async () => (await reader.products.find(id))?.price === 7)
      expect(performance.now() - startedMs).toBeLessThan(23_000)
      const leads = ({ corral }: ShopProcess) => corral.stats().relay === 'leader'
      await waitUntil('one leads', 5_000, () => [leader, standby].filter(leads).length === 1)
      const reasons = leader.events.of('relay.failed').map(({ error }) => String(error))
      expect(reasons.join()).toContain('no answer within 10000 ms')
    } finally {
      await reader.corral.close()
      await proxy.close()
    }
  },
  80_000,
)
