import { Buffer } from 'node:buffer'
import type { History } from '../../src/testing/history.js'
import { findStoredCopies } from '../../src/testing/stored-copies.js'
import type { Database } from './postgres/database.js'
import type { ShopProcess } from './process.js'
import { scannable } from './redis/scannable.js'
import type { RedisServers } from './redis/servers.js'

/** Holds everything that may still be served, once nothing is under way any more, against the database. */
export async function lookAtRest(world: {
  readonly ids: number
  readonly database: Database
  readonly servers: RedisServers
  readonly processes: readonly ShopProcess[]
  readonly history: History
}): Promise<void> {
  const { database, history } = world
  const { commits } = database
  const stored = (id: number) => database.find(id, commits)?.corral_version ?? null
  for (const server of world.servers.primaries) {
    const { copies } = await findStoredCopies(scannable(server), 'shop')
    for (const { kind, id, isCopy, entry, redisKey } of copies) {
      if (kind !== 'row') continue
      const place = isCopy ? 'redis copy' : 'redis'
      const version = entry.kind === 'absent' ? null : (entry.version ?? versionSaidIn(entry.payload))
      history.rest({ place, key: redisKey, version, stored: stored(Number(id[0])) })
    }
  }
  for (const { host, products } of world.processes) {
    for (let id = 1; id <= world.ids; id++) {
      const row = products.peek(id)
      if (row === undefined) continue
      const place = `memory of ${host.name}`
      history.rest({ place, key: `products/${id}`, version: row.corral_version, stored: stored(id) })
    }
  }
}

/** Of an entry without a stamp: what its row says of itself. */
function versionSaidIn(payload: Uint8Array): string | null {
  return /products\/\d+ (\d+)/.exec(Buffer.from(payload).toString('latin1'))?.[1] ?? null
}
