/**
 * A process that does nothing but relay. Says `leader` or `standby` whenever that changes.
 *
 * Usage: node --import tsx test/support/relaying-process.ts <database URL> <Redis URL> <namespace> <outbox|slot>
 */
import { Redis } from 'ioredis'
import { startRelay } from '../../src/relay-process.js'
import { openShopDatabase } from './shop-lab.js'

const [databaseUrl = '', redisUrl = '', namespace = '', source] = process.argv.slice(2)
const slot = { source: 'slot', slot: { connection: { connectionString: databaseUrl } } } as const
const relay = startRelay({
  db: openShopDatabase(databaseUrl, 2),
  redis: new Redis(redisUrl),
  namespace,
  relay: { pollMs: 20, electionMs: 100, ...(source === 'slot' ? slot : {}) },
})
let said = ''
setInterval(() => {
  if (relay.role === said) return
  said = relay.role
  process.stdout.write(`${said}\n`)
}, 10)
