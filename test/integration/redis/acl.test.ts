import { createHash } from 'node:crypto'
import { Cluster, Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { leastPrivilegeAcl } from '../../../src/adapters/redis/acl.js'
import { beginMonitoring, openMonitor } from '../../../src/adapters/redis/monitor.js'
import { type Corral, createCorral } from '../../../src/client.js'
import { fencedLocks } from '../../../src/migrations.js'
import { Recorder } from '../../support/recorder.js'
import { type RedisServer, startRedis } from '../../support/servers/redis.js'
import { type RedisCluster, startRedisCluster } from '../../support/servers/redis-cluster.js'
import { redisCommand } from '../../support/servers/redis-command.js'
import { waitUntil } from '../../support/servers/wait.js'
import { openShopDatabase, type ShopDatabase, type ShopLab } from '../../support/shop-lab.js'
import { openRelayedShop } from '../relay/relay-lab.js'

const NAMESPACE = 'acl-shop'
const PASSWORD = 'a password that is long enough'
const HASH = createHash('sha256').update(PASSWORD).digest('hex')
const WITH_REPLICA = { masters: 3, replicas: 1 }

/** A Redis user with the rights of the list can do all that an instance does, and nothing more; on servers that serve nobody else. */
describe('the least privileges', () => {
  let shop: ShopLab
  beforeAll(async () => {
    shop = await openRelayedShop()
    const db = openShopDatabase(shop.databaseUrl, 1)
    await fencedLocks().up(db)
    await db.destroy()
  })

  describe('on one server', () => {
    let server: RedisServer
    beforeAll(async () => {
      server = await startRedis({ own: true })
    })
    afterAll(() => server.stop())

    it.each([
      ['without a key prefix', { keyPrefix: '', db: 0 }],
      ['with a key prefix', { keyPrefix: 'team:[a]*:', db: 0 }],
      ['on another database', { keyPrefix: '', db: 2 }],
    ])('%s are enough, and each of them is needed', async (_, options) => {
      const acl = await allow([server.port], { isCluster: false, ...options })
      const sent = await monitor([server.port])
      const open = () => new Redis(server.port, '127.0.0.1', { username: acl.user, password: PASSWORD, ...options })
      await useEverything(shop, open)
      expect(await denials([server.port])).toEqual([])
      expect([...sent()].sort()).toEqual([...acl.commands])
    })

    it('are all there is: other commands, keys and channels are denied', async () => {
      const acl = await allow([server.port], { isCluster: false })
      const client = new Redis(server.port, '127.0.0.1', { username: acl.user, password: PASSWORD })
      onTestFinished(() => client.disconnect())
      await expectDenied(client)
      expect((await denials([server.port])).length).toBeGreaterThan(5)
    })
  })

  describe('on a cluster', () => {
    let cluster: RedisCluster
    beforeAll(async () => {
      cluster = await startRedisCluster(WITH_REPLICA)
    })
    afterAll(() => cluster.stop())
    const ports = () => cluster.nodes.map(({ port }) => port)

    it('are enough, and each of them is needed', async () => {
      const acl = await allow(ports(), { isCluster: true })
      // Replicas show what their primaries have them do.
      const sent = await monitor(cluster.masters.map(({ port }) => port))
      const options = { redisOptions: { username: acl.user, password: PASSWORD } }
      await useEverything(shop, () => new Cluster([...cluster.startNodes], options))
      expect(await denials(ports())).toEqual([])
      // To replicas, and while a slot is on its way from one node to another.
      expect([...sent(), 'readonly', 'asking'].sort()).toEqual([...acl.commands])
    })

    it('are all there is: other commands, keys and channels are denied', async () => {
      const acl = await allow(ports(), { isCluster: true })
      const client = new Redis(ports()[0] as number, '127.0.0.1', { username: acl.user, password: PASSWORD })
      onTestFinished(() => client.disconnect())
      await expectDenied(client)
    })
  })
})

/** Sets the user up on each node, which forgets what it has denied before. */
async function allow(ports: readonly number[], request: { isCluster: boolean; keyPrefix?: string; db?: number }) {
  const acl = leastPrivilegeAcl({ user: 'corral', namespace: NAMESPACE, ...request })
  for (const port of ports) {
    await redisCommand(port, 'ACL', 'SETUSER', acl.user, ...acl.rules, `#${HASH}`)
    await redisCommand(port, 'ACL', 'LOG', 'RESET')
  }
  return acl
}

/** What the servers denied, and why. */
async function denials(ports: readonly number[]): Promise<string[]> {
  const logs = await Promise.all(
    ports.map(async (port) => {
      const admin = new Redis(port, '127.0.0.1')
      const log = (await admin.call('ACL', 'LOG')) as unknown[]
      admin.disconnect()
      return log.map((entry) => {
        const fields = Array.isArray(entry) ? entry : Object.entries(entry as object).flat()
        const of = (name: string) => fields[fields.indexOf(name) + 1]
        return `${of('reason')} ${of('object')} ${of('context')}`
      })
    }),
  )
  return logs.flat()
}

/** Listens to the servers. The commands that were sent by others than the tests' own eyes, from scripts too. */
async function monitor(ports: readonly number[]): Promise<() => Set<string>> {
  const commands = new Set<string>()
  const ofTheTest = new Set<string>()
  for (const port of ports) {
    const admin = new Redis(port, '127.0.0.1', { connectionName: 'monitor', disableClientInfo: true })
    const eyes = openMonitor(admin)
    onTestFinished(() => {
      eyes.disconnect()
      admin.disconnect()
    })
    eyes.on('monitor', (_time, [name = '', first = '', second = ''], source) => {
      const command = name.toLowerCase()
      if (command === 'acl' || (command === 'client' && second === 'monitor')) ofTheTest.add(source)
      // Of a node's own, to its replica and the others.
      if (['ping', 'replconf', 'psync', 'hello', 'auth'].includes(command) || ofTheTest.has(source)) return
      const isContainer = command === 'client' || command === 'cluster'
      commands.add(isContainer ? `${command}|${first.toLowerCase()}` : command)
    })
    await beginMonitoring(eyes)
  }
  return () => commands
}

/** Every call that comes to Redis, from two processes of one namespace. */
async function useEverything(shop: ShopLab, open: () => Redis | Cluster): Promise<void> {
  const parts = Array.from({ length: 2 }, (_, at) => {
    const [db, redis, events] = [openShopDatabase(shop.databaseUrl, 6), open(), new Recorder()]
    const corral = createCorral<ShopDatabase>({
      ...{ db, redis, namespace: NAMESPACE, onEvent: events.emit, secret: PASSWORD },
      cache: { deadlineMs: 5_000, fenceDeadlineMs: 5_000 },
      hotKeys: { perSecond: 0, share: 0 },
      bus: { heartbeatMs: 100, trustMs: 10_000 },
      ...(at === 0 ? { relay: { pollMs: 20 } } : {}),
    })
    redis.on('error', () => {})
    return { corral, db, redis, events }
  })
  try {
    const [first, second] = parts as [(typeof parts)[0], (typeof parts)[0]]
    await waitUntil('both hear each other', 10_000, () => parts.every(({ events }) => events.count('bus.flush') > 0))
    await callEverything(first.corral)
    await callEverything(second.corral)
    await waitUntil('the relay has left its tick', 10_000, () => first.corral.stats().relay === 'leader')
    const products = second.corral.repository('products', { key: 'id', unique: ['slug'] })
    await waitUntil('a read within a bound finds a proof', 10_000, async () => {
      await products.find(1, { consistency: { maxStaleMs: 5_000 } })
      return second.corral.stats().watermarkAgeMs !== undefined
    })
    for (const { events } of parts) expect(events.of('cache.unavailable')).toEqual([])
  } finally {
    for (const { corral } of parts) await corral.close()
    for (const { redis, db } of parts) {
      redis.disconnect()
      await db.destroy()
    }
  }
}

async function callEverything(corral: Corral<ShopDatabase>): Promise<void> {
  const options = { key: 'id', unique: ['slug'], hotKeys: { copies: 2 }, l1: false, onWrite: 'publish' } as const
  const products = corral.repository('products', options)
  const { row, fence } = await products.insert({ price: 1 })
  expect(fence).toBe('fenced')
  const slug = `tea-${row.id}`
  await products.find(row.id)
  await products.findMany([row.id, row.id + 100_000])
  expect((await products.update(row.id, { slug }))?.fence).toBe('fenced')
  await products.findBy({ slug })
  await products.upsert({ id: row.id, price: 2 })
  await products.mutate(row.id, async ({ price }) => ({ price: price + 1 }))
  await products.find(row.id, { consistency: 'refresh' })
  await products.find(row.id, { consistency: 'verified', session: corral.session() })
  for (let reads = 0; reads < 50; reads++) await products.find(row.id)
  await products.warm([row.id, 1])
  expect((await products.explain(row.id)).l2.state).toBe('held')
  const cheap = corral.query('cheap', (db, p: { most: number }) =>
    db.selectFrom('products').selectAll().where('price', '<', p.most),
  )
  await cheap({ most: 10 })
  await cheap({ most: 10 })
  await corral.transaction(async (tx) => products.in(tx).update(row.id, { price: 7 }))
  const work = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 120))
  await corral.withFencedLock('stock', work, { ttlMs: 60 })
  expect(await corral.bumpEpoch()).toBe('fenced')
  await products.delete(row.id)
}

async function expectDenied(client: Redis): Promise<void> {
  const own = `${NAMESPACE}:{public.products/1}`
  const denied: [string, ...string[]][] = [
    ['GET', 'session:1'],
    ['GET', `${NAMESPACE}2:{public.products/1}`],
    ['GET', `other:{${NAMESPACE}}`],
    ['SET', 'acl', '1'],
    ['EVAL', "return redis.call('GET', 'session:1')", '0'],
    ['EVAL', `return redis.call('KEYS', '*')`, '0'],
    ['EVAL', `return redis.call('FLUSHALL')`, '0'],
    ['KEYS', '*'],
    ['SCAN', '0'],
    ['FLUSHALL'],
    ['FLUSHDB'],
    ['CONFIG', 'GET', '*'],
    ['ACL', 'WHOAMI'],
    ['CLIENT', 'LIST'],
    ['CLIENT', 'KILL', 'ID', '1'],
    ['MONITOR'],
    ['SHUTDOWN'],
    ['REPLICAOF', 'NO', 'ONE'],
    ['DEBUG', 'JMAP'],
    ['CLUSTER', 'RESET'],
    ['LPUSH', own, '1'],
    ['PUBLISH', 'other:bus', 'hello'],
    ['SUBSCRIBE', 'other:bus'],
    ['PSUBSCRIBE', '*'],
    ['SPUBLISH', 'other:bus', 'hello'],
  ]
  for (const [name, ...values] of denied) {
    const outcome = await client.call(name, ...values).then(
      (reply) => `answered ${reply}`,
      (error: Error) => error.message,
    )
    expect(`${name} ${values.join(' ')}: ${outcome}`).toMatch(/NOPERM|can't run this command|can't access at least one/)
  }
}
