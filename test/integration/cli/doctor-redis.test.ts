import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { leastPrivilegeAcl } from '../../../src/adapters/redis/acl.js'
import { systemClock } from '../../../src/core/clock.js'
import { Certificates } from '../../support/certificates.js'
import { client, type Diagnosed, diagnose, once, planted, type SetUp } from '../../support/doctor-lab.js'
import { freePort } from '../../support/servers/free-port.js'
import { type RedisServer, startRedis } from '../../support/servers/redis.js'
import { freshDatabase, freshNamespace } from '../../support/services.js'
import { TcpProxy } from '../../support/tcp-proxy.js'

const databaseUrl = await freshDatabase()
const ADMIN = { CORRAL_ADMIN_USERNAME: 'admin', CORRAL_ADMIN_PASSWORD: 'admin-password' }
const NAMESPACE = freshNamespace()

/** What `corral acl` prints: the doctor must not ask for more. */
const rightsOf = (keyPrefix = '') =>
  leastPrivilegeAcl({ user: 'app', namespace: NAMESPACE, isCluster: false, keyPrefix }).rules.slice(2)

/** This machine, by a name that might be another one's: another is not to be had. */
const ELSEWHERE = '2130706433'

const certificates = new Certificates()
let tlsPort = 0
let redis: RedisServer
let admin: Redis

beforeAll(async () => {
  tlsPort = await freePort()
  const tls = { ...certificates.redisSettings(), 'tls-port': String(tlsPort) }
  redis = await startRedis({ own: true, settings: { maxmemory: '64mb', 'maxmemory-policy': 'allkeys-lfu', ...tls } })
  admin = new Redis(redis.port)
  await addUser('admin', '+@all', '~*', '&*')
  await addUser('app', ...rightsOf())
  await admin.auth('admin', 'admin-password')
  await admin.call('ACL', 'SETUSER', 'default', 'resetpass', '>closed')
})
afterAll(async () => {
  admin.disconnect()
  await redis.stop()
  certificates.remove()
})

async function addUser(name: string, ...rights: string[]): Promise<void> {
  await admin.call('ACL', 'SETUSER', name, 'reset', 'on', `>${name}-password`, ...rights)
}

const by = (username: string) => ({ username, password: `${username}-password` })
const as = (username: string, port = redis.port) => client(port, by(username))

/** The whole set-up is right but for what is given here. */
function found(setUp: Partial<SetUp> = {}, ...args: string[]): Promise<Diagnosed> {
  return diagnose({ databaseUrl, namespace: NAMESPACE, redis: as('app'), ...setUp }, args, { env: ADMIN })
}

const right = once(found)

/** Sets it until the test ends, and examines. */
async function withSetting(name: string, value: string): Promise<Diagnosed> {
  // A list of name and value, or a map of them.
  const before = Object.values((await admin.config('GET', name)) as object).at(-1)
  await admin.config('SET', name, value)
  onTestFinished(async () => void (await admin.config('SET', name, String(before))))
  return found()
}

describe('a Redis server', () => {
  it('as it should be gives no word', async () => {
    expect(await right()).toMatchObject({ exitCode: 0, findings: [], unchecked: [] })
  })

  it('that its user may not look into is not called right', async () => {
    const { findings, unchecked } = await diagnose({ databaseUrl, namespace: NAMESPACE, redis: as('app') })
    expect(findings).toEqual([])
    expect(unchecked.map(({ what }) => what)).toEqual([
      expect.stringContaining('CONFIG GET'),
      expect.stringContaining('ACL'),
    ])
  })

  planted('redis.eviction', 'it may not make room', {
    right,
    wrong: () => withSetting('maxmemory-policy', 'noeviction'),
    found: 'maxmemory-policy noeviction',
    fix: 'config set maxmemory-policy allkeys-lfu',
  })
  planted('redis.no-limit', 'it may take all there is', {
    right,
    wrong: () => withSetting('maxmemory', '0'),
    found: 'maxmemory 0',
    fix: 'config set maxmemory',
  })
  planted('redis.persistence', 'it makes snapshots', {
    right,
    wrong: () => withSetting('save', '3600 1'),
    found: 'save 3600 1: snapshots at best every 3600 s',
    fix: 'config set save ""',
  })
  planted('redis.append-only', 'it writes a log', {
    right,
    wrong: () => withSetting('appendonly', 'yes'),
    found: 'appendonly yes',
    fix: 'config set appendonly no',
  })
  planted('redis.clients', 'most of the connections that it allows are taken', {
    right,
    wrong: async () => {
      const others = Array.from({ length: 48 }, () => as('app'))
      await Promise.all(others.map((other) => other.connect()))
      return withSetting('maxclients', '55')
    },
    fix: 'config set maxclients 110',
  })
  planted('redis.full', 'it has no room and may make none', {
    right,
    wrong: async () => {
      await admin.config('SET', 'maxmemory-policy', 'noeviction')
      onTestFinished(async () => void (await admin.config('SET', 'maxmemory-policy', 'allkeys-lfu')))
      return withSetting('maxmemory', '1mb')
    },
    besides: ['redis.eviction'],
    found: 'OOM',
  })

  planted('redis.no-password', 'whoever says nothing is let in', {
    right,
    wrong: async () => {
      await admin.call('ACL', 'SETUSER', 'default', 'nopass')
      onTestFinished(async () => void (await admin.call('ACL', 'SETUSER', 'default', 'resetpass', '>closed')))
      return found()
    },
    found: 'user default is on and has no password',
  })
  planted('redis.no-password', "the application's own user has none", {
    right,
    wrong: async () => {
      await admin.call('ACL', 'SETUSER', 'open', 'reset', 'on', 'nopass', ...rightsOf())
      return found({ redis: client(redis.port, { username: 'open', password: 'any' }) })
    },
    found: 'user open has no password',
    fix: 'corral acl',
  })
  planted('redis.broad-rights', "the application is the administrator's user", {
    right,
    wrong: () => found({ redis: as('admin') }),
    fix: 'corral acl',
  })
  it('a notice is no failure, unless it is asked to be', async () => {
    const { ids, exitCode } = await found({ redis: as('admin') }, '--fail-on', 'notice')
    expect({ ids, exitCode }).toEqual({ ids: ['redis.broad-rights'], exitCode: 1 })
  })

  for (const [lacking, what] of [
    ['-@scripting', 'run scripts'],
    ['-publish', 'hear what it says itself'],
    ['-subscribe', 'subscribe to the channel'],
    ['resetkeys', 'read entries'],
    ['resetchannels', 'subscribe to the channel'],
  ] as const) {
    planted('redis.refused', lacking, {
      right,
      wrong: async () => {
        await addUser('less', ...rightsOf(), lacking)
        const diagnosed = await found({ redis: as('less'), heartbeatMs: 250 })
        expect(diagnosed.subjects('redis.refused')).toContainEqual(expect.stringContaining(what))
        return diagnosed
      },
      fix: 'corral acl',
    })
  }

  planted('redis.latency', 'it is far away', {
    right,
    wrong: async () => {
      const proxy = await TcpProxy.start({ port: redis.port })
      onTestFinished(() => proxy.close())
      proxy.set({ latencyMs: 20 })
      return found({ redis: as('app', proxy.port) })
    },
    found: /^4\d\.\d ms there and back|^[5-9]\d\.\d ms/,
  })

  planted('redis.unreachable', 'nobody listens there', {
    right,
    wrong: async () => found({ redis: client(await freePort()) }),
    found: 'ECONNREFUSED',
    fix: 'check host, port, password and TLS',
  })
  planted('redis.unreachable', 'with another password', {
    right,
    wrong: () => diagnose({ databaseUrl, redis: client(redis.port, { username: 'app', password: 'wrong' }) }),
    found: 'WRONGPASS',
  })
  planted('redis.none', 'none is given', { right, wrong: () => diagnose({ databaseUrl }), subject: 'option `redis`' })

  it('a seed that is the same server by another name is no second primary', async () => {
    expect((await found({}, '--seed', `localhost:${redis.port}`)).ids).toEqual([])
  })

  it('a command line that is wrong', async () => {
    await expect(found({}, '--seed', 'nowhere')).rejects.toThrow('expected host:port')
  })
})

describe('options of the client', () => {
  planted('client.command-timeout', 'shorter than Corral waits', {
    right,
    wrong: () => found({ redis: client(redis.port, { ...by('app'), commandTimeout: 100 }) }),
    found: 'commandTimeout 100',
    fix: 'cache.giveUpMs',
  })
  planted('client.key-prefix', 'every key begins with it', {
    right,
    wrong: async () => {
      await addUser('prefixed', ...rightsOf('mine:'))
      return found({ redis: client(redis.port, { ...by('prefixed'), keyPrefix: 'mine:' }) })
    },
    found: 'keyPrefix "mine:"',
  })
  planted('client.no-error-listener', 'nobody listens', {
    right,
    wrong: () => found({ redis: as('app').removeAllListeners('error') }),
    fix: /^redis\.on\('error'/,
  })

  const encrypted = { ca: () => certificates.ca }
  planted('client.no-tls', 'to a host that is not this one', {
    right: () =>
      found({
        redis: client(tlsPort, {
          ...{ ...by('app'), host: ELSEWHERE },
          tls: { ca: encrypted.ca(), servername: 'localhost' },
        }),
      }),
    wrong: () => found({ redis: client(redis.port, { ...by('app'), host: ELSEWHERE }) }),
    found: `no \`tls\`, to ${ELSEWHERE}`,
  })
  planted('client.tls-unverified', 'whoever answers is believed', {
    right: () => found({ redis: client(tlsPort, { ...by('app'), host: 'localhost', tls: { ca: encrypted.ca() } }) }),
    wrong: () =>
      found({ redis: client(tlsPort, { ...by('app'), host: 'localhost', tls: { rejectUnauthorized: false } }) }),
    found: 'rejectUnauthorized is false',
    fix: 'tls: { ca }',
  })
})

describe('clocks', () => {
  // There is one machine: its clock is right, and what the doctor is told of it is not.
  planted('clock.host', 'this host is an hour ahead', {
    right,
    wrong: () => {
      const clock = { ...systemClock, wallMs: () => systemClock.wallMs() + 3_600_000 }
      return diagnose({ databaseUrl, namespace: NAMESPACE, redis: as('app') }, [], { clock })
    },
    found: /^(3599|3600)\d{3} ms ahead of postgres$/,
    fix: 'chronyc tracking',
  })
})
