import { Cluster } from 'ioredis'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { diagnose } from '../../support/doctor-lab.js'
import { type RedisCluster, startRedisCluster } from '../../support/servers/redis-cluster.js'
import { redisCommand } from '../../support/servers/redis-command.js'
import { waitUntil } from '../../support/servers/wait.js'
import { freshDatabase } from '../../support/services.js'

const databaseUrl = await freshDatabase()
const SETTINGS = {
  maxmemory: '64mb',
  'maxmemory-policy': 'allkeys-lfu',
  'min-replicas-to-write': '1',
  'min-replicas-max-lag': '2',
}
let cluster: RedisCluster
beforeAll(async () => {
  cluster = await startRedisCluster({
    replicas: 1,
    nodeTimeoutMs: 500,
    settings: { ...SETTINGS, 'cluster-require-full-coverage': 'no' },
  })
})
afterAll(() => cluster.stop())

/** The application knows one node; the doctor finds the others. A password is no subject here. */
async function found(startAt = 1) {
  const redis = new Cluster(cluster.startNodes.slice(startAt, startAt + 1), { lazyConnect: true })
  redis.on('error', () => {})
  const diagnosed = await diagnose({ databaseUrl, redis })
  return { ...diagnosed, ids: [...new Set(diagnosed.ids.filter((id) => id !== 'redis.no-password'))] }
}

const addressOf = ({ port }: { port: number }) => `127.0.0.1:${port}`
const idOf = (port: number) => redisCommand(port, 'CLUSTER', 'MYID')

it('a cluster as it should be gives no word', async () => {
  await waitUntil('replicas are heard of', 10_000, async () => (await found()).ids.length === 0)
})

it('cluster.full-coverage', async () => {
  const [first] = cluster.masters as [(typeof cluster.masters)[0]]
  await redisCommand(first.port, 'CONFIG', 'SET', 'cluster-require-full-coverage', 'yes')
  const { ids, find } = await found()
  expect(ids).toEqual(['cluster.full-coverage'])
  expect(find('cluster.full-coverage').subject).toBe(addressOf(first))
  await redisCommand(first.port, 'CONFIG', 'SET', 'cluster-require-full-coverage', 'no')
})

it('redis.two-primaries: a primary is cut off, its replica was promoted, and it does not know', async () => {
  const [cut, ...others] = cluster.masters as (typeof cluster.masters)[0][]
  const successor = cluster.replicas[0] as (typeof cluster.replicas)[0]
  const rest = cluster.nodes.filter((node) => node !== cut && node !== successor)
  // For a minute after FORGET no message of the other is heeded: each half hears itself only.
  const [cutId, ...restIds] = await Promise.all(
    [cut, successor, ...rest].map((node) => idOf((node as typeof successor).port)),
  )
  for (const id of restIds) await redisCommand((cut as typeof successor).port, 'CLUSTER', 'FORGET', id)
  for (const node of rest) await redisCommand(node.port, 'CLUSTER', 'FORGET', cutId as string)
  await redisCommand(successor.port, 'CLUSTER', 'FAILOVER', 'TAKEOVER')
  await waitUntil('the others know the successor', 5_000, async () =>
    (await redisCommand((others[0] as typeof successor).port, 'CLUSTER', 'NODES')).includes(`${addressOf(successor)}@`),
  )
  await redisCommand(successor.port, 'CLUSTER', 'FORGET', cutId as string)

  const redis = new Cluster(
    [cut, successor].map((node) => ({ host: '127.0.0.1', port: (node as typeof successor).port })),
    { lazyConnect: true },
  )
  redis.on('error', () => {})
  const { ids, find } = await diagnose({ databaseUrl, redis }, ['--seed', addressOf(cut as typeof successor)])
  expect(ids).toContain('redis.two-primaries')
  const claim = find('redis.two-primaries')
  expect(claim.subject.split(' and ').sort()).toEqual(
    [cut, successor].map((node) => addressOf(node as typeof successor)).sort(),
  )
  expect(claim.found).toMatch(/^each holds itself for the owner of 546\d slots from 0 to 546\d$/)
  expect(claim.fix).toMatch(/^first drain the partitioned half/)
  expect(ids).toContain('cluster.epochs-differ')
})

it('cluster.no-replica, cluster.node-failing, cluster.uncovered: one shard has lost its replica, one all it had', async () => {
  const [, second, third] = cluster.masters as (typeof cluster.masters)[0][]
  const [, replica, lastReplica] = cluster.replicas
  for (const node of [replica, third, lastReplica]) await node?.kill()
  await waitUntil('their ends are noticed', 10_000, async () => {
    const nodes = await redisCommand((second as typeof third & object).port, 'CLUSTER', 'NODES')
    return nodes.split('\n').filter((line) => / \S*fail /.test(line)).length === 3
  })
  const { ids, find, subjects, exitCode } = await found()
  expect(exitCode).toBe(1)
  expect(ids).toEqual(expect.arrayContaining(['cluster.node-failing', 'redis.unreachable']))
  // The one that took over in the test before may have none either.
  expect(subjects('cluster.no-replica')).toContain(addressOf(second as typeof third & object))
  expect(find('cluster.uncovered').found).toMatch(/^546\d of 16384 slots$/)
})
