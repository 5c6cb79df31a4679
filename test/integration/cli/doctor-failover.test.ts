import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { leastPrivilegeAcl } from '../../../src/adapters/redis/acl.js'
import { type ClientOptions, client, diagnose, once, planted } from '../../support/doctor-lab.js'
import { freePort } from '../../support/servers/free-port.js'
import { type RedisPair, startRedisWithReplica } from '../../support/servers/redis.js'
import { redisCommand } from '../../support/servers/redis-command.js'
import { type RedisSentinel, startRedisSentinel } from '../../support/servers/redis-sentinel.js'
import { waitUntil } from '../../support/servers/wait.js'
import { freshDatabase, freshNamespace } from '../../support/services.js'
import { TcpProxy } from '../../support/tcp-proxy.js'

const databaseUrl = await freshDatabase()
const namespace = freshNamespace()
const SETTINGS = {
  maxmemory: '64mb',
  'maxmemory-policy': 'allkeys-lfu',
  'min-replicas-to-write': '1',
  'min-replicas-max-lag': '2',
}
const APP = { username: 'app', password: 'app-password' }

let pair: RedisPair
beforeAll(async () => {
  pair = await startRedisWithReplica({ settings: SETTINGS })
  const rights = [...leastPrivilegeAcl({ user: 'app', namespace, isCluster: false }).rules, '+config|get', '+acl']
  for (const port of ports()) await redisCommand(port, 'ACL', 'SETUSER', 'app', ...rights, `>${APP.password}`)
})
afterAll(() => pair.stop())

const ports = () => [pair.primary.port, pair.replica.port] as const
const addressOf = (port: number) => `127.0.0.1:${port}`
const TWO = /^127\.0\.0\.1:\d+ and 127\.0\.0\.1:\d+$/
const set = (...settings: string[]) => redisCommand(pair.primary.port, 'CONFIG', 'SET', ...settings)

/** A password is no subject here, whoever else is let in without. */
const found = (port: number, ...args: string[]) => diagnose({ databaseUrl, namespace, redis: client(port, APP) }, args)
const right = once(() => found(pair.primary.port, '--seed', addressOf(pair.replica.port)))

describe('a primary and its replica', () => {
  it('as they should be give no word', async () => {
    expect(await right()).toMatchObject({ ids: ['redis.no-password', 'redis.no-password'], unchecked: [] })
  })

  planted('redis.min-replicas', 'the primary takes writes when it is cut off', {
    right,
    wrong: async () => {
      await set('min-replicas-to-write', '0')
      onTestFinished(async () => void (await set('min-replicas-to-write', '1')))
      return found(pair.primary.port)
    },
    fix: 'min-replicas-to-write 1',
  })
  planted('redis.replica', 'the client is connected to the replica', {
    right,
    wrong: () => found(pair.replica.port),
    besides: ['redis.refused'],
    found: /^role slave of 127\.0\.0\.1:/,
  })
  planted('redis.replica-lag', 'the replica hangs', {
    right,
    wrong: async () => {
      await set('min-replicas-to-write', '0')
      await pair.replica.freeze()
      onTestFinished(async () => {
        await pair.replica.thaw()
        const writer = client(pair.primary.port)
        await writer.set('large', '')
        await writer.wait(1, 10_000)
        await set('min-replicas-to-write', '1')
      })
      await redisCommand(pair.primary.port, 'SET', 'large', 'x'.repeat(12 * 2 ** 20))
      return found(pair.primary.port)
    },
    besides: ['redis.min-replicas'],
    found: /\d{8} bytes behind/,
  })

  // There is one machine: the replica's clock is right, and a proxy makes it three seconds of it.
  planted('clock.redis-nodes', "the replica's clock is ahead", {
    right,
    wrong: async () => {
      const proxy = await TcpProxy.start({ port: pair.replica.port })
      onTestFinished(() => proxy.close())
      const TIME = /^\*2\r\n\$10\r\n(\d{10})\r\n/
      proxy.set({ rewrite: (answer) => answer.replace(TIME, (_, at) => `*2\r\n$10\r\n${Number(at) + 3}\r\n`) })
      return found(pair.primary.port, '--seed', addressOf(proxy.port))
    },
    found: /^(29|30)\d\d ms apart$/,
    fix: 'chronyc tracking',
  })
})

describe('sentinels', () => {
  let sentinel: RedisSentinel
  beforeAll(async () => {
    const { port } = pair.primary
    sentinel = await startRedisSentinel([
      { name: 'main', port, quorum: 1 },
      { name: 'alone', port, quorum: 2 },
    ])
    // It asks the primary for its replicas.
    await waitUntil('the sentinel knows the replica', 10_000, async () =>
      (await redisCommand(sentinel.port, 'SENTINEL', 'REPLICAS', 'main')).includes(String(pair.replica.port)),
    )
  })
  afterAll(() => sentinel.stop())

  const asking = (sentinels: { host: string; port: number }[], options: ClientOptions = {}) =>
    diagnose({ databaseUrl, namespace, redis: client(0, { ...APP, name: 'main', sentinels, ...options }) })
  const agreed = once(() => asking([sentinel]))

  it('as they should be give no word, and the server they name is looked at', async () => {
    expect(await agreed()).toMatchObject({ ids: ['redis.no-password'], unchecked: [] })
    expect((await agreed()).find('redis.no-password').subject).toBe(addressOf(pair.primary.port))
  })

  planted('client.sentinel-replica', 'the client asks them for a replica', {
    right: agreed,
    wrong: () => asking([sentinel], { role: 'slave' }),
    found: "role 'slave'",
  })
  it('options for TLS that the client does not heed, the doctor does not heed either', async () => {
    expect(await asking([sentinel], { tls: {} })).toMatchObject({ ids: ['redis.no-password'], unchecked: [] })
  })
  planted('sentinel.unreachable', 'one of them is gone', {
    right: agreed,
    wrong: async () => asking([sentinel, { host: '127.0.0.1', port: await freePort() }]),
    found: 'ECONNREFUSED',
  })
  planted('sentinel.name-unknown', 'they watch another group', {
    right: agreed,
    wrong: async () => {
      const other = await startRedisSentinel([{ name: 'other', port: pair.primary.port, quorum: 1 }])
      onTestFinished(() => other.stop())
      return asking([sentinel, other])
    },
    found: 'nothing by the name of main',
  })
  planted('sentinel.no-quorum', 'one that is to be two', {
    right: agreed,
    wrong: () => asking([sentinel], { name: 'alone' }),
    found: /^NOQUORUM/,
    fix: 'three sentinels',
  })
})

describe('two halves', () => {
  beforeAll(async () => {
    await right()
    await redisCommand(pair.replica.port, 'REPLICAOF', 'NO', 'ONE')
    // Each is a primary without a replica now.
    for (const port of ports()) await redisCommand(port, 'CONFIG', 'SET', 'min-replicas-to-write', '0')
  })

  planted('redis.two-primaries', 'what was the replica takes writes, too', {
    right,
    wrong: () => found(pair.primary.port, '--seed', addressOf(pair.replica.port)),
    subject: TWO,
    fix: /^first drain the partitioned half/,
  })

  describe('with sentinels in both', () => {
    let halves: readonly RedisSentinel[] = []
    beforeAll(async () => {
      const [here, there] = ports()
      halves = await Promise.all([
        startRedisSentinel([{ name: 'main', port: here, quorum: 1 }]),
        startRedisSentinel([{ name: 'main', port: there, quorum: 1, configEpoch: 7 }]),
      ])
    })
    afterAll(async () => void (await Promise.all(halves.map((half) => half.stop()))))

    const asking = (...sentinels: (RedisSentinel | undefined)[]) =>
      diagnose({
        ...{ databaseUrl, namespace },
        redis: client(0, { ...APP, name: 'main', sentinels: sentinels.flatMap((each) => each ?? []) }),
      })
    const oneHalf = once(() => asking(halves[0]))
    const bothHalves = once(() => asking(...halves))

    planted('sentinel.masters-differ', 'each half names its own primary', {
      right: oneHalf,
      wrong: bothHalves,
      besides: ['redis.two-primaries', 'sentinel.epochs-differ'],
      subject: 'group main',
      found: / by .*; .* by /,
      fix: /^first drain the partitioned half.*sentinel remove main/,
    })
    planted('sentinel.epochs-differ', 'one half has seen a failover', {
      right: oneHalf,
      wrong: bothHalves,
      besides: ['redis.two-primaries', 'sentinel.masters-differ'],
      found: /127\.0\.0\.1:\d+ 0, 127\.0\.0\.1:\d+ 7/,
    })
    it('the primaries that they name are looked at, without a seed', async () => {
      const { subject } = (await bothHalves()).find('redis.two-primaries')
      expect(subject.split(' and ').sort()).toEqual(ports().map(addressOf).sort())
    })
  })
})
