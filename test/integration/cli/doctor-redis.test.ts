import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { leastPrivilegeAcl } from '../../../src/adapters/redis/acl.js'
import { client, diagnose, type SetUp } from '../../support/doctor-lab.js'
import { freePort } from '../../support/servers/free-port.js'
import { type RedisPair, type RedisServer, startRedis, startRedisWithReplica } from '../../support/servers/redis.js'
import { redisCommand } from '../../support/servers/redis-command.js'
import { freshDatabase, freshNamespace } from '../../support/services.js'
import { TcpProxy } from '../../support/tcp-proxy.js'

const databaseUrl = await freshDatabase()
const RIGHT = { maxmemory: '64mb', 'maxmemory-policy': 'allkeys-lfu' }
const ADMIN = { CORRAL_ADMIN_USERNAME: 'admin', CORRAL_ADMIN_PASSWORD: 'admin-password' }
const NAMESPACE = freshNamespace()

/** What `corral acl` prints: the doctor must not ask for more. */
const RIGHTS = leastPrivilegeAcl({ user: 'app', namespace: NAMESPACE, isCluster: false }).rules.slice(2)

async function addUser(port: number, name: string, ...rights: string[]): Promise<void> {
  await redisCommand(port, 'ACL', 'SETUSER', name, 'reset', 'on', `>${name}-password`, ...rights)
}

const as = (port: number, username: string) => client(port, { username, password: `${username}-password` })

describe('a Redis server', () => {
  let redis: RedisServer
  beforeAll(async () => {
    redis = await startRedis({ own: true, settings: RIGHT })
    await addUser(redis.port, 'admin', '+@all', '~*', '&*')
    await addUser(redis.port, 'app', ...RIGHTS)
  })
  afterAll(() => redis.stop())

  const set = (name: string, value: string) => redisCommand(redis.port, 'CONFIG', 'SET', name, value)
  /** The whole set-up is right but for what `plant` does and what is given here. */
  async function found(setUp: Partial<SetUp> = {}, ...args: string[]) {
    return diagnose({ databaseUrl, namespace: NAMESPACE, redis: as(redis.port, 'app'), ...setUp }, args, { env: ADMIN })
  }
  async function close() {
    await redisCommand(redis.port, 'ACL', 'SETUSER', 'default', 'resetpass', '>closed')
    const admin = as(redis.port, 'admin')
    onTestFinished(async () => {
      await admin.call('ACL', 'SETUSER', 'default', 'nopass')
    })
  }

  it('as it should be gives no word', async () => {
    await close()
    expect(await found()).toMatchObject({ exitCode: 0, findings: [], unchecked: [] })
  })

  it('that its user may not look into is not called right', async () => {
    const { findings, unchecked } = await diagnose({ databaseUrl, namespace: NAMESPACE, redis: as(redis.port, 'app') })
    expect(findings).toEqual([])
    expect(unchecked.map(({ what }) => what)).toEqual([
      expect.stringContaining('CONFIG GET'),
      expect.stringContaining('ACL'),
    ])
  })

  it.each([
    ['redis.eviction', 'maxmemory-policy', 'noeviction', RIGHT['maxmemory-policy']],
    ['redis.no-limit', 'maxmemory', '0', RIGHT.maxmemory],
    ['redis.persistence', 'save', '3600 1', ''],
    ['redis.append-only', 'appendonly', 'yes', 'no'],
  ] as const)('%s: %s %s', async (id, name, wrong, right) => {
    await close()
    const admin = as(redis.port, 'admin')
    await admin.config('SET', name, wrong)
    onTestFinished(async () => void (await admin.config('SET', name, right)))
    const { ids, find } = await found()
    expect(ids).toEqual([id])
    expect(find(id)).toMatchObject({
      found: expect.stringContaining(`${name} ${wrong}`),
      fix: expect.stringContaining(`config set ${name}`),
    })
    // The fix is what mends it.
    await admin.config('SET', name, right)
    expect((await found()).ids).toEqual([])
  })

  it('redis.clients', async () => {
    await set('maxclients', '20')
    onTestFinished(async () => void (await set('maxclients', '10000')))
    const others = Array.from({ length: 15 }, () => as(redis.port, 'app'))
    await Promise.all(others.map((other) => other.connect()))
    expect((await found()).ids).toContain('redis.clients')
  })

  it('redis.no-password', async () => {
    const open = await found({ redis: client(redis.port) })
    expect(open.find('redis.no-password').found).toContain('default')
    const { ids } = await diagnose({ databaseUrl, redis: client(redis.port) })
    expect(ids).toEqual(['redis.no-password'])
  })

  it('redis.broad-rights', async () => {
    await close()
    const { ids, exitCode } = await diagnose({ databaseUrl, redis: as(redis.port, 'admin') })
    expect({ ids, exitCode }).toEqual({ ids: ['redis.broad-rights'], exitCode: 0 })
    expect((await diagnose({ databaseUrl, redis: as(redis.port, 'admin') }, ['--fail-on', 'notice'])).exitCode).toBe(1)
  })

  it.each([
    ['-@scripting', 'run scripts'],
    ['-publish', 'hear what it says itself'],
    ['-subscribe', 'subscribe to the channel'],
    ['resetkeys', 'read entries'],
    ['resetchannels', 'subscribe to the channel'],
  ])('redis.refused: %s', async (right, what) => {
    await addUser(redis.port, 'less', ...RIGHTS, right)
    const { findings } = await found({ redis: as(redis.port, 'less') })
    const refused = findings.filter(({ id }) => id === 'redis.refused')
    expect(refused.map(({ subject }) => subject)).toContainEqual(expect.stringContaining(what))
    expect(refused[0]?.fix).toContain('corral acl')
  })

  it('redis.full', async () => {
    await set('maxmemory-policy', 'noeviction')
    await set('maxmemory', '1mb')
    onTestFinished(async () => {
      await set('maxmemory-policy', RIGHT['maxmemory-policy'])
      await set('maxmemory', RIGHT.maxmemory)
    })
    expect((await found()).find('redis.full')).toMatchObject({ severity: 'critical' })
  })

  it('redis.latency', async () => {
    const proxy = await TcpProxy.start({ port: redis.port })
    onTestFinished(() => proxy.close())
    proxy.set({ latencyMs: 20 })
    expect((await found({ redis: as(proxy.port, 'app') })).ids).toContain('redis.latency')
  })

  it('clock.host', async () => {
    const { systemClock } = await import('../../../src/core/clock.js')
    const clock = { ...systemClock, wallMs: () => systemClock.wallMs() + 3_600_000 }
    const { findings } = await diagnose({ databaseUrl, namespace: NAMESPACE, redis: as(redis.port, 'app') }, [], {
      clock,
    })
    expect(findings.map(({ id, found: what }) => [id, what])).toEqual([
      ['clock.host', expect.stringMatching(/^(3599|3600)\d{3} ms ahead of postgres$/)],
      ['clock.host', expect.stringMatching(/ms ahead of 127\.0\.0\.1:/)],
    ])
  })

  it('client options', async () => {
    const options = { username: 'app', password: 'app-password', commandTimeout: 100, keyPrefix: `${NAMESPACE}:` }
    const redisClient = client(redis.port, options)
    redisClient.removeAllListeners('error')
    expect((await found({ redis: redisClient })).ids).toEqual(
      expect.arrayContaining(['client.command-timeout', 'client.key-prefix', 'client.no-error-listener']),
    )
  })

  it('redis.unreachable, and why', async () => {
    const nobody = await found({ redis: client(await freePort()) })
    expect(nobody.exitCode).toBe(1)
    expect(nobody.find('redis.unreachable').found).toContain('ECONNREFUSED')
    const stranger = await diagnose({ databaseUrl, redis: client(redis.port, { username: 'app', password: 'wrong' }) })
    expect(stranger.find('redis.unreachable').found).toContain('WRONGPASS')
    expect((await diagnose({ databaseUrl })).ids).toEqual(['redis.none'])
  })

  it('a command line that is wrong', async () => {
    await expect(found({}, '--seed', 'nowhere')).rejects.toThrow('expected host:port')
  })
})

describe('a primary and its replica', () => {
  let pair: RedisPair
  beforeAll(async () => {
    pair = await startRedisWithReplica({ settings: RIGHT })
    for (const { port } of [pair.primary, pair.replica]) await addUser(port, 'app', ...RIGHTS, '+config|get', '+acl')
  })
  afterAll(() => pair.stop())
  const found = (port: number, ...args: string[]) =>
    diagnose({ databaseUrl, namespace: NAMESPACE, redis: as(port, 'app') }, args)

  it('redis.min-replicas, silent once it is set', async () => {
    const { ids, find } = await found(pair.primary.port)
    expect(ids).toContain('redis.min-replicas')
    expect(find('redis.min-replicas').fix).toContain('min-replicas-to-write 1')
    await redisCommand(pair.primary.port, 'CONFIG', 'SET', 'min-replicas-to-write', '1', 'min-replicas-max-lag', '2')
    expect((await found(pair.primary.port)).ids).not.toContain('redis.min-replicas')
  })

  it('redis.replica', async () => {
    const { ids } = await found(pair.replica.port)
    expect(ids).toEqual(expect.arrayContaining(['redis.replica', 'redis.refused']))
  })

  it('redis.replica-lag', async () => {
    await redisCommand(pair.primary.port, 'CONFIG', 'SET', 'min-replicas-to-write', '0')
    await pair.replica.freeze()
    onTestFinished(() => pair.replica.thaw())
    await redisCommand(pair.primary.port, 'SET', 'large', 'x'.repeat(12 * 2 ** 20))
    expect((await found(pair.primary.port)).ids).toContain('redis.replica-lag')
  })

  it('redis.two-primaries: what was the replica takes writes, too', async () => {
    const seed = ['--seed', `127.0.0.1:${pair.replica.port}`]
    expect((await found(pair.primary.port, ...seed)).ids).not.toContain('redis.two-primaries')
    await redisCommand(pair.replica.port, 'REPLICAOF', 'NO', 'ONE')
    const { find } = await found(pair.primary.port, ...seed)
    const { subject, fix } = find('redis.two-primaries')
    expect(subject.split(' and ').sort()).toEqual(
      [pair.primary, pair.replica].map(({ port }) => `127.0.0.1:${port}`).sort(),
    )
    expect(fix).toMatch(/^first drain the partitioned half/)
  })
})
