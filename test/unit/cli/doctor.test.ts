import { Cluster, Redis } from 'ioredis'
import { describe, expect, it } from 'vitest'
import { diagnosisText } from '../../../src/cli/commands/doctor.js'
import { checkClocks } from '../../../src/cli/doctor/clocks.js'
import { FINDINGS, finding } from '../../../src/cli/doctor/findings.js'
import { checkPostgres } from '../../../src/cli/doctor/postgres.js'
import { checkClient, clientFacts } from '../../../src/cli/doctor/redis-client.js'
import { checkCluster } from '../../../src/cli/doctor/redis-cluster.js'
import { parseClusterNodes } from '../../../src/cli/doctor/redis-nodes.js'
import { checkServer } from '../../../src/cli/doctor/redis-server.js'
import { checkRelay } from '../../../src/cli/doctor/relay.js'
import { checkSlot } from '../../../src/cli/doctor/slot.js'
import { DEFAULTS } from '../../../src/config.js'

const ids = (findings: readonly { id: string }[]) => findings.map(({ id }) => id)

/** Where a fault begins. That each is found on a server is tested in test/integration/cli. */
describe('limits', () => {
  it('postgres.version', () => {
    const right = { version: 130_000, inRecovery: false, synchronousCommit: 'on' }
    expect(checkPostgres(right)).toEqual([])
    expect(ids(checkPostgres({ ...right, version: 120_020 }))).toEqual(['postgres.version'])
  })

  it('outbox.large', () => {
    const right = {
      namespace: 'shop',
      isLed: true,
      positionAgeMs: 900,
      oldestMs: 400,
      outboxBytes: 2 ** 30,
      others: [],
    }
    expect(checkRelay(right)).toEqual([])
    expect(ids(checkRelay({ ...right, outboxBytes: 2 ** 30 + 1 }))).toEqual(['outbox.large'])
    // A leader that has just been elected has not settled yet; one that was, a moment ago, may be followed by another.
    expect(checkRelay({ ...right, positionAgeMs: null })).toEqual([])
    expect(checkRelay({ ...right, isLed: false })).toEqual([])
  })

  it('slot.lost, slot.retained, and a slot that nobody reads', () => {
    const state = { status: 'reserved', activePid: '7', retainedBytes: 2 ** 20, safeBytes: null } as const
    const check = (changed: Partial<Record<keyof typeof state, unknown>>, walLevel = 'logical') =>
      ids(checkSlot({ name: 'corral_shop', walLevel, state: { ...state, ...changed } as never }))
    expect(check({})).toEqual([])
    expect(check({ status: 'unreserved', retainedBytes: 2 ** 31 })).toEqual(['slot.lost', 'slot.retained'])
    expect(check({ retainedBytes: 2 ** 30 })).toEqual([])
    expect(check({ retainedBytes: 2 ** 30 + 1 })).toEqual(['slot.retained'])
    // Half of what the server keeps at most, where that is less.
    expect(check({ retainedBytes: 2 ** 25, safeBytes: 2 ** 25 })).toEqual([])
    expect(check({ retainedBytes: 2 ** 25 + 1, safeBytes: 2 ** 25 })).toEqual(['slot.retained'])
    expect(check({ activePid: null })).toEqual(['relay.absent'])
    expect(ids(checkSlot({ name: 'corral_shop', walLevel: 'logical', state: undefined }))).toEqual(['relay.absent'])
    expect(check({}, 'replica')).toEqual(['slot.wal-level'])
  })

  it('redis.version, on a cluster only', () => {
    const facts = {
      ...{
        address: 'a:1',
        isSeed: false,
        failure: undefined,
        config: undefined,
        user: undefined,
        skewMs: 0,
        skewErrorMs: 0,
        roundTripMs: 1,
      },
      ...{ info: new Map([['redis_version', '6.2.14']]), clusterInfo: undefined, clusterNodes: undefined },
    }
    expect(ids(checkServer(facts, true, DEFAULTS))).toEqual(['redis.version'])
    expect(checkServer(facts, false, DEFAULTS)).toEqual([])
  })

  it('clocks: only what is certain counts', () => {
    const at = (name: string, skewMs: number, errorMs = 1) => ({ name, skewMs, errorMs })
    expect(checkClocks([at('a', 0), at('b', 900)], at('postgres', -4_000))).toEqual([])
    expect(checkClocks([at('a', 0, 400), at('b', 1_700, 400)], at('postgres', 0))).toEqual([])
    const [found, ...others] = checkClocks([at('b', 1_700), at('a', 0)], at('postgres', -60_000))
    expect(found).toMatchObject({ id: 'clock.redis-nodes', subject: 'a and b', found: '1700 ms apart' })
    expect(others).toMatchObject([{ id: 'clock.host', found: '60000 ms ahead of postgres' }])
  })
})

describe('options of the client', () => {
  const check = (redis: Redis | Cluster) => {
    redis.on('error', () => {})
    const found = ids(checkClient(clientFacts(redis), DEFAULTS))
    redis.disconnect()
    return found
  }
  const lazy = { lazyConnect: true }

  it.each([
    [[], new Redis({ ...lazy, host: '127.0.0.1' })],
    [[], new Redis({ ...lazy, path: '/run/redis.sock' })],
    [[], new Redis({ ...lazy, host: 'cache.internal', tls: {} })],
    [[], new Redis({ ...lazy, commandTimeout: 500 })],
    [['client.no-tls'], new Redis({ ...lazy, host: 'cache.internal' })],
    [['client.tls-unverified'], new Redis({ ...lazy, host: 'cache.internal', tls: { rejectUnauthorized: false } })],
    [
      ['client.sentinel-replica'],
      new Redis({ ...lazy, sentinels: [{ host: '127.0.0.1' }], name: 'main', role: 'slave' }),
    ],
    [['client.no-tls'], new Redis({ ...lazy, sentinels: [{ host: 'sentinel-1' }], name: 'main' })],
    [['client.no-tls'], new Redis({ ...lazy, sentinels: [{ host: 'sentinel-1' }], name: 'main', tls: {} })],
    [
      [],
      new Redis({
        ...{ ...lazy, sentinels: [{ host: 'sentinel-1' }], name: 'main' },
        ...{ tls: {}, enableTLSForSentinelMode: true },
      }),
    ],
    [[], new Cluster([{ host: '127.0.0.1', port: 1 }], lazy)],
    [['client.no-tls'], new Cluster(['redis://node-1:6379'], lazy)],
    [['client.command-timeout'], new Cluster([1], { ...lazy, redisOptions: { commandTimeout: 100 } })],
  ])('%j', (expected, redis) => {
    expect(check(redis)).toEqual(expected)
  })
})

describe('a cluster as its nodes see it', () => {
  const A = 'aaa 10.0.0.1:6379@16379,a.internal myself,master - 0 0 1 connected 0-8191 [93-<-bbb]'
  const B = 'bbb 10.0.0.2:6379@16379 master - 0 0 2 connected 8192-16382 16383'

  it('is read off CLUSTER NODES, names, single slots and migrations included', () => {
    expect(parseClusterNodes(`${A}\n${B}\n`)).toMatchObject([
      { id: 'aaa', address: '10.0.0.1:6379', flags: ['myself', 'master'], slots: [[0, 8191]], masterId: undefined },
      {
        slots: [
          [8192, 16382],
          [16383, 16383],
        ],
        configEpoch: 2,
      },
    ])
  })

  it('is no cluster when owners differ that are not themselves of this opinion', () => {
    const view = (address: string, clusterNodes: string) => ({
      ...{
        address,
        isSeed: false,
        failure: undefined,
        info: undefined,
        config: undefined,
        user: undefined,
        skewMs: 0,
        skewErrorMs: 0,
      },
      ...{ roundTripMs: 1, clusterInfo: new Map(), clusterNodes },
    })
    const other = `${A.replace('0-8191', '1-8191')}\n${B.replace('8192-16382', '0 8192-16382')}`
    const found = checkCluster([view('10.0.0.1:6379', `${A}\n${B}`), view('10.0.0.3:6379', other)])
    expect(found.find(({ id }) => id === 'cluster.views-differ')?.found).toContain('1 slots from 0 to 0')
    expect(ids(found)).not.toContain('redis.two-primaries')
  })
})

it('every finding says why it matters', () => {
  for (const [id, [severity, why]] of Object.entries(FINDINGS)) {
    expect(['critical', 'warning', 'notice'], id).toContain(severity)
    expect(why, id).toMatch(/^[A-Z`].*\.$/)
  }
})

it('is told as text, the fix beneath what was found', () => {
  const text = diagnosisText({
    findings: [
      finding('redis.eviction', 'a:1', 'maxmemory-policy noeviction', 'config set maxmemory-policy allkeys-lfu'),
    ],
    unchecked: [{ what: 'a:1: rights', reason: 'may not ask' }],
  })
  expect(text).toBe(`warning  redis.eviction  a:1
  found  maxmemory-policy noeviction
  why    ${FINDINGS['redis.eviction'][1]}
  fix    config set maxmemory-policy allkeys-lfu

not checked  a:1: rights: may not ask

1 warning; 1 not checked`)
  expect(diagnosisText({ findings: [], unchecked: [] })).toBe('nothing is wrong')
})
